//! `doctor`: advice before a run.

use std::time::Duration;

use clap::Args;

use crate::cli::options::parse;
use crate::space::KnobFlag;
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
    /// Looks instead whether the command after `--` is a worker, as docs/worker-protocol.md has it;
    /// exits with 1 where it is none.
    #[arg(long, requires = "words")]
    pub worker: bool,
    /// A knob of the worker's own that is tried, too: blocks=0..40, as a tune takes it.
    #[arg(long = "knob", value_name = "KNOB", requires = "worker")]
    pub knobs: Vec<KnobFlag>,
    /// The longest that the worker may take for a job.
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "worker", value_parser = budget::parse)]
    pub limit: Duration,
    /// The worker, and its arguments.
    #[arg(last = true, value_name = "COMMAND", requires = "worker", value_parser = parse::text())]
    pub words: Vec<String>,
}
