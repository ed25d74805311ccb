//! The strategies by name: the one place where they are listed.

pub mod annealing;
pub mod grid;
pub mod model;
pub mod random;
pub mod relaxation;
pub mod remeasure;
pub mod simplex;
pub mod swarm;

use argmin::core::Error;

use self::grid::Grid;
use self::model::ModelBased;
use super::acquisition::Acquisition;
use super::objective::Objective;
use super::propose;

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
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
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

impl StrategyName {
    /// Searches until nothing is left to propose.
    ///
    /// # Errors
    /// [`super::Stop`], to be recognised by downcast, or what broke inside argmin.
    pub(in crate::search) fn search(self, objective: &Objective<'_>) -> Result<(), Error> {
        let is_flat = objective.space().knobs.is_empty();
        match self {
            Self::Random => propose::search(objective, random::Random),
            // Without knobs there are no points, and one candidate.
            Self::ParticleSwarm | Self::NelderMead if is_flat => {
                propose::search(objective, random::Random)
            }
            Self::Annealing => annealing::search(objective),
            Self::Grid => propose::search(objective, Grid::new()),
            Self::ParticleSwarm => swarm::search(objective),
            Self::NelderMead => simplex::search(objective),
            Self::GaussianProcess => propose::search(objective, ModelBased::new(&PROCESS)),
            Self::Forest => propose::search(objective, ModelBased::new(&FOREST)),
            Self::Portfolio => {
                propose::search(objective, ModelBased::new(&PORTFOLIO).with_stages(&WITH_STAGES))
            }
        }
    }
}
