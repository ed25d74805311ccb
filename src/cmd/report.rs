//! Rebuilds everything that derives from a results folder's machine, space and journal.

use std::path::PathBuf;

use anyhow::Result;

use crate::report;
use crate::results::{Folder, Results};

/// What to report on, and how.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A results folder: machine.json, space.toml and trials.csv are read, all else is made anew.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the profile, the plots and the page, and prints the summary.
pub fn run(args: &ReportArgs) -> Result<()> {
    let folder = Folder::new(&args.folder);
    let results = Results::open(&folder)?;
    report::write(&folder, &results)?;
    super::print(&report::summary(&results, &folder))
}
