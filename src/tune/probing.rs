//! Probing: which of the values that are only handed over the user's own job reads.

use anyhow::Result;

use super::{Searching, Session};
use crate::dropped::{Dropped, PROBE, next_probe};
use crate::search::{Measure, Stop};
use crate::space::Space;
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// A search shorter than so many trials can't pay for probes.
const SHORTEST: usize = 8;

/// A search of so many trials can pay for probes of single knobs.
const THOROUGH: usize = 40;

/// Of so many trials of the search one may be a probe.
const PROBE_EVERY: usize = 3;

impl Session<'_> {
    /// Tries knobs that are handed over at both ends, as far as the search can pay for it, and
    /// returns the space in which those that are not read rest. What the trials show is in the
    /// journal, for [`crate::dropped`] to read again.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn probe(&mut self, space: &Space, workload: &Workload) -> Result<Space> {
        let is_probe = |trial: &Trial| trial.strategy == PROBE;
        let is_begun = |trial: &Trial| trial.phase == Phase::Search && !is_probe(trial);
        let done = self.trials.iter().filter(|trial| is_probe(trial)).count();
        // After a break: as many as without.
        let affords = self.trials_left() + done;
        for _ in done..affords / PROBE_EVERY {
            if self.trials_left() < SHORTEST || self.trials.iter().any(is_begun) {
                break;
            }
            let next = next_probe(space, &self.trials, affords >= THOROUGH);
            let Some(candidate) = next else { break };
            match Searching::new(self, space, workload, PROBE).measure(&candidate) {
                Err(Stop::Broken(error)) => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        let unread = Dropped::of(space, &self.trials).unread;
        Ok(space.resting(unread.into_iter().flat_map(|unread| unread.knobs)))
    }
}
