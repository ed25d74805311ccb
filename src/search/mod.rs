//! Search: which candidates to measure. A [`Study`] is asked for candidates and told what came of them; it
//! measures nothing.

pub mod acquisition;
mod constraint_cache;
mod cost;
pub mod history;
pub mod importance;
pub mod pruning;
mod recorded;
pub mod remeasure;
mod sampler;
pub mod scaling;
pub mod strategies;
mod study;
pub mod surrogate;
pub mod transfer;

use std::collections::BTreeMap;

use self::scaling::Timed;
use crate::space::Candidate;
use crate::trial::{Outcome, Trial};

pub(crate) use cost::FAILED;
pub use history::Identify;
pub use recorded::Recorded;
pub use strategies::StrategyName;
pub use study::Study;
pub(crate) use surrogate::cholesky::Factor;
pub use surrogate::forest_ratio::ForestRatio;
pub use transfer::Transfer;

/// What one measurement says to a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was measured.
    pub candidate: Candidate,
    /// What came of it.
    pub measurement: Measurement,
    /// Busy seconds per clip by stage, where the measurement has stages.
    pub stages: BTreeMap<String, f64>,
}

/// What came of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measurement {
    /// The cost, to be minimised (seconds per clip).
    Cost(f64),
    /// The cost is at least this: the trial was cut when it had taken too long. It is never chosen.
    AtLeast(f64),
    /// It crashed, ran out of memory, made a bad picture: what is like it may do so too.
    Failed,
}

impl Observation {
    /// An observation without stages.
    pub fn new(candidate: Candidate, measurement: Measurement) -> Self {
        Self { candidate, measurement, stages: BTreeMap::new() }
    }

    /// What `trial` says of `candidate`; one that ran past its time limit costs `too_slow` at
    /// least.
    pub fn of(candidate: Candidate, trial: &Trial, too_slow: Option<f64>) -> Self {
        let measurement = match (trial.outcome, too_slow) {
            (Outcome::Timeout, Some(cost)) => Measurement::AtLeast(cost),
            _ => trial.score().into(),
        };
        let timed = Timed::of(trial).unwrap_or_default();
        Self { candidate, measurement, stages: timed.stages }
    }

    /// The measured cost, to be minimised; `None` where the trial failed or was cut.
    pub fn cost(&self) -> Option<f64> {
        match self.measurement {
            Measurement::Cost(cost) => Some(cost),
            _ => None,
        }
    }
}

impl Measurement {
    /// The same measurement on a machine on which everything takes `factor` times as long.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        match self {
            Self::Cost(cost) => Self::Cost(cost * factor),
            Self::AtLeast(cost) => Self::AtLeast(cost * factor),
            Self::Failed => Self::Failed,
        }
    }
}

impl From<Option<f64>> for Measurement {
    /// A cost or a failure.
    fn from(cost: Option<f64>) -> Self {
        cost.map_or(Self::Failed, Self::Cost)
    }
}

/// What to search with and from.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The strategy.
    pub strategy: StrategyName,
    /// Decides every choice left to chance.
    pub seed: u64,
    /// Measured before the strategy's own proposals, unless known: experts' candidates.
    pub first: Vec<Candidate>,
    /// What earlier searches found: the best of them are measured before [`Plan::first`], and the
    /// rest is believed as far as it proves right.
    pub transfers: Vec<Transfer>,
}
