//! Rebuilds whatever derives from a results folder's machine, space and journal.

use std::path::PathBuf;

use anyhow::{Error, Result, anyhow, bail};

use super::terminal;
use super::tune::{is_full, typed};
use crate::profile::keep;
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
    /// Replaces profile.json even where it proves more than the journal does; the old one is kept
    /// as profile.old.json.
    #[arg(long)]
    force: bool,
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
    results.lost.iter().for_each(|lost| warn(&format!("trials.csv: {lost}")));
    if let Some(path) = &args.splice {
        return report::splice(path, &results);
    }
    match args.format {
        Format::Html => write(args, &folder, &results),
        Format::Markdown => crate::io::output::print(&report::markdown(&results)),
        Format::Json => crate::io::output::print_json(&report::json(&results)?),
        Format::Csv => crate::io::output::print(&report::csv(&results)?),
    }
}

fn write(args: &ReportArgs, folder: &Folder, results: &Results) -> Result<()> {
    let kept = keep::kept(folder, results, &crate::profile::build::profile(results)?);
    if let Some(kept) = kept.filter(|kept| kept.is_all && !args.force) {
        bail!("{}; nothing was written, `--format markdown` shows what is left", kept.sentence);
    }
    let (written, outcome) = report::write(folder, results, args.force);
    let is_full = outcome.as_ref().is_err_and(is_full);
    if outcome.is_ok() || is_full {
        terminal::show(&report::summary(results, folder, &written))?;
    }
    written.kept.iter().for_each(|kept| warn(kept));
    outcome.map_err(|error| match is_full {
        true => anyhow!("{error:#}; make room, then {} makes the rest", typed("report", folder)),
        false => denied(folder, error),
    })
}

fn warn(what: &str) {
    terminal::tell(&format!("warning: {what}"));
}

/// An error with what to do where the folder is somebody else's.
fn denied(folder: &Folder, error: Error) -> Error {
    let kind = error.chain().find_map(|cause| Some(cause.downcast_ref::<std::io::Error>()?.kind()));
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    if !matches!(kind, Some(PermissionDenied | ReadOnlyFilesystem)) {
        return error;
    }
    anyhow!(
        "{}: nothing may be written there ({}); --format markdown, json or csv prints the report",
        folder.path().display(),
        kind.map_or(String::new(), |kind| kind.to_string())
    )
}
