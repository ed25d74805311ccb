//! Request: what one trial is asked to do.

use std::time::Duration;

use super::Repetitions;
use crate::knobs::Values;
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// What one trial is asked to do.
#[derive(Clone, Debug)]
pub struct TrialRequest {
    /// Its number in the journal.
    pub number: u64,
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
