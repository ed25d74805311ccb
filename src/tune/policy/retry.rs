//! Retries: candidates whose trials told nothing, because somebody ended them or the machine failed,
//! are measured again.

use anyhow::Result;

use super::{Next, Policy, is_proposed};
use crate::evidence::blame;
use crate::knobs::Values;
use crate::trial::Trial;
use crate::tune::state::State;
use crate::workload::Workload;

/// Measures again what nothing was learnt of.
pub(crate) struct Retries<'w> {
    pub strategy: &'w str,
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Retries<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let request = |values| state.search_request(self.strategy, self.workload, values);
        Ok(unknown(state).and_then(request).map(Next::Run))
    }
}

/// The values of the first proposed trial of whose candidate no trial says anything, unless it is given
/// up.
fn unknown(state: &State<'_>) -> Option<Values> {
    let trials = state.trials();
    let silent = blame::silent(trials, &state.baseline);
    let tells = |values: &Values| {
        trials.iter().zip(&silent).any(|(trial, silent)| !silent && trial.knobs == *values)
    };
    let is_unknown = |(trial, silent): &(&Trial, &bool)| {
        **silent && is_proposed(trial) && !tells(&trial.knobs) && !state.is_given_up(&trial.knobs)
    };
    let found = trials.iter().zip(&silent).find(is_unknown);
    found.map(|(trial, _)| trial.knobs.clone())
}
