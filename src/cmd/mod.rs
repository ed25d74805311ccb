//! One file per verb.

pub mod completions;
pub mod doctor;
pub mod exec;
pub mod export;
pub mod fleet;
pub mod machine;
pub mod measure;
pub mod profiles;
pub mod replay;
pub mod report;
pub mod setup;
pub mod space;
pub mod terminal;
pub mod tune;
pub mod verify;

use std::path::Path;
use std::process::ExitCode;

use crate::io::lock::Locked;
pub use crate::io::output::print;
use crate::io::{exit_code, input};

/// A mistake of the caller's rather than a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Somebody else is at it, as at the machine's lock.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FolderLocked(pub String);

/// Jobs and spaces are pages of text; a larger file is refused.
const LARGEST_BYTES: u64 = 4 << 20;

/// The text of `name`: one of the `kind`s that come with the program, or a file.
fn built_in_or_file(kind: &str, name: &Path, built_in: &[(&str, &str)]) -> anyhow::Result<String> {
    if let Some((_, text)) = built_in.iter().find(|(known, _)| Path::new(known) == name) {
        return Ok((*text).to_owned());
    }
    let names: Vec<&str> = built_in.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let text = input::given_text(name, LARGEST_BYTES);
    text.map_err(|error| {
        let neither =
            format!("no file that can be read ({error:#}), nor a built-in name ({names})");
        Usage(format!("{kind} {}: {neither}", name.display())).into()
    })
}

/// Says what went wrong and which status follows from it.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    terminal::tell(&format!("wan22-tune: {error:#}"));
    let code = if error.is::<Usage>() {
        exit_code::USAGE
    } else if error.is::<Locked>() || error.is::<FolderLocked>() {
        exit_code::LOCKED
    } else {
        exit_code::FAILURE
    };
    ExitCode::from(code)
}
