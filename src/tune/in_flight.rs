//! In flight: the note of the trial under way, from which a tune that goes on learns what was
//! running when it died.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::io::{atomic_write, held, input};
use crate::results::Folder;
use crate::runner::TrialRequest;
use crate::runner::nodes::is_of_name;
use crate::trial::{Outcome, Trial};

/// What is under way: the row that it will have, under the key of its number that older versions read.
#[derive(Serialize, Deserialize)]
struct InFlight {
    trial: u64,
    #[serde(flatten)]
    row: Trial,
}

/// A note is a page at the most.
const LARGEST_BYTES: u64 = 1 << 20;

/// How the names of notes begin and end.
const NAME: [&str; 2] = [".running", ".json"];

/// Each node has a note of its own.
fn path(folder: &Folder, node: &str) -> PathBuf {
    let node: String = node.chars().filter(|letter| is_of_name(*letter)).collect();
    let dot = if node.is_empty() { "" } else { "." };
    folder.now().join(format!("{}{dot}{node}{}", NAME[0], NAME[1]))
}

/// Notes that a trial starts.
pub(super) fn note(folder: &Folder, request: &TrialRequest) -> Result<()> {
    let row = request.trial(jiff::Timestamp::now().to_string());
    let note = InFlight { trial: row.number, row };
    let text = serde_json::to_vec(&note)?;
    // A lost note costs a row that says little: not worth waiting for the disk.
    held::at(folder.path(), |_| {
        let path = path(folder, &request.node);
        anew(&path, &text).with_context(|| path.display().to_string())
    })
}

/// Writes a file that was not there: a link that somebody put in its place would lead to another.
fn anew(path: &Path, text: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_NOFOLLOW)
        .mode(0o644)
        .open(path);
    new?.write_all(text)
}

/// Removes the note of what ran on `node`.
pub(super) fn clear(folder: &Folder, node: &str) {
    // A note of a trial that has its row is passed over.
    let _ = fs::remove_file(path(folder, node));
}

/// The trials that were under way when the tuner died, of each node one, in the order of their numbers:
/// those without a row that come at the most as far behind the one numbered `next` as others ran.
///
/// # Errors
/// A note can't be taken away.
pub fn take(folder: &Folder, trials: &[Trial], next: u64) -> Result<Vec<Trial>> {
    let mut notes: Vec<InFlight> = Vec::new();
    for path in paths(folder)? {
        let text = input::bytes(&path, LARGEST_BYTES).unwrap_or_default();
        atomic_write::remove(&path)?;
        notes.extend(serde_json::from_slice::<InFlight>(&text).ok());
    }
    notes.sort_by_key(|note| note.trial);
    notes.dedup_by_key(|note| note.trial);
    let beside = notes.len().saturating_sub(1) as u64;
    let has_row = |note: &InFlight| trials.iter().any(|trial| trial.number == note.trial);
    let last = trials.last().map_or(0, |trial| trial.number);
    let is_alone = notes.iter().all(|note| note.row.node.is_empty());
    let least = if is_alone { last.saturating_add(1) } else { 1 };
    notes.retain(|note| {
        !has_row(note) && (least..=next.saturating_add(beside)).contains(&note.trial)
    });
    Ok(notes.into_iter().map(trial).collect())
}

fn paths(folder: &Folder) -> Result<Vec<PathBuf>> {
    let place = || folder.now().display().to_string();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder.now()).with_context(place)? {
        let path = entry.with_context(place)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(NAME[0]) && name.ends_with(NAME[1]) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The row of a trial that died with its tuner.
fn trial(InFlight { trial: number, row }: InFlight) -> Trial {
    let (outcome, tool) = (Outcome::Interrupted, crate::TOOL.to_owned());
    Trial { number, outcome, detail: "the tuner died while it ran".to_owned(), tool, ..row }
}
