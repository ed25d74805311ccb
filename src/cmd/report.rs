//! Rebuilds whatever derives from a results folder's machine, space and journal.

use std::path::PathBuf;

use anyhow::Result;

use super::terminal;
use crate::report;
use crate::results::{Folder, Results};

/// What to report on, and how.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A results folder: machine.json, space.toml and trials.csv are read, all else is made anew.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Puts the Markdown between the lines `<!-- wan22-tune report: begin -->` and
    /// `<!-- wan22-tune report: end -->` of a file, and prints nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    splice: Option<PathBuf>,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Writes report.html, plots and profile.json into the folder, and prints the summary.
    #[default]
    Html,
    /// Prints the verdict and the tables.
    Markdown,
    /// Prints what was found.
    Json,
    /// Prints the ranking, one row a candidate.
    Csv,
}

/// Writes or prints the report.
pub fn run(args: &ReportArgs) -> Result<()> {
    let folder = Folder::new(&args.folder);
    let results = Results::open(&folder)?;
    if let Some(path) = &args.splice {
        return report::splice(path, &results);
    }
    match args.format {
        Format::Html => {
            report::write(&folder, &results)?;
            terminal::show(&report::summary(&results, &folder))
        }
        Format::Markdown => super::print(&report::markdown(&results)),
        Format::Json => super::print_json(&report::json(&results)?),
        Format::Csv => super::print(&report::csv(&results)?),
    }
}
