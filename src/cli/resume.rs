//! `resume`: which tune goes on, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::ViewArgs;
use crate::tune::budget;

/// Which tune.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Its results folder.
    pub dir: PathBuf,
    /// More wall time; by default what is left of the tune's own.
    #[arg(long, value_parser = budget::parse)]
    pub budget: Option<Duration>,
    /// The most trials of the search, those before the break among them; by default the tune's own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// Waits while another tune runs on this machine, instead of giving up with status 75.
    #[arg(long)]
    pub wait: bool,
    /// Runs what a folder says that somebody else owns or may write to, without asking.
    #[arg(long)]
    pub trust: bool,
    /// How much to show.
    #[command(flatten)]
    pub view: ViewArgs,
}
