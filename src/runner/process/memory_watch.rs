//! Memory watch: the memory of a trial's processes, looked at again and again.

use std::time::{Duration, Instant};

use super::heartbeat::Pulse;
use super::{Limit, orphans, tree};
use crate::machine::held_bytes;
use crate::trial::Outcome;

/// How often it is looked which processes there are, and how they share their memory: a walk through
/// all threads and pages costs more than one number of each process.
const WALK_INTERVAL: Duration = Duration::from_millis(200);

/// How long each look is such a walk.
const FIRST_LOOKS: Duration = Duration::from_secs(1);

/// The eyes on the memory of one trial.
pub(in crate::runner) struct MemoryWatch {
    first: u32,
    limit: Limit,
    started: Instant,
    /// When the last walk ended.
    walked: Option<Instant>,
    /// The processes that it found.
    all: Vec<u32>,
    /// What they had.
    counted: u64,
    /// The most that was resident; `None` before a look.
    pub peak_rss_bytes: Option<u64>,
    /// The most that was held on a GPU, where there is one.
    pub peak_device_bytes: Option<u64>,
}

impl MemoryWatch {
    /// A watch on the trial whose first process is `first`.
    pub fn of(first: u32, limit: Limit) -> Self {
        let (started, walked, all, counted) = (Instant::now(), None, Vec::new(), 0);
        let (peak_rss_bytes, peak_device_bytes) = (None, None);
        Self { first, limit, started, walked, all, counted, peak_rss_bytes, peak_device_bytes }
    }

    /// How the trial fails where it has more than it may, here or on a GPU.
    pub fn exceeded(&mut self, pulse: &mut Pulse) -> Option<(Outcome, String)> {
        // A launcher starts others at once.
        let is_new = self.started.elapsed() < FIRST_LOOKS;
        let is_walk = is_new || self.walked.is_none_or(|at| at.elapsed() >= WALK_INTERVAL);
        let resident = self.bytes(is_walk);
        self.peak_rss_bytes = self.peak_rss_bytes.max(Some(resident));
        let mut held = None;
        if is_walk {
            held = held_bytes(&self.all);
            self.peak_device_bytes = self.peak_device_bytes.max(held);
            if held.is_some() {
                // A driver may take its time.
                pulse.restart();
            }
        }
        let on_device = || held.and_then(|held| self.limit.exceeded_on_device(held));
        self.limit.exceeded(resident).or_else(on_device)
    }

    /// Memory of all processes. More than it may be is believed of a walk alone, in which what they
    /// share counts once.
    fn bytes(&mut self, is_walk: bool) -> u64 {
        if !is_walk {
            let sum = tree::resident_bytes(&self.all);
            let is_exact = sum <= self.limit.memory_bytes || self.all.len() == 1;
            return if is_exact { sum } else { self.counted };
        }
        orphans::reap(self.first);
        self.all = tree::of_trial(self.first);
        self.counted = tree::counted_bytes(&self.all, self.limit.memory_bytes);
        self.walked = Some(Instant::now());
        self.counted
    }
}
