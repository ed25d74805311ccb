//! The strategies by name: the one place where they are listed.

mod annealing;
mod argmin_adapter;
pub mod grid;
pub(in crate::search) mod model;
mod nelder_mead;
mod particle_swarm;
mod random;
mod relaxation;

use self::annealing::Annealing;
use self::grid::Grid;
use self::model::ModelBased;
use self::nelder_mead::NelderMead;
use self::particle_swarm::Swarm;
use self::random::Random;
use super::acquisition::Acquisition;
use super::history::History;
use crate::space::{Candidate, Space};

use Acquisition::{
    CategoryLcb, Ensemble, ExpectedImprovement, ForestImprovement as Trees, Mutation, Perturb,
    PosteriorMean, Uniform,
};

const PROCESS: [Acquisition; 8] = [
    ExpectedImprovement,
    ExpectedImprovement,
    ExpectedImprovement,
    ExpectedImprovement,
    ExpectedImprovement,
    ExpectedImprovement,
    ExpectedImprovement,
    Uniform,
];
const FOREST: [Acquisition; 8] = [Trees, Trees, Trees, Trees, Trees, Trees, Trees, Uniform];
/// Models whose errors differ, and steps that trust none of them, in turn.
const PORTFOLIO: [Acquisition; 6] =
    [ExpectedImprovement, Ensemble, Mutation, PosteriorMean, Ensemble, Perturb];
/// Where stages tell what the whole costs: what knows so much may be believed, but for categories
/// that it has seen in bad company only.
const WITH_STAGES: [Acquisition; 10] = [
    PosteriorMean,
    ExpectedImprovement,
    PosteriorMean,
    CategoryLcb,
    PosteriorMean,
    Perturb,
    PosteriorMean,
    ExpectedImprovement,
    PosteriorMean,
    CategoryLcb,
];

/// A strategy's name on the command line and in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum StrategyName {
    /// Legal candidates drawn evenly, none twice.
    Random,
    /// argmin's simulated annealing over neighbouring candidates.
    Annealing,
    /// Every candidate in turn.
    Grid,
    /// argmin's particle swarm, its points mapped to legal candidates.
    ParticleSwarm,
    /// argmin's Nelder-Mead simplex, its points mapped to legal candidates.
    NelderMead,
    /// Expected improvement under a Gaussian process.
    GaussianProcess,
    /// Expected improvement under a random forest.
    Forest,
    /// Gaussian process, its best guess, process and forest together, mutations and the best
    /// elsewhere, in turn; the process alone, its best guess, and other categories of the best,
    /// where it knows the stages.
    #[default]
    Portfolio,
}

/// Chooses what to measure next.
///
/// A proposal depends on the history alone, not on earlier calls: what a strategy keeps is what would
/// take too long to be worked out again.
pub(in crate::search) trait Strategy {
    /// A new candidate; `None` where none is left.
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate>;
}

impl StrategyName {
    /// Whether it proposes nothing while what it proposed is measured: each of its steps depends on
    /// the one before, so that a second node would stand idle.
    pub fn searches_alone(self) -> bool {
        match self {
            Self::Annealing | Self::ParticleSwarm | Self::NelderMead => true,
            Self::Random | Self::Grid | Self::GaussianProcess | Self::Forest | Self::Portfolio => {
                false
            }
        }
    }

    /// A strategy that was asked nothing yet.
    pub(in crate::search) fn strategy(self, space: &Space) -> Box<dyn Strategy> {
        let is_flat = space.knobs.is_empty();
        match self {
            Self::Random => Box::new(Random),
            // Without knobs there are no points, and one candidate.
            Self::ParticleSwarm | Self::NelderMead if is_flat => Box::new(Random),
            Self::Annealing => Box::new(Annealing),
            Self::Grid => Box::new(Grid::default()),
            Self::ParticleSwarm => Box::new(Swarm),
            Self::NelderMead => Box::new(NelderMead),
            Self::GaussianProcess => Box::new(ModelBased::new(&PROCESS)),
            Self::Forest => Box::new(ModelBased::new(&FOREST)),
            Self::Portfolio => Box::new(ModelBased::new(&PORTFOLIO).with_stages(&WITH_STAGES)),
        }
    }
}
