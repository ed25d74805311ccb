//! `export`: a profile in the words of other programs.

use anyhow::Result;

use super::Usage;
use crate::cli::ExportArgs;
use crate::io::atomic_write;
use crate::profile::Profile;
use crate::profile::export::Export;

/// Writes the export to its file, or to standard output.
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
