//! The first trial of the baseline, without which a tune makes no sense.

use anyhow::{Result, anyhow};

use super::{Next, Policy};
use crate::evidence::blame;
use crate::trial::{Outcome, Phase, STOPPED, Trial};
use crate::tune::state::State;
use crate::workload::Workload;

/// Measures the baseline on each node, again where somebody else ended its trial.
pub(crate) struct FirstBaseline<'w> {
    pub phase: Phase,
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for FirstBaseline<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        if [self.phase, Phase::Baseline].iter().any(|phase| state.own_first(*phase).is_some()) {
            return Ok(None);
        }
        let own = || state.new_trials().iter().filter(|trial| trial.phase == self.phase);
        if let Some(last) = own().next_back() {
            // The node was told to stop, and the tune was not.
            let is_others = last.detail == STOPPED && !state.is_stopped();
            let is_disturbed =
                last.outcome == Outcome::Interrupted && (is_others || !blame::is_cut(last));
            if !is_disturbed || own().count() >= blame::TRIES {
                let failed = failed(state, last);
                return if state.width() > 1 {
                    Ok(Some(Next::ExcludeNode(failed.to_string())))
                } else {
                    Err(failed)
                };
            }
        }
        let left = state.budget.left();
        let baseline = state.baseline.clone();
        Ok(Some(Next::Run(state.request(self.phase, self.workload, baseline, left))))
    }
}

/// Why a tune can't go on whose baseline ended like this.
fn failed(state: &State<'_>, trial: &Trial) -> anyhow::Error {
    let measure = state.config.measure_with;
    if blame::is_cut(trial) {
        return anyhow!(
            "the budget was over before one run of the baseline ended: give more with --budget, or \
             see how long it takes with {measure}"
        );
    }
    let Trial { outcome, detail, .. } = trial;
    if *outcome == Outcome::Interrupted {
        let go_on = state.config.resume_with.as_ref();
        let go_on = go_on.map(|command| format!("; go on with {command}")).unwrap_or_default();
        return anyhow!(
            "the baseline was interrupted each time ({detail}), so that nothing is known yet{go_on}"
        );
    }
    anyhow!("the baseline does not run here ({outcome}): {detail}; see {measure}")
}
