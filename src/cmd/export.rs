//! `export`: a profile in the words of other programs.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Usage;
use crate::io::atomic_write;
use crate::profile::export::{Dialect, Export};
use crate::profile::{self, Profile};

/// What to write.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The form.
    #[arg(long, value_enum)]
    format: Dialect,
    /// Writes to a file instead of stdout; it is replaced at once, as a textfile collector wants.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The profile, or a results folder with one.
    #[arg(value_name = "PROFILE", value_parser = profile::file_argument())]
    profile: PathBuf,
    /// The command that the exported file starts, for systemd, k8s, slurm and numactl.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Writes it.
///
/// # Errors
/// The profile is refused, the dialect can't say what it asks for, or the file can't be written.
pub fn run(args: &ExportArgs) -> Result<()> {
    let profile = Profile::read(&args.profile)?;
    let text = Export { profile: &profile, file: Some(&args.profile), command: &args.command };
    let text = text.text(args.format);
    let text = text.map_err(Usage)?;
    match &args.output {
        Some(file) => atomic_write::replace(file, text.as_bytes()),
        None => crate::io::output::print(&text),
    }
}
