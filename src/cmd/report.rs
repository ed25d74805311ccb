//! Rebuilds whatever derives from a results folder's machine, space and journal.

use anyhow::{Error, Result, anyhow, bail};

use super::terminal;
use super::tune::{is_full, typed};
use crate::cli::{Format, ReportArgs};
use crate::report;
use crate::results::{Folder, Results};

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
    let kept = report::keep::kept(folder, results, &crate::profile::build::profile(results)?);
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
