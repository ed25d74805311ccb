//! The job of trials with chosen values, and what runs them.

use clap::Args;

use crate::cli::options::{CustomJobArgs, JobArgs, RunnerArgs, parse};
use crate::workload::custom::sink::Sink;

/// The job of a few trials with chosen values, and what runs them.
#[derive(Debug, Args)]
pub struct TrialArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// What trials run with.
    #[command(flatten)]
    pub runner: RunnerArgs,
    /// Where your command finds a knob's value besides its words, as in the tune: 'blocks
    /// env:MY_BLOCKS', 'blocks json:FILE#/POINTER'.
    #[arg(long = "knob", value_name = "KNOB SINK", requires = "words", value_parser = parse::sink)]
    pub knobs: Vec<(String, Sink)>,
    /// Your own job.
    #[command(flatten)]
    pub custom: CustomJobArgs,
}
