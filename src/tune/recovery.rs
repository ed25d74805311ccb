//! Recovery: after failures in a row the baseline is asked, and where it fails as well the tune
//! waits until the machine is itself again.

use std::time::Duration;

use anyhow::Result;

use super::{Session, TrialRequest};
use crate::evidence::blame;
use crate::knobs::Values;
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::Workload;

/// The first pause before the baseline is asked again; each next one is longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGER: f64 = 1.5;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The most time that a tune waits, as a share of its budget, and at all.
const SHARE: f64 = 0.5;
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
}

impl Session<'_> {
    /// Asks the baseline where the last trials put the machine in doubt, and again until it runs.
    ///
    /// # Errors
    /// [`BaselineFails`] where it does not recover; the tuner itself can't go on.
    pub(super) fn recover(&mut self, workload: &Workload) -> Result<()> {
        let baseline = self.runner.baseline();
        let (mut pause, mut waited, mut is_asked) = (FIRST_PAUSE, Duration::ZERO, false);
        while blame::is_machine_in_doubt(&self.trials, &baseline) {
            let failing = blame::failing_baseline(&self.trials, &baseline);
            let failing = failing.map(BaselineFails::of);
            if is_asked || failing.is_some() {
                if self.is_stopped() || !self.can_wait(waited + pause) {
                    return failing.map_or(Ok(()), |failing| Err(failing.into()));
                }
                if let Some(failing) = &failing {
                    self.note_failing(failing, pause);
                }
                self.runner.pause(pause, &|| self.is_stopped());
                waited += pause;
                pause = pause.mul_f64(LONGER).min(LONGEST_PAUSE);
            } else if self.is_stopped() || self.budget.left() < self.baseline_trial() {
                return Ok(());
            }
            if !self.is_stopped() {
                self.ask(workload, &baseline)?;
                is_asked = true;
            }
        }
        Ok(())
    }

    fn ask(&mut self, workload: &Workload, baseline: &Values) -> Result<Trial> {
        let left = self.budget.left();
        let limit = self.limit().unwrap_or(left);
        let order = self.of_baseline(Phase::Sentinel, workload, baseline);
        let trial = self.measure(&TrialRequest { limit, ..order })?;
        self.record(trial)
    }

    /// Whether the budget pays for waiting so long in all and one more trial of the baseline.
    fn can_wait(&self, time: Duration) -> bool {
        let most = self.budget.total().mul_f64(SHARE).min(LONGEST);
        time <= most && self.budget.left() > self.baseline_trial() + FIRST_PAUSE
    }

    fn note_failing(&self, failing: &BaselineFails, pause: Duration) {
        let BaselineFails { outcome, detail } = failing;
        let seconds = pause.as_secs_f64();
        self.observer.noted(&format!(
            "the baseline fails too ({outcome}: {detail}): the failures before it are not held \
             against their candidates; asking again in {seconds:.1} s"
        ));
    }
}
