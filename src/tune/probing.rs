//! Probing: which of the values that are only handed over the user's own job reads.

use anyhow::Result;

use super::{Searching, Session};
use crate::dropped::{Dropped, PROBE, next_probe};
use crate::search::{Measure, Stop};
use crate::space::Space;
use crate::workload::Workload;

/// A search shorter than so many trials can't pay for probes.
const SHORTEST: u32 = 8;

/// A search of so many trials can pay for a probe of each knob.
const THOROUGH: u32 = 40;

impl Session<'_> {
    /// Tries knobs that are handed over at both ends, as far as the search can pay for it, and
    /// returns the space in which those that are not read rest. What the trials show is in the
    /// journal, for [`crate::dropped`] to read again.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn probe(&mut self, space: &Space, workload: &Workload) -> Result<Space> {
        let affords = |session: &Self, trials: u32| {
            session.left_for_search() > session.baseline_trial() * trials
        };
        let thorough = affords(self, THOROUGH);
        // Two of all knobs, and two of each.
        for _ in 0..2 * (1 + space.knobs.len()) {
            let Some(candidate) = next_probe(space, &self.trials, thorough) else { break };
            if !affords(self, SHORTEST) {
                break;
            }
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
