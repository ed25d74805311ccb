//! Recovery: after failures in a row the baseline is asked, and where it fails as well the tune
//! waits until the machine is itself again.

use std::time::Duration;

use anyhow::Result;

use super::{Next, Policy};
use crate::evidence::blame;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::state::State;
use crate::workload::Workload;

/// The first pause before the baseline is asked again; each next one is longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_GROWTH: f64 = 1.5;
const MOST_WAIT: Duration = Duration::from_secs(60);

/// The most time that a tune waits, as a share of its budget, and at all.
const MOST_BUDGET_SHARE: f64 = 0.5;
const LONGEST: Duration = Duration::from_secs(600);

/// The baseline, which ran before, does not run any more: nothing can be said of any candidate.
#[derive(Debug, thiserror::Error)]
#[error(
    "the baseline fails, which ran before ({outcome}: {detail}): something is wrong with the machine \
     or with what the job needs, and no candidate is to blame"
)]
pub struct BaselineFails {
    outcome: Outcome,
    detail: String,
}

impl BaselineFails {
    fn of(trial: &Trial) -> Self {
        Self { outcome: trial.outcome, detail: trial.detail.clone() }
    }

    fn sentence(&self, pause: Duration) -> String {
        let Self { outcome, detail } = self;
        let seconds = pause.as_secs_f64();
        format!(
            "the baseline fails too ({outcome}: {detail}): the failures before it are not held \
             against their candidates; asking again in {seconds:.1} s"
        )
    }
}

/// Asks the baseline where the last trials put the machine in doubt, and again until it runs.
pub(crate) struct Recovery<'w> {
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Recovery<'_> {
    /// # Errors
    /// [`BaselineFails`] where it does not recover.
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let trials = state.own_trials();
        let is_first = |trial: &Trial| matches!(trial.phase, Phase::Calibration | Phase::Baseline);
        let is_begun = trials.last().is_some_and(|last| !is_first(last));
        if !is_begun || !blame::is_machine_in_doubt(trials, &state.baseline) {
            return Ok(None);
        }
        let asked = asked(state);
        if asked == 0 {
            let affords = state.budget.left() >= state.baseline_trial();
            return Ok(affords.then(|| Next::Run(self.ask(state))));
        }
        let pauses = pauses(asked);
        let pause = pauses.last().copied().unwrap_or_default();
        let failing = blame::failing_baseline(trials, &state.baseline).map(BaselineFails::of);
        // Others need not wait for it.
        if let Some(failing) = failing.as_ref().filter(|_| state.width() > 1) {
            return Ok(Some(Next::ExcludeNode(failing.to_string())));
        }
        if !can_wait(state, pauses.iter().sum()) {
            return failing.map_or(Ok(None), |failing| Err(failing.into()));
        }
        let sentence = failing.map(|failing| failing.sentence(pause));
        Ok(Some(Next::After(pause, sentence, self.ask(state))))
    }
}

impl Recovery<'_> {
    fn ask(&self, state: &State<'_>) -> crate::runner::TrialRequest {
        let left = state.budget.left();
        state.request(Phase::Sentinel, self.workload, state.baseline.clone(), left)
    }
}

/// How often the baseline was asked since the tune began, or came back, and since a trial ran well.
fn asked(state: &State<'_>) -> usize {
    let failing = state.new_trials().iter().rev().take_while(|trial| !blame::is_sound(trial));
    let is_asked = |trial: &&Trial| trial.knobs == state.baseline && trial.phase.is_comparable();
    failing.filter(is_asked).count()
}

/// The lengths of the first `count` pauses.
fn pauses(count: usize) -> Vec<Duration> {
    let longer = |pause: &Duration| Some(pause.mul_f64(PAUSE_GROWTH).min(MOST_WAIT));
    std::iter::successors(Some(FIRST_PAUSE), longer).take(count).collect()
}

/// Whether the budget pays for waiting so long in all and one more trial of the baseline.
fn can_wait(state: &State<'_>, time: Duration) -> bool {
    let most = state.budget.total().mul_f64(MOST_BUDGET_SHARE).min(LONGEST);
    time <= most && state.budget.left() > state.baseline_trial() + FIRST_PAUSE
}
