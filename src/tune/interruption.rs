//! Interruption: the note of the trial under way, from which a tune that goes on learns what was
//! running when it died.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Order;
use crate::durable;
use crate::held;
use crate::results::Folder;
use crate::space::Values;
use crate::trial::{Outcome, Phase, Trial};

/// What is under way.
#[derive(Serialize, Deserialize)]
struct Note {
    trial: u64,
    started: String,
    phase: Phase,
    pair: Option<u64>,
    strategy: String,
    seed: u64,
    workload: String,
    knobs: Values,
}

fn path(folder: &Folder) -> PathBuf {
    folder.now().join(".running.json")
}

/// Notes that a trial starts.
pub(super) fn note(folder: &Folder, trial: u64, seed: u64, order: &Order<'_>) -> Result<()> {
    let note = Note {
        trial,
        started: jiff::Timestamp::now().to_string(),
        phase: order.phase,
        pair: order.pair,
        strategy: order.strategy.to_owned(),
        seed,
        workload: order.workload.to_string(),
        knobs: order.values.clone(),
    };
    // A lost note costs a row that says little: not worth waiting for the disk.
    let text = serde_json::to_vec(&note)?;
    held::at(folder.path(), |_| {
        let path = path(folder);
        fs::write(&path, &text).with_context(|| path.display().to_string())
    })
}

/// Takes the note away.
pub(super) fn clear(folder: &Folder) {
    // A note of a trial that has its row is passed over.
    let _ = fs::remove_file(path(folder));
}

/// The trial that was under way when the tuner died, if that was the trial numbered `next`.
///
/// # Errors
/// The note can't be taken away.
pub fn take(folder: &Folder, next: u64) -> Result<Option<Trial>> {
    let Ok(text) = fs::read(path(folder)) else { return Ok(None) };
    durable::remove(&path(folder))?;
    let note = serde_json::from_slice(&text).ok().filter(|note: &Note| note.trial == next);
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
