//! `compare`: many results folders.

use std::path::PathBuf;

use clap::Args;

/// What to compare, and in which form.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Results folders, or folders that hold results folders. What can't be read is named and
    /// skipped.
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// Writes the comparison as a self-contained page too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Prints all that was found as JSON.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Prints one row per run as CSV.
    #[arg(long)]
    pub csv: bool,
}
