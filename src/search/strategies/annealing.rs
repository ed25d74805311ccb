//! Annealing: argmin's simulated annealing, directly on candidates.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, IterState};
use argmin::solver::simulatedannealing::{Anneal, SATempFunc, SimulatedAnnealing};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Strategy;
use super::argmin_adapter::{Exhausted, KnownCosts, proposal};
use crate::search::cost::log_like;
use crate::search::history::History;
use crate::space::Candidate;

/// In units of log cost: a step 10% worse is taken about two times in five at first.
const FIRST_TEMPERATURE: f64 = 0.3;
/// The temperature's factor from one step to the next.
const COOLING: f64 = 0.97;
/// Steps without a better candidate after which it is hot again.
const STALLED: u64 = 60;

pub(super) struct Annealing;

impl Strategy for Annealing {
    /// From the best of what was measured first, until a candidate is not known.
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        proposal(anneal(&KnownCosts::new(history)), history)
    }
}

/// The cost function with an idea of what neighbours are.
struct Annealed<'o, 'a> {
    answers: &'o KnownCosts<'o, 'a>,
    rng: RefCell<Xoshiro256PlusPlus>,
}

fn anneal(answers: &KnownCosts<'_, '_>) -> Result<(), Error> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(answers.history.seed());
    let drawn = || answers.history.sampler().any(&mut rng);
    let start = answers.best().or_else(drawn).ok_or(Exhausted)?;
    let solver = SimulatedAnnealing::new_with_rng(FIRST_TEMPERATURE, rng.clone())?
        .with_temp_func(SATempFunc::Exponential(COOLING))
        .with_reannealing_best(STALLED);
    rng.jump();
    let problem = Annealed { answers, rng: RefCell::new(rng) };
    let from_start = |state: IterState<Candidate, (), (), (), (), f64>| state.param(start);
    Executor::new(problem, solver).configure(from_start).ctrlc(false).run().map(drop)
}

impl CostFunction for Annealed<'_, '_> {
    type Param = Candidate;
    type Output = f64;

    /// Log cost, so that one temperature fits microseconds and hours.
    fn cost(&self, candidate: &Candidate) -> Result<f64, Error> {
        self.answers.cost(candidate).map(log_like)
    }
}

impl Anneal for Annealed<'_, '_> {
    type Param = Candidate;
    type Output = Candidate;
    type Float = f64;

    /// One knob one level further, or in another category; somewhere else where all that is
    /// known.
    fn anneal(&self, candidate: &Candidate, _temperature: f64) -> Result<Candidate, Error> {
        let rng = &mut *self.rng.borrow_mut();
        let sampler = self.answers.history.sampler();
        let unasked = |found: &Candidate| self.answers.is_unasked(found);
        let mut neighbours = sampler.neighbours(candidate, 1);
        neighbours.retain(unasked);
        let chosen = neighbours.choose(rng).cloned();
        Ok(chosen.or_else(|| sampler.wanted(rng, unasked)).ok_or(Exhausted)?)
    }
}
