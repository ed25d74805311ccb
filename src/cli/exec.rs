//! `exec`: which profile, and which command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::options::parse;
use crate::cli::{ProfileFoldersArgs, SignatureArgs};
use crate::knobs::program_environment;
use crate::workload::custom::sink::Sink;

/// Which profile, and which command.
#[derive(Debug, Default, Args)]
pub struct ExecArgs {
    /// The profile to launch with.
    #[arg(long, value_name = "FILE", required_unless_present = "auto", conflicts_with = "auto")]
    #[arg(value_parser = parse::profile())]
    pub profile: Option<PathBuf>,
    /// Takes the profile of this machine that `wan22-tune profiles list` marks; where it can't be
    /// applied, the next best; where none can, it warns and takes the baseline. A signature is of
    /// one file: it needs --profile.
    #[arg(long, conflicts_with = "signature")]
    pub auto: bool,
    /// Lets --auto take profiles of this job only, such as i2v, or the word that `wan22-tune
    /// profiles use --job` was given.
    #[arg(long, value_name = "NAME", requires = "auto", value_parser = parse::job_name)]
    pub job: Option<String>,
    /// Who has to have signed it.
    #[command(flatten)]
    pub signature: SignatureArgs,
    /// Where --auto looks.
    #[command(flatten)]
    pub place: ProfileFoldersArgs,
    /// Fits a profile of another machine to this one by topology, and says how.
    #[arg(long, conflicts_with = "force")]
    pub adapt: bool,
    /// Applies the profile as it stands, even if it was made on a machine of another shape.
    #[arg(long)]
    pub force: bool,
    /// Leaves the memory policy as it is, for containers that forbid to set one.
    #[arg(long)]
    pub without_memory_policy: bool,
    /// The variable in which the command finds the profile's path; its knobs' values are in
    /// WAN22_ and their names in capitals, such as WAN22_BATCH_SIZE.
    #[arg(long, value_name = "NAME", default_value = program_environment::PROFILE, value_parser = program_environment::profile_name)]
    pub profile_env: String,
    /// The variable in which the command finds a knob's value too, as in 'blocks env:MY_BLOCKS'.
    #[arg(long = "knob", value_name = "KNOB env:VARIABLE", value_parser = parse::variable)]
    pub knobs: Vec<(String, Sink)>,
    /// Does not say what was applied.
    #[arg(long)]
    pub quiet: bool,
    /// The tuner that watches over this trial.
    #[arg(long, hide = true, value_name = "PID")]
    pub supervisor: Option<i32>,
    /// The command and its arguments, in which {blocks} stands for the profile's value of a knob,
    /// {blocks=20} for it or for 20 where the profile has none, and {compile:--compile} for words
    /// that are there while a switch is on.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
