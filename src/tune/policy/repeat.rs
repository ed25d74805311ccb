//! Repeats: near the end of the search its best candidates are measured again.
//!
//! Before, a trial is better spent on a new candidate: what is best then is too far from the end to be
//! worth a second look.

use std::collections::HashSet;

use anyhow::Result;

use super::{Next, Policy, RemeasureWhen};
use crate::search::Observation;
use crate::search::remeasure::doubtful;
use crate::space::{Candidate, Space};
use crate::trial::Phase;
use crate::tune::observations::{Observations, values};
use crate::tune::state::State;
use crate::workload::Workload;

/// The share of the search that is left when every other trial may be a repetition.
const NEAR_THE_END: f64 = 0.2;

/// Measures the best again while the search goes on.
pub(crate) struct Repeats<'s> {
    space: &'s Space,
    workload: &'s Workload,
    observations: Observations<'s>,
}

impl<'s> Repeats<'s> {
    pub fn new(space: &'s Space, workload: &'s Workload) -> Self {
        Self { space, workload, observations: Observations::of(space) }
    }
}

impl<'a> Policy<'a> for Repeats<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let is_again = state.own_trials().last().is_some_and(|last| last.phase == Phase::Repeat);
        let is_due = !is_again && state.share_left() <= NEAR_THE_END;
        let Some(left) = RemeasureWhen::Search.left(state).filter(|_| is_due) else {
            return Ok(None);
        };
        let mut observations = self.observations.told(state);
        // What failed in a repetition is no finalist, whatever its first time was.
        let is_failed = |one: &&Observation| one.cost().is_none();
        let failed = observations.iter().filter(is_failed).map(|one| one.candidate.clone());
        let failed: HashSet<Candidate> = failed.collect();
        observations.retain(|one| !failed.contains(&one.candidate));
        let doubtful = doubtful(self.space, &observations);
        let request = |candidate| {
            let values = values(&state.baseline, self.space, &candidate);
            // The baseline comes back by itself.
            let is_wanted = values != state.baseline && !state.is_given_up(&values);
            let request = state.request(Phase::Repeat, self.workload, values, left);
            is_wanted.then_some(Next::Run(request))
        };
        Ok(doubtful.and_then(request))
    }
}
