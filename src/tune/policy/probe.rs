//! Probes: which of the values that are only handed over the user's own job reads.

use anyhow::Result;

use super::{Next, Policy};
use crate::search::pruning::{PROBE, Pruned, fewest_probes, next_probe};
use crate::space::{Candidate, Space};
use crate::trial::Trial;
use crate::tune::observations::values;
use crate::tune::state::State;
use crate::workload::Workload;

/// A search shorter than this can't pay for probes.
const LEAST_TRIALS: usize = 8;

/// A search of this many trials can pay for probes of single knobs.
const LEAST_TRIALS_FOR_SINGLES: usize = 40;

/// One of this many trials of the search may be a probe.
const TRIALS_PER_PROBE: usize = 3;

/// Tries knobs that are handed over at all their values, where the search can pay for it. What the
/// trials show is in the journal, for [`crate::search::pruning`] to read.
pub(crate) struct Probes<'s> {
    space: &'s Space,
    workload: &'s Workload,
    /// Trials that the search can pay for, and the most of them that may be probes.
    affords: usize,
    most: usize,
    pruned: Pruned,
}

impl<'s> Probes<'s> {
    pub fn new(space: &'s Space, workload: &'s Workload, state: &State<'_>) -> Self {
        // After a break: as many as without.
        let affords = state.trials_left() + done(state);
        // Fewer show nothing.
        let most = Some(affords / TRIALS_PER_PROBE).filter(|most| *most >= fewest_probes(space));
        let pruned = Pruned::of(space, state.trials());
        Self { space, workload, affords, most: most.unwrap_or(0), pruned }
    }
}

/// How many probes were made.
fn done(state: &State<'_>) -> usize {
    state.trials().iter().filter(|trial: &&Trial| trial.strategy == PROBE).count()
}

impl<'a> Policy<'a> for Probes<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let pruned = Pruned::of(self.space, state.trials());
        pruned.news(&self.pruned).iter().for_each(|sentence| state.observer.noted(sentence));
        self.pruned = pruned;
        let probing = state.running.iter().filter(|(_, one)| one.strategy == PROBE).count();
        let is_over = done(state) + probing >= self.most || state.proposed() > 0;
        if is_over || state.trials_left() < LEAST_TRIALS {
            return Ok(None);
        }
        let running = state.running.iter();
        let running: Vec<Candidate> =
            running.filter_map(|(_, request)| self.space.candidate(&request.values)).collect();
        let is_thorough = self.affords >= LEAST_TRIALS_FOR_SINGLES;
        let next = next_probe(self.space, state.trials(), &running, is_thorough);
        let request = next.and_then(|candidate| {
            let candidate = self.pruned.with_frozen(self.space, &candidate);
            let values = values(&state.baseline, self.space, &candidate);
            state.search_request(PROBE, self.workload, values)
        });
        Ok(request.map(Next::Run))
    }
}
