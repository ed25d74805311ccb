//! Memory watch: the memory of a trial's processes, looked at again and again.

use std::time::{Duration, Instant};

use super::{orphans, tree};

/// How often it is looked which processes there are, and how they share their memory: a walk through
/// all threads and pages costs more than one number of each process.
const WALK_INTERVAL: Duration = Duration::from_millis(200);

/// The eyes on the memory of one trial.
pub(in crate::runner) struct MemoryWatch {
    first: u32,
    most: u64,
    /// When the last walk ended.
    walked: Option<Instant>,
    /// The processes that it found.
    all: Vec<u32>,
    /// What they had.
    counted: u64,
}

impl MemoryWatch {
    /// A watch on the trial whose first process is `first`, and which may have `most` bytes.
    pub fn of(first: u32, most: u64) -> Self {
        Self { first, most, walked: None, all: Vec::new(), counted: 0 }
    }

    /// Memory of all processes. More than it may be is believed of a walk alone, in which what they
    /// share counts once.
    pub fn bytes(&mut self) -> u64 {
        if self.walked.is_some_and(|at| at.elapsed() < WALK_INTERVAL) {
            let sum = tree::resident_bytes(&self.all);
            let is_exact = sum <= self.most || self.all.len() == 1;
            return if is_exact { sum } else { self.counted };
        }
        orphans::reap(self.first);
        self.all = tree::of_trial(self.first);
        self.counted = tree::counted_bytes(&self.all, self.most);
        self.walked = Some(Instant::now());
        self.counted
    }
}
