//! `verify`: which profile is proven again, and how.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::parse;
use crate::cli::{BaselineChoice, SignatureArgs, TrialArgs};
use crate::tune::budget;

/// What to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The profile, or a results folder with one.
    #[arg(value_parser = parse::profile())]
    pub profile: PathBuf,
    /// Wall time for everything.
    #[arg(long, value_parser = budget::parse, default_value = "5m")]
    pub budget: Duration,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
    /// Also writes the finding for the node exporter's textfile collector.
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,
    /// Who has to have signed it.
    #[command(flatten)]
    pub signature: SignatureArgs,
    /// The preset or the WAN22 system optimizer's profile to compare with, or as-is; by default the
    /// preset for this machine, and as-is where the tune began so.
    #[arg(long, value_name = "as-is|PRESET|FILE")]
    pub baseline: Option<BaselineChoice>,
    /// Measured repetitions per trial, after one to warm up: unless said otherwise as in a tune.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub repetitions: Option<u32>,
    /// Decides the order of runs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The job, whose sizes are those that the profile was proven with, and what runs it.
    #[command(flatten)]
    pub trial: TrialArgs,
}
