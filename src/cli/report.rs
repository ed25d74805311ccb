//! `report`: a results folder, and the form of its report.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What to report on, and how.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A results folder: machine.json, space.toml and trials.csv are read, all else is made anew.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// In which form.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Puts the Markdown between the lines `<!-- wan22-tune report: begin -->` and
    /// `<!-- wan22-tune report: end -->` of a file, and prints nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub splice: Option<PathBuf>,
    /// Replaces profile.json even where it proves more than the journal does; the old one is kept
    /// as profile.old.json.
    #[arg(long)]
    pub force: bool,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Writes report.html, plots and profile.json into the folder, and prints the summary.
    #[default]
    Html,
    /// Prints the verdict and the tables.
    Markdown,
    /// Prints what was found.
    Json,
    /// Prints the ranking, one row per candidate.
    Csv,
}
