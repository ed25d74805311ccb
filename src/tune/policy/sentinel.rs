//! Sentinels: the baseline comes back, to see the machine drift.

use anyhow::Result;

use super::{Next, Policy, RemeasureWhen};
use crate::trial::{Phase, Trial};
use crate::tune::state::State;
use crate::workload::Workload;

/// A sentinel is due when other trials took this many times as long as one of the baseline.
const SENTINEL_INTERVAL_TRIALS: f64 = 8.0;

/// Brings the baseline back.
pub(crate) struct Sentinels<'w> {
    pub stage: RemeasureWhen,
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Sentinels<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let left = self.stage.left(state).filter(|_| is_due(state));
        let request =
            |left| state.request(Phase::Sentinel, self.workload, state.baseline.clone(), left);
        Ok(left.map(request).map(Next::Run))
    }
}

/// Whether the baseline has to come back: after a while, after a break, and when its last return was
/// so odd that another one has to explain it.
fn is_due(state: &State<'_>) -> bool {
    let trials = state.own_trials();
    let others = trials.iter().rev().take_while(|trial| trial.knobs != state.baseline);
    let others: f64 = others.map(|trial| trial.wall_s).sum();
    let mut last = trials.iter().rev();
    let of_sentinel = |trial: Option<&Trial>| trial.is_some_and(|t| t.phase == Phase::Sentinel);
    let is_in_doubt = state.drift().is_in_doubt(state.node());
    let odd = of_sentinel(last.next()) && !of_sentinel(last.next()) && is_in_doubt;
    odd || state.is_back()
        || others > SENTINEL_INTERVAL_TRIALS * state.baseline_trial().as_secs_f64()
}
