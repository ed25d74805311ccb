//! Argmin adapter: how argmin's solvers ask and are told.
//!
//! A solver calls its cost function and goes on with the result. Here it runs anew, from its seed,
//! for every proposal: costs that were observed are its answers, and the first candidate that has
//! none ends the run and is the proposal.

use std::cell::RefCell;
use std::collections::HashSet;

use argmin::core::Error;

use crate::search::cost::FAILED;
use crate::search::history::History;
use crate::space::Candidate;

/// The cost function of one run.
pub(super) struct KnownCosts<'h, 'a> {
    pub history: &'h History<'a>,
    /// What this run asked for.
    asked: RefCell<HashSet<u64>>,
    best: RefCell<Option<(f64, Candidate)>>,
}

/// Ends a run whose next candidate was not observed yet.
#[derive(Debug, thiserror::Error)]
#[error("the candidate was not observed yet")]
struct Unanswered(Candidate);

/// Ends a run that has nothing new left to ask for.
#[derive(Debug, thiserror::Error)]
#[error("no legal candidate is left that was not asked for")]
pub(super) struct Exhausted;

impl<'h, 'a> KnownCosts<'h, 'a> {
    /// A run that begins with what comes before a strategy's own proposals.
    pub fn new(history: &'h History<'a>) -> Self {
        let answers = Self { history, asked: RefCell::default(), best: RefCell::default() };
        for candidate in history.first() {
            // What is pending has no cost yet.
            let _ = answers.cost(candidate);
        }
        answers
    }

    /// The cost of a canonical, legal candidate.
    pub fn cost(&self, candidate: &Candidate) -> Result<f64, Error> {
        let Some(identity) = self.history.identity(candidate) else { return Ok(FAILED) };
        self.asked.borrow_mut().insert(identity);
        let cost = self.history.cost(identity);
        let cost = cost.ok_or_else(|| Unanswered(candidate.clone()))?;
        let mut best = self.best.borrow_mut();
        if best.as_ref().is_none_or(|(lowest, _)| cost < *lowest) {
            *best = Some((cost, candidate.clone()));
        }
        Ok(cost)
    }

    /// Whether this run could still ask for the canonical, legal `candidate`.
    pub fn is_unasked(&self, candidate: &Candidate) -> bool {
        let identity = self.history.identity(candidate);
        identity.is_some_and(|identity| !self.asked.borrow().contains(&identity))
    }

    /// The cheapest candidate that this run has asked for.
    pub fn best(&self) -> Option<Candidate> {
        self.best.borrow().as_ref().map(|(_, candidate)| candidate.clone())
    }
}

/// What a run that has ended proposes; nothing where that is pending, since the next step depends on it.
pub(super) fn proposal(ended: Result<(), Error>, history: &History<'_>) -> Option<Candidate> {
    let Unanswered(candidate) = ended.err()?.downcast::<Unanswered>().ok()?;
    history.is_new(&candidate).then_some(candidate)
}
