//! Request: what one trial is asked to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Repetitions;
use crate::knobs::Values;
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// What one trial is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialRequest {
    /// Its number in the journal.
    pub number: u64,
    /// The node that is to run it, of several.
    pub node: String,
    /// The part of the tune.
    pub phase: Phase,
    /// Confirmation pair.
    pub pair: Option<u64>,
    /// Who proposed it.
    pub strategy: String,
    /// Seeds weights and noise.
    pub seed: u64,
    /// How often it measures.
    pub repetitions: Repetitions,
    /// Seconds of a run of a command from which one is enough.
    pub long_s: Option<f64>,
    /// What to run.
    pub workload: Workload,
    /// The value of every knob.
    pub values: Values,
    /// The worst picture that it may make, dB.
    pub min_psnr_db: f64,
    /// What it may take before it counts as too slow.
    pub limit: Duration,
    /// Seconds after which it counts as too slow unless it is ready to measure.
    pub ready_s: Option<f64>,
    /// What is left of the budget for it; when this ends first, nothing was learnt of it.
    pub left: Duration,
    /// The cost above which its first repetition is enough to give it up.
    pub early_stop_s: Option<f64>,
}

impl TrialRequest {
    /// The first trial of a journal that has no other: whatever picture it makes is good enough.
    pub fn alone(
        workload: Workload,
        values: Values,
        repetitions: Repetitions,
        time: Duration,
    ) -> Self {
        Self {
            number: 1,
            node: String::new(),
            phase: Phase::Search,
            pair: None,
            strategy: String::new(),
            seed: 1,
            repetitions,
            long_s: None,
            workload,
            values,
            min_psnr_db: 0.0,
            limit: time,
            ready_s: None,
            left: time,
            early_stop_s: None,
        }
    }

    /// The same when this much of the budget has gone since.
    #[must_use]
    pub fn later(&self, gone: Duration) -> Self {
        Self { left: self.left.saturating_sub(gone), ..self.clone() }
    }

    /// How long it may run.
    pub fn time(&self) -> Duration {
        self.limit.min(self.left)
    }

    /// Whether it is the budget that ends it when its time is up. Where nothing is known yet that
    /// would make a limit, the limit is the budget.
    pub fn ends_with_the_budget(&self) -> bool {
        self.left <= self.limit
    }

    /// The journal's row of it, before anything was measured.
    pub fn trial(&self, started: String) -> Trial {
        Trial {
            number: self.number,
            started,
            node: self.node.clone(),
            phase: self.phase,
            pair: self.pair,
            strategy: self.strategy.clone(),
            seed: self.seed,
            workload: self.workload.to_string(),
            knobs: self.values.clone(),
            tool: crate::TOOL.to_owned(),
            ..Trial::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_of_a_trial_has_its_own_limit_within_the_budget() {
        let seconds = Duration::from_secs;
        let (worker, once) = (Workload::custom("worker"), Repetitions::exactly(1));
        let request = TrialRequest::alone(worker, Values::new(), once, seconds(10));
        let request = TrialRequest { left: seconds(60), ..request };
        let after = [9, 55, 61].map(|gone| request.later(seconds(gone)));
        assert_eq!([0, 1, 2].map(|n| after[n].time()), [10, 5, 0].map(seconds));
        let ends = [0, 1, 2].map(|n| after[n].ends_with_the_budget());
        assert_eq!(ends, [false, true, true]);
    }
}
