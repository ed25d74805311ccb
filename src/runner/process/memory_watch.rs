//! Memory watch: the memory of a trial's processes, looked at again and again.

use std::time::{Duration, Instant};

use super::heartbeat::Pulse;
use super::{Limit, orphans, tree};
use crate::machine::held_bytes;
use crate::trial::Outcome;

/// How often it is looked which processes there are, how they share their memory, and what they hold on
/// a GPU: a walk through all threads and pages costs more than one number of each process.
const WALK_INTERVAL: Duration = Duration::from_millis(200);

/// How long each look is such a walk, without a GPU's driver.
const FIRST_LOOKS: Duration = Duration::from_secs(1);

/// The eyes on the memory of a process and all that it starts.
#[derive(Debug)]
pub(in crate::runner) struct MemoryWatch {
    first: u32,
    started: Instant,
    /// When the last walk ended.
    walked: Option<Instant>,
    /// When the driver was last asked.
    asked: Option<Instant>,
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
    /// A watch on a trial's first process, `first`.
    pub fn of(first: u32) -> Self {
        Self {
            first,
            started: Instant::now(),
            walked: None,
            asked: None,
            all: Vec::new(),
            counted: 0,
            peak_rss_bytes: None,
            peak_device_bytes: None,
        }
    }

    /// Begins with another trial in the same processes.
    pub fn forget_peaks(&mut self) {
        (self.peak_rss_bytes, self.peak_device_bytes) = (None, None);
    }

    /// How the trial fails where it has more than it may, here or on a GPU.
    pub fn exceeded(&mut self, limit: Limit, pulse: &mut Pulse) -> Option<(Outcome, String)> {
        // A launcher starts others at once.
        let is_new = self.started.elapsed() < FIRST_LOOKS;
        let resident = self.bytes(is_new || is_due(self.walked), limit.memory_bytes);
        self.peak_rss_bytes = self.peak_rss_bytes.max(Some(resident));
        let held = self.held_bytes(pulse);
        let on_device = || held.and_then(|held| limit.exceeded_on_device(held));
        limit.exceeded(resident).or_else(on_device)
    }

    /// What all processes hold on a GPU, where there is one and it is time to look.
    fn held_bytes(&mut self, pulse: &mut Pulse) -> Option<u64> {
        if !is_due(self.asked) {
            return None;
        }
        let held = held_bytes(&self.all);
        if held.is_some() {
            // A driver may take its time.
            pulse.restart();
        }
        self.asked = Some(Instant::now());
        self.peak_device_bytes = self.peak_device_bytes.max(held);
        held
    }

    /// Memory of all processes. More than `most` is believed of a walk alone, in which what they share
    /// counts once.
    fn bytes(&mut self, is_walk: bool, most: u64) -> u64 {
        if !is_walk {
            let sum = tree::resident_bytes(&self.all);
            return if sum <= most || self.all.len() == 1 { sum } else { self.counted };
        }
        orphans::reap(self.first);
        self.all = tree::of_trial(self.first);
        self.counted = tree::counted_bytes(&self.all, most);
        self.walked = Some(Instant::now());
        self.counted
    }
}

fn is_due(last: Option<Instant>) -> bool {
    last.is_none_or(|at| at.elapsed() >= WALK_INTERVAL)
}
