//! Particle swarm: argmin's, over points.

use argmin::core::{Error, Executor};
use argmin::solver::particleswarm::ParticleSwarm;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::relaxation::Relaxation;
use crate::search::objective::Objective;

/// Particles: few, since each of them is a trial in every iteration.
const PARTICLES: usize = 12;

pub(in crate::search) fn search(objective: &Objective<'_>) -> Result<(), Error> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(objective.seed());
    let problem = Relaxation::new(objective, &mut rng);
    let knobs = objective.space().knobs.len();
    let bounds = (vec![0.0; knobs], vec![1.0; knobs]);
    let solver = ParticleSwarm::new(bounds, PARTICLES).with_rng_generator(rng);
    Executor::new(problem, solver).ctrlc(false).run().map(|_| ())
}
