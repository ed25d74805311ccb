//! `export`: a profile in the words of other programs.

use std::ffi::OsString;

use anyhow::Result;

use super::{Usage, terminal};
use crate::cli::ExportArgs;
use crate::io::atomic_write;
use crate::profile::Profile;
use crate::profile::export::Export;
use crate::workload::custom::sink::{self, Sinks};
use crate::workload::custom::template::Substitution;

/// Writes the export to its file, or to standard output.
///
/// # Errors
/// The profile is refused, the dialect can't say what it asks for, or the file can't be written.
pub fn run(args: &ExportArgs) -> Result<()> {
    let profile = Profile::read(&args.profile)?;
    let (values, own) = (profile.values(), &profile.custom_knobs);
    let words: Vec<OsString> = args.command.iter().map(OsString::from).collect();
    let substitution = Substitution::of(&words, &values, own);
    for line in substitution.left(&words) {
        terminal::tell(&format!("wan22-tune export: warning: {line}"));
    }
    let filled = substitution.words(&words).map_err(Usage)?;
    let command: Vec<String> =
        filled.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let sinks: Sinks = args.knobs.iter().cloned().collect();
    sink::unknown(&sinks, &values).map_or(Ok(()), |problem| Err(Usage(problem)))?;
    let variables = sink::variables(&sinks, &values);
    let file = Some(args.profile.as_path());
    let text = Export { profile: &profile, file, command: &command, variables: &variables };
    let text = text.text(args.format);
    let text = text.map_err(Usage)?;
    match &args.output {
        Some(file) => atomic_write::replace(file, text.as_bytes()),
        None => crate::io::output::print(&text),
    }
}
