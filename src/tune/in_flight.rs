//! In flight: the note of the trial under way, from which a tune that goes on learns what was
//! running when it died.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::io::atomic_write;
use crate::io::held;
use crate::io::input;
use crate::knobs::Values;
use crate::results::Folder;
use crate::runner::TrialRequest;
use crate::trial::{Outcome, Phase, Trial};

/// What is under way.
#[derive(Serialize, Deserialize)]
struct InFlight {
    trial: u64,
    started: String,
    phase: Phase,
    pair: Option<u64>,
    strategy: String,
    seed: u64,
    workload: String,
    knobs: Values,
}

/// A note is a page at the most.
const LARGEST_BYTES: u64 = 1 << 20;

fn path(folder: &Folder) -> PathBuf {
    folder.now().join(".running.json")
}

/// Notes that a trial starts.
pub(super) fn note(folder: &Folder, request: &TrialRequest) -> Result<()> {
    let note = InFlight {
        trial: request.number,
        started: jiff::Timestamp::now().to_string(),
        phase: request.phase,
        pair: request.pair,
        strategy: request.strategy.clone(),
        seed: request.seed,
        workload: request.workload.to_string(),
        knobs: request.values.clone(),
    };
    let text = serde_json::to_vec(&note)?;
    // A lost note costs a row that says little: not worth waiting for the disk.
    held::at(folder.path(), |_| {
        let path = path(folder);
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

/// Removes the note.
pub(super) fn clear(folder: &Folder) {
    // A note of a trial that has its row is passed over.
    let _ = fs::remove_file(path(folder));
}

/// The trial that was under way when the tuner died, if it has no row and comes after the last that
/// has one and before the one numbered `next`, or is that.
///
/// # Errors
/// The note can't be taken away.
pub fn take(folder: &Folder, trials: &[Trial], next: u64) -> Result<Option<Trial>> {
    if fs::symlink_metadata(path(folder)).is_err() {
        return Ok(None);
    }
    let text = input::bytes(&path(folder), LARGEST_BYTES).unwrap_or_default();
    atomic_write::remove(&path(folder))?;
    let last = trials.last().map_or(0, |trial| trial.number);
    let is_news = |note: &InFlight| note.trial > last && note.trial <= next;
    let note = serde_json::from_slice(&text).ok().filter(is_news);
    Ok(note.map(|note| Trial {
        number: note.trial,
        started: note.started,
        phase: note.phase,
        pair: note.pair,
        strategy: note.strategy,
        seed: note.seed,
        workload: note.workload,
        knobs: note.knobs,
        outcome: Outcome::Interrupted,
        detail: "the tuner died while it ran".to_owned(),
        tool: crate::TOOL.to_owned(),
        ..Trial::default()
    }))
}
