//! Particle swarm: argmin's, over points.

use argmin::core::Executor;
use argmin::solver::particleswarm::ParticleSwarm;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Strategy;
use super::argmin_adapter::{KnownCosts, proposal};
use super::relaxation::Relaxation;
use crate::search::history::History;
use crate::space::Candidate;

/// Particles: few, since each of them is a trial in every iteration.
const PARTICLES: usize = 12;

pub(super) struct Swarm;

impl Strategy for Swarm {
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        let answers = KnownCosts::new(history);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(history.seed());
        let problem = Relaxation::new(&answers, &mut rng);
        let knobs = history.space().knobs.len();
        let bounds = (vec![0.0; knobs], vec![1.0; knobs]);
        let solver = ParticleSwarm::new(bounds, PARTICLES).with_rng_generator(rng);
        proposal(Executor::new(problem, solver).ctrlc(false).run().map(drop), history)
    }
}
