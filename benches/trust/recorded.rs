//! Noise of a machine whose journal was recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wan22_tune::knobs::Values;
use wan22_tune::trial::journal;

/// The journal of the last of the committed results.
pub fn newest_journal() -> Result<PathBuf> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir("results").context("results: NOISE names a journal")? {
        journals.push(entry?.path().join("trials.csv"));
    }
    journals.retain(|path| path.is_file());
    journals.sort();
    journals.pop().context("results/ holds no journal: NOISE names one")
}

/// How a recorded machine disturbs, as logs.
pub struct Noise {
    /// Of each process over the fastest one of the same settings.
    pub processes: Vec<f64>,
    /// Of each repetition over the middle one of its process.
    pub repetitions: Vec<f64>,
}

impl Noise {
    /// What its journal says.
    pub fn recorded(path: &Path) -> Result<Self> {
        let trials = journal::read(path)?;
        let mut scores: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
        let mut repetitions = Vec::new();
        for trial in &trials {
            let Some(score) = trial.score() else { continue };
            scores.entry(&trial.knobs).or_default().push(score);
            repetitions.extend(trial.samples.iter().map(|s| (s.seconds / score).ln()));
        }
        let mut processes = Vec::new();
        for scores in scores.values().filter(|scores| scores.len() > 2) {
            let fastest = scores.iter().copied().fold(f64::INFINITY, f64::min);
            processes.extend(scores.iter().map(|score| (score / fastest).ln()));
        }
        ensure!(processes.len() > 2, "{}: too few repeated trials to learn from", path.display());
        Ok(Self { processes, repetitions })
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |logs: &[f64], share: f64| {
            let mut sorted = logs.to_vec();
            sorted.sort_by(f64::total_cmp);
            100.0 * (sorted[((sorted.len() - 1) as f64 * share) as usize].exp() - 1.0)
        };
        write!(
            f,
            "a process is {:.1}% slower than the fastest of its kind in the middle and {:.1}% at \
             the 90th percentile of {}; a repetition at most {:.1}% slower than its middle one",
            percent(&self.processes, 0.5),
            percent(&self.processes, 0.9),
            self.processes.len(),
            percent(&self.repetitions, 1.0)
        )
    }
}
