//! Copies: the JSON files that a command reads, with values of its knobs in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::io::atomic_write;
use crate::knobs::Values;
use crate::workload::custom::sink::documents;
use crate::workload::custom::{CommandJob, template};

/// Writes a copy of each file below `folder`, with `values` in it; the files themselves stay as they
/// are. Returns the command's words, which name the copies.
///
/// # Errors
/// A file that can't be read or written, or that has changed.
pub fn write(command: &CommandJob, values: &Values, folder: &Path) -> Result<Vec<String>, String> {
    let mut words = command.words.clone();
    for (document, copy) in documents(&command.sinks).iter().zip(places(command, folder)) {
        let text = document.text(Path::new(&command.folder), values)?;
        let write = || -> anyhow::Result<()> {
            fs::create_dir_all(copy.parent().unwrap_or(folder))?;
            atomic_write::replace(&copy, text.as_bytes())
        };
        write().map_err(|error| format!("{}: {error:#}", copy.display()))?;
        let path = template::literal(&copy.display().to_string());
        for word in words.iter_mut().filter(|word| document.is_named_by(word)) {
            *word = document.renamed(word, &path);
        }
    }
    Ok(words)
}

/// Where the copies lie, in the order of [`documents`]: under their own names, in folders of their
/// own where two have the same.
pub fn places(command: &CommandJob, folder: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    for (number, document) in documents(&command.sinks).iter().enumerate() {
        let name = Path::new(document.file).file_name().unwrap_or("file.json".as_ref());
        let place = folder.join(name);
        let is_taken = places.contains(&place);
        places.push(if is_taken { folder.join(number.to_string()).join(name) } else { place });
    }
    places
}
