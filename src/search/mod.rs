//! Strategy: proposes candidates; argmin's executor runs the loop.
//!
//! What a strategy learns of the world goes through [`Measure`]; the tuner's implementation
//! starts worker processes and writes the journal, the replay's looks results up. Between the
//! two stands one [`Objective`], argmin's cost function, which owns what every strategy needs:
//! legality, canonical forms, duplicates, penalties and the end of the budget.

pub mod acquisition;
mod constraint_cache;
pub mod importance;
mod objective;
mod propose;
pub mod pruning;
pub mod replay;
mod sampler;
pub mod scaling;
pub mod strategies;
pub mod surrogate;
pub mod transfer;

use std::collections::BTreeMap;

use self::scaling::Timed;
use crate::space::{Candidate, Space};
use crate::trial::{Outcome, Trial};

pub(crate) use objective::FAILED;
pub use objective::Objective;
pub(crate) use sampler::normal;
pub use strategies::StrategyName;
pub(crate) use surrogate::cholesky::Factor;
pub use surrogate::comparison::Surrogate;
pub use transfer::Transfer;

/// What one measurement says to a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was measured.
    pub candidate: Candidate,
    /// What came of it.
    pub finding: Finding,
    /// Busy seconds a clip by stage, where the measurement has stages.
    pub stages: BTreeMap<String, f64>,
}

/// What came of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// The cost, to be minimised (seconds a clip).
    Cost(f64),
    /// The cost is at least this: the trial was cut when it had taken too long. It is never chosen.
    AtLeast(f64),
    /// It crashed, ran out of memory, made a bad picture: what is like it may do so too.
    Failed,
}

impl Observation {
    /// An observation without stages.
    pub fn new(candidate: Candidate, finding: Finding) -> Self {
        Self { candidate, finding, stages: BTreeMap::new() }
    }

    /// What `trial` says of `candidate`; one that ran past its time limit costs `too_slow` at
    /// least.
    pub fn of(candidate: Candidate, trial: &Trial, too_slow: Option<f64>) -> Self {
        let finding = match (trial.outcome, too_slow) {
            (Outcome::Timeout, Some(cost)) => Finding::AtLeast(cost),
            _ => trial.score_s().into(),
        };
        let timed = Timed::of(trial).unwrap_or_default();
        Self { candidate, finding, stages: timed.stages }
    }

    /// The measured cost, to be minimised; `None` where the trial failed or was cut.
    pub fn cost(&self) -> Option<f64> {
        match self.finding {
            Finding::Cost(cost) => Some(cost),
            _ => None,
        }
    }
}

impl Finding {
    /// The same finding on a machine on which everything takes `factor` times as long.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        match self {
            Self::Cost(cost) => Self::Cost(cost * factor),
            Self::AtLeast(cost) => Self::AtLeast(cost * factor),
            Self::Failed => Self::Failed,
        }
    }
}

impl From<Option<f64>> for Finding {
    /// A cost or a failure.
    fn from(cost: Option<f64>) -> Self {
        cost.map_or(Self::Failed, Self::Cost)
    }
}

/// Why a search has to end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The budget's share for the search is spent.
    #[error("the budget is spent")]
    Budget,
    /// Somebody asked the tuner to finish with what it has.
    #[error("interrupted")]
    Interrupted,
    /// The journal can't be written: going on would lose results.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

/// Turns candidates into observations.
pub trait Measure {
    /// What makes two candidates the same on this machine (a digest of the settings that they
    /// resolve to), or `None` where the machine can't run the candidate.
    fn identity(&self, candidate: &Candidate) -> Option<u64>;

    /// Measures a legal candidate: a new one or, where noise makes a strategy doubt what it
    /// has seen, one that was measured before.
    ///
    /// # Errors
    /// [`Stop`] when no more may be measured. A failed trial is no error.
    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop>;

    /// What it measured besides since it was asked last, in order: repetitions that are not the
    /// strategy's affair.
    fn extra_observations(&mut self) -> Vec<Observation> {
        Vec::new()
    }

    /// The candidates of whose failures it told since it was asked last and that turned out to be
    /// nobody's fault: they are to be forgotten.
    fn retracted(&mut self) -> Vec<Candidate> {
        Vec::new()
    }

    /// How many more it will measure, where noise is the strategy's own affair; `None` where it is
    /// not, and no candidate needs to be measured twice.
    fn left(&self) -> Option<usize> {
        None
    }

    /// How often it changed what the search goes on without; when that changes, so may identities.
    fn dropped(&self) -> usize {
        0
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
    /// What was observed before this search, in that order: a run that is given what an earlier one
    /// observed, and has left what it had left, goes on as that one would have.
    pub known: Vec<Observation>,
    /// What earlier searches found: the best of them are measured after [`Plan::first`], and the
    /// rest is believed as far as it proves right.
    pub transfers: Vec<Transfer>,
}

/// Why a search ended.
#[derive(Debug)]
pub enum End {
    /// No legal candidate is left that was not measured.
    Exhausted,
    /// [`Measure`] said so.
    Stopped(Stop),
}

/// Ends a run of one of argmin's solvers that has nothing new left to ask for.
#[derive(Debug, thiserror::Error)]
#[error("no legal candidate is left that was not measured")]
struct Exhausted;

/// Everything observed, and why it is not more.
#[derive(Debug)]
pub struct Ended {
    /// [`Plan::known`], then what this search measured, in order.
    pub observations: Vec<Observation>,
    /// Why no more.
    pub why: End,
}

/// Searches until the space is exhausted or [`Measure`] stops it.
pub fn run(space: &Space, plan: &Plan, measure: &mut dyn Measure) -> Ended {
    let objective = Objective::new(space, plan, measure);
    let first = [plan.first.clone(), Transfer::best(&plan.transfers)].concat();
    let why = match objective.begin(&first).and_then(|()| plan.strategy.search(&objective)) {
        Ok(()) => End::Exhausted,
        Err(error) if error.is::<Exhausted>() => End::Exhausted,
        Err(error) => End::Stopped(error.downcast().unwrap_or_else(Stop::Broken)),
    };
    Ended { observations: objective.into_observations(), why }
}

/// The candidate to keep after a search; `None` where nothing succeeded.
///
/// Where candidates that were measured more than once show noise, the lowest number is a lucky
/// one, and the choice is the lowest posterior mean of a Gaussian process.
pub fn choose(space: &Space, observations: &[Observation]) -> Option<Candidate> {
    strategies::remeasure::choose(space, observations)
}
