//! Strategy: proposes candidates; argmin's executor runs the loop.
//!
//! What a strategy learns of the world goes through [`Measure`]; the tuner's implementation
//! starts worker processes and writes the journal, the replay's looks results up.

use crate::space::Candidate;

/// What one measurement says to a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was measured.
    pub candidate: Candidate,
    /// Its cost, to be minimised (seconds a clip); `None` where the trial failed.
    pub cost: Option<f64>,
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

    /// Measures a legal candidate that was not measured before.
    ///
    /// # Errors
    /// [`Stop`] when no more may be measured. A failed trial is no error.
    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop>;
}
