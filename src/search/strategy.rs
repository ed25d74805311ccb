//! The strategies by name: the one place where they are listed.

use std::fmt;
use std::str::FromStr;

use argmin::core::Error;

use super::grid::Grid;
use super::model::{Modelled, Voice};
use super::objective::Objective;
use super::{annealing, propose, random, simplex, swarm};

use Voice::{Any, Forest as Trees, Mutation, Process};

const PROCESS: [Voice; 8] = [Process, Process, Process, Process, Process, Process, Process, Any];
const FOREST: [Voice; 8] = [Trees, Trees, Trees, Trees, Trees, Trees, Trees, Any];
/// Models whose errors differ, and steps that trust none of them, in turn.
const PORTFOLIO: [Voice; 10] =
    [Process, Trees, Process, Mutation, Trees, Process, Mutation, Trees, Mutation, Any];

/// A strategy's name on the command line and in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Gaussian process, forest and mutation of the best, in turn.
    #[default]
    Portfolio,
}

impl StrategyName {
    /// Every strategy.
    pub const ALL: [Self; 8] = [
        Self::Portfolio,
        Self::GaussianProcess,
        Self::Forest,
        Self::Annealing,
        Self::ParticleSwarm,
        Self::NelderMead,
        Self::Random,
        Self::Grid,
    ];

    /// The name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Annealing => "annealing",
            Self::Grid => "grid",
            Self::ParticleSwarm => "particle-swarm",
            Self::NelderMead => "nelder-mead",
            Self::GaussianProcess => "gaussian-process",
            Self::Forest => "forest",
            Self::Portfolio => "portfolio",
        }
    }

    /// Searches until nothing is left to propose.
    ///
    /// # Errors
    /// [`super::Stop`], to be recognised by downcast, or what broke inside argmin.
    pub(super) fn search(self, objective: &Objective<'_>) -> Result<(), Error> {
        match self {
            Self::Random => propose::search(objective, random::Random),
            Self::Annealing => annealing::search(objective),
            Self::Grid => propose::search(objective, Grid::new()),
            Self::ParticleSwarm => swarm::search(objective),
            Self::NelderMead => simplex::search(objective),
            Self::GaussianProcess => propose::search(objective, Modelled::new(&PROCESS)),
            Self::Forest => propose::search(objective, Modelled::new(&FOREST)),
            Self::Portfolio => propose::search(objective, Modelled::new(&PORTFOLIO)),
        }
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for StrategyName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|name| name.word() == word).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|name| name.word()).collect();
            format!("no strategy `{word}`; there are {}", known.join(", "))
        })
    }
}
