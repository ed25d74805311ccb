//! `doctor`: advice before a run.

use std::time::Duration;

use clap::Args;

use crate::tune::budget;

/// Looks for what makes measurements noisy or settings useless on this machine, and names cures.
/// Changes nothing.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Prints the findings as JSON.
    #[arg(long)]
    pub json: bool,
    /// The wall time of the tune that is planned, to hold it against the end of a scheduler's job.
    #[arg(long, value_name = "TIME", value_parser = budget::parse)]
    pub budget: Option<Duration>,
}
