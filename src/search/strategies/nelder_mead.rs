//! Nelder and Mead's simplex: argmin's, over points, begun again where it has converged.

use argmin::core::{Error, Executor};
use argmin::solver::neldermead;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Strategy;
use super::argmin_adapter::{KnownCosts, proposal};
use super::relaxation::{Point, Relaxation};
use crate::search::history::History;
use crate::space::Candidate;

/// Iterations before a simplex is given up for a new one.
const PATIENCE: u64 = 40;

pub(super) struct NelderMead;

impl Strategy for NelderMead {
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        let answers = KnownCosts::new(history);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(history.seed());
        loop {
            let ended = simplex(&answers, &mut rng);
            if ended.is_err() {
                return proposal(ended, history);
            }
        }
    }
}

fn simplex(answers: &KnownCosts<'_, '_>, rng: &mut Xoshiro256PlusPlus) -> Result<(), Error> {
    let problem = Relaxation::new(answers, rng);
    let corners = answers.history.space().knobs.len() + 1;
    let mut simplex: Vec<Point> = (0..corners).map(|_| problem.any(rng)).collect();
    if let Some(best) = answers.best() {
        simplex[0] = problem.point(&best);
    }
    // argmin's `init` unwraps the costs of the corners: an error has to come up before it.
    for corner in &simplex {
        problem.hold(corner)?;
    }
    let solver = neldermead::NelderMead::new(simplex);
    Executor::new(problem, solver).configure(|s| s.max_iters(PATIENCE)).ctrlc(false).run()?;
    Ok(())
}
