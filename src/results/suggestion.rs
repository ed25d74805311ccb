//! Suggestion: the results that somebody meant who named the folder above them.

use std::fs;

use super::Folder;
use crate::io::printable::shortened;

/// An error with the folders in `folder` that hold results, where it holds none itself.
pub(super) fn named(folder: &Folder, error: anyhow::Error) -> anyhow::Error {
    let names = || -> Option<Vec<String>> {
        let entries = fs::read_dir(folder.path()).ok()?.flatten();
        let results = entries.filter(|entry| entry.path().join("space.toml").exists());
        Some(results.map(|entry| entry.path().display().to_string()).collect())
    };
    let mut inside = names().unwrap_or_default();
    if inside.is_empty() || folder.space().exists() {
        return error;
    }
    inside.sort();
    let list = shortened(&inside);
    error.context(format!(
        "{}: not a results folder, but it holds some; name one of these: {list}",
        folder.path().display()
    ))
}
