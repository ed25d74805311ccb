//! Nelder and Mead's simplex: argmin's, over points, begun again where it has converged.

use argmin::core::{Error, Executor};
use argmin::solver::neldermead::NelderMead;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::relaxation::{Point, Relaxation};
use crate::search::objective::Objective;

/// Iterations before a simplex is given up for a new one.
const PATIENCE: u64 = 40;

pub(in crate::search) fn search(objective: &Objective<'_>) -> Result<(), Error> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(objective.seed());
    loop {
        let problem = Relaxation::new(objective, &mut rng);
        let corners = objective.space().knobs.len() + 1;
        let mut simplex: Vec<Point> = (0..corners).map(|_| problem.any(&mut rng)).collect();
        if let Some(best) = objective.best_asked() {
            simplex[0] = problem.point(&best);
        }
        // argmin's `init` unwraps the costs of the corners: an error has to come up before it.
        for corner in &simplex {
            problem.hold(corner)?;
        }
        let solver = NelderMead::new(simplex);
        Executor::new(problem, solver).configure(|s| s.max_iters(PATIENCE)).ctrlc(false).run()?;
    }
}
