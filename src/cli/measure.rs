//! `measure`: one trial.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::parse;
use crate::cli::{BaselineChoice, TrialArgs};
use crate::tune::budget;

/// What to measure.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// The profile to measure.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "baseline",
        conflicts_with = "baseline",
        value_parser = parse::profile()
    )]
    pub profile: Option<PathBuf>,
    /// Measures a preset, the WAN22 system optimizer's profile, or as-is; when none is named the preset
    /// for this machine, and of a command of your own as-is.
    #[arg(long, num_args = 0..=1, value_name = "as-is|PRESET|FILE")]
    pub baseline: Option<Option<BaselineChoice>>,
    /// Measured repetitions, after one to warm up: unless said otherwise as in a tune.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub repetitions: Option<u32>,
    /// Prints what was measured as JSON.
    #[arg(long)]
    pub json: bool,
    /// When to give up.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = budget::parse)]
    pub limit: Duration,
    /// Which size of the job: 0 is the smallest.
    #[arg(long, default_value_t = 0)]
    pub size: usize,
    /// Seeds weights and noise.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The job, and what runs it.
    #[command(flatten)]
    pub trial: TrialArgs,
}
