//! Invalidated trials: candidates that looked good while the machine changed are measured again.

use anyhow::Result;

use super::{Next, Policy, RemeasureWhen};
use crate::evidence::{blame, ranking};
use crate::knobs::Values;
use crate::trial::{Phase, Trial};
use crate::tune::state::State;
use crate::workload::Workload;

/// A candidate this much slower than the best is not worth another trial.
const RETRY_COST_RATIO: f64 = 1.1;

/// Measures again what a jump of the machine's speed invalidated.
pub(crate) struct Invalidated<'w> {
    pub stage: RemeasureWhen,
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Invalidated<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let Some(left) = self.stage.left(state) else { return Ok(None) };
        let request = |values| state.request(Phase::Repeat, self.workload, values, left);
        Ok(promising(state).map(request).map(Next::Run))
    }
}

/// The values of the first invalidated trial that looked good, unless another one counts, or failed.
fn promising(state: &State<'_>) -> Option<Values> {
    let (trials, drift) = (state.trials(), state.drift());
    let searched = |trial: &&Trial| matches!(trial.phase, Phase::Search | Phase::Repeat);
    let mut invalidated =
        trials.iter().filter(searched).filter(|trial| drift.is_invalidated(trial)).peekable();
    invalidated.peek()?;
    let ranking = ranking::rank(trials, drift);
    let best_s = ranking.first()?.score_s;
    let failures = blame::failures(trials, &state.baseline);
    let looks_good = |trial: &Trial| {
        drift.score(trial).is_some_and(|score_s| score_s < RETRY_COST_RATIO * best_s)
    };
    let is_open = |values: &Values| {
        !ranking.iter().any(|ranked| ranked.knobs == *values)
            && !failures.iter().any(|failure| failure.knobs == *values)
            && !state.is_given_up(values)
    };
    let found = invalidated.find(|trial| looks_good(trial) && is_open(&trial.knobs));
    found.map(|trial| trial.knobs.clone())
}
