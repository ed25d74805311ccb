//! `wan22-tune`: how to tune.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::parse;
use crate::cli::{CustomJobArgs, NodesChoice, RunnerArgs, SpaceArgs, ViewArgs};
use crate::search::StrategyName;
use crate::tune::budget;
use crate::workload::custom::sizes::JobSize;

/// How to tune.
#[derive(Clone, Debug, Args)]
pub struct TuneArgs {
    /// Wall time for everything, such as 90s, 30m or 1h30m.
    #[arg(long, value_parser = budget::parse, required_unless_present = "dry_run")]
    pub budget: Option<Duration>,
    /// The most trials of the search, before the budget ends it; the confirmation comes on top.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// The space, the baseline and the workload.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// Who proposes candidates.
    #[arg(long, default_value_t, value_parser = parse::strategy())]
    pub strategy: StrategyName,
    /// Results folders or profiles of earlier tunes, of this machine or others like it, a folder of
    /// results, a fleet's among them, or `shipped:2026-11-30-vm`, of this program's own: the best is
    /// tried first, the rest is believed as far as it proves right here. Unless given, the three newest
    /// of this space and job on a machine of this shape under `--results`, or else what the program
    /// ships of machines much like this one, and the installed profile.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub warm_start: Vec<PathBuf>,
    /// Starts from no earlier tune but those of `--warm-start`.
    #[arg(long)]
    pub cold: bool,
    /// Decides every choice left to chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Measured repetitions per trial, after a warm-up: 2 to 9; by default 2 in the first trial and in
    /// pairs, and elsewhere 2 to 5, as many as it takes to measure for two thirds of the trial. Of a
    /// command of your own, whose repetitions are whole runs, 1 to 9; by default 3, or 1 where a run
    /// takes more than a sixtieth of the budget. Of a worker of your own 1 to 9; by default 1, and 2 in
    /// the first trial and in pairs.
    #[arg(long, visible_alias = "runs", value_parser = clap::value_parser!(u32).range(1..=9))]
    pub repetitions: Option<u32>,
    /// A size of your own job, the smallest first: frames=17,81 stands in the command's words as {frames}.
    /// The search runs the smallest, the proof the largest that the budget pays for.
    #[arg(long, value_name = "NAME=N,…", value_parser = str::parse::<JobSize>)]
    pub size: Vec<JobSize>,
    /// Where results folders go.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Shows the resolved space and starts no trial; ComfyUI is started to ask for its inputs.
    #[arg(long)]
    pub dry_run: bool,
    /// Tunes copies of the baseline instead of a space: a gain claimed there is a false one.
    #[arg(long)]
    pub self_test: bool,
    /// Searches on several equal nodes side by side: as many (4), as many as there are in a range
    /// (2-8), or these (n1,n2 or n[1-9]). Inside a Slurm allocation its nodes; outside of one, without
    /// a launcher, the tune is submitted as a job.
    #[arg(long, value_name = "N|N-M|NAMES", conflicts_with_all = ["self_test", "dry_run"])]
    pub nodes: Option<NodesChoice>,
    /// The words that start a program on a node, parted as a shell does, in which {node} stands for
    /// its name, such as 'ssh {node}'; inside a Slurm allocation by default srun. Empty, or without
    /// {node}: on this machine.
    #[arg(long, value_name = "TEMPLATE", requires = "nodes")]
    pub launcher: Option<String>,
    /// Input pictures and the program that runs trials.
    #[command(flatten)]
    pub runner: RunnerArgs,
    /// Your own job.
    #[command(flatten)]
    pub custom: CustomJobArgs,
    /// How much to show.
    #[command(flatten)]
    pub view: ViewArgs,
}
