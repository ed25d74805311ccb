//! Feasibility: where candidates fail, so that the search stops proposing what crashes, runs out of
//! memory, makes a bad picture or takes too long.

use rand::Rng;

use super::data::Data;
use super::forest::Forest;
use crate::space::{Candidate, Space};

/// The chance of success of candidates, learnt from those that succeeded and those that did not.
pub(in crate::search) struct Feasibility {
    forest: Forest,
    /// With less of a chance a candidate is not proposed as long as there are others.
    enough: f64,
}

/// The least chance that a candidate is given: the forest may be wrong.
const LEAST_PROBABILITY: f64 = 0.05;
/// What is enough of a chance, where most candidates succeed, and where few do as a share of them.
const ENOUGH_PROBABILITY: f64 = 0.5;
const SHARE: f64 = 0.6;
/// What no expected improvement makes up for, in logarithms.
const REFUSED: f64 = 100.0;

impl Feasibility {
    /// `None` while nothing has failed.
    pub fn new(space: &Space, data: &Data, rng: &mut impl Rng) -> Option<Self> {
        let tried = data.successes();
        let failed = tried.targets.iter().filter(|target| **target == 0.0).count();
        if failed == 0 {
            return None;
        }
        let share = 1.0 - failed as f64 / tried.len() as f64;
        let forest = Forest::new(space, &tried, rng);
        Some(Self { forest, enough: ENOUGH_PROBABILITY.min(SHARE * share) })
    }

    /// The logarithm of each candidate's chance; far lower where it is not enough.
    pub fn log_chances(&self, candidates: &[Candidate]) -> Vec<f64> {
        let log = |(chance, _): (f64, f64)| {
            chance.max(LEAST_PROBABILITY).ln() - if chance < self.enough { REFUSED } else { 0.0 }
        };
        self.forest.predict(candidates).into_iter().map(log).collect()
    }

    /// Leaves only what has enough of a chance, if anything has.
    pub fn retain_feasible(&self, candidates: &mut Vec<Candidate>) {
        let chances = self.forest.predict(candidates);
        if chances.iter().any(|(chance, _)| *chance >= self.enough) {
            let mut chances = chances.into_iter();
            candidates.retain(|_| chances.next().is_some_and(|(chance, _)| chance >= self.enough));
        }
    }

    /// Whether the candidate has enough of a chance.
    pub fn is_feasible(&self, candidate: &Candidate) -> bool {
        self.forest.predict(std::slice::from_ref(candidate))[0].0 >= self.enough
    }
}
