//! Probing: which of the values that are only handed over the user's own job reads.

use anyhow::Result;

use super::Session;
use super::searching::is_proposed;
use crate::search::Stop;
use crate::search::pruning::{PROBE, Pruned, fewest_probes, next_probe};
use crate::space::{Candidate, Space};
use crate::trial::Trial;
use crate::workload::Workload;

/// A search shorter than so many trials can't pay for probes.
const SHORTEST: usize = 8;

/// A search of so many trials can pay for probes of single knobs.
const THOROUGH: usize = 40;

/// Of so many trials of the search one may be a probe.
const PROBE_EVERY: usize = 3;

impl Session<'_> {
    /// Tries knobs that are handed over at all their values, where the search can pay for it, and
    /// returns the space in which those that are not read rest. What the trials show is in the
    /// journal, for [`crate::search::pruning`] to read again.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn probe(&mut self, space: &Space, workload: &Workload) -> Result<Space> {
        let is_probe = |trial: &&Trial| trial.strategy == PROBE;
        let done = self.trials.iter().filter(is_probe).count();
        // After a break: as many as without.
        let affords = self.trials_left() + done;
        self.remeasure(workload)?;
        let most = affords / PROBE_EVERY;
        // Fewer show nothing.
        let is_worth = most >= fewest_probes(space);
        for _ in (done..most).filter(|_| is_worth) {
            let is_begun = self.trials.iter().any(is_proposed);
            if is_begun || self.is_stopped() || self.trials_left() < SHORTEST {
                break;
            }
            let next = next_probe(space, &self.trials, affords >= THOROUGH);
            let Some(candidate) = next else { break };
            match self.probe_at(space, workload, &candidate) {
                Err(Stop::Broken(error)) => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let ignored = Pruned::of(space, &self.trials).ignored;
        Ok(space.freeze(ignored.into_iter().flat_map(|ignored| ignored.knobs)))
    }

    /// Runs one probe, and says what it shows.
    fn probe_at(
        &mut self,
        space: &Space,
        workload: &Workload,
        candidate: &Candidate,
    ) -> Result<(), Stop> {
        let before = Pruned::of(space, &self.trials);
        let values = self.values(space, &before.with_frozen(space, candidate));
        self.try_out(PROBE, workload, &values)?;
        let news = Pruned::of(space, &self.trials).news(&before);
        news.iter().for_each(|sentence| self.observer.noted(sentence));
        Ok(())
    }
}
