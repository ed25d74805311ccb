//! Prior: what is believed of a candidate before anything like it was measured.
//!
//! The laws of scaling, where they hold, or what earlier searches found, whichever predicts this
//! search's own observations better. But where stages were timed and tell the whole, each stage has a
//! process of its own, which needs no law, and only an earlier search that tells as much goes before
//! them. The last process models the rest.

use std::rc::Rc;

use super::data::Data;
use super::stages::Stages;
use crate::search::Observation;
use crate::search::cost::log_like;
use crate::search::scaling::{GOOD, Scaling, Timed, TimingTable};
use crate::search::transfer::{Transfer, TransferModel};
use crate::space::{Candidate, Space};
use crate::stats;

/// Trials' worth of belief in what earlier searches found.
const TRUST: f64 = 4.0;
/// From this many trials on an earlier search has to have predicted them, in deviations of a rank
/// correlation that chance makes.
const JUDGED_FROM: usize = 8;
const PREDICTED: f64 = 1.5;
/// The share of the variance that no earlier search explains, however well it predicts.
const UNEXPLAINED: f64 = 0.05;
/// A belief with less of a slope is given up.
const LEAST: f64 = 0.05;

/// Tells the log cost of a candidate.
#[derive(Clone, Debug)]
pub(in crate::search) enum Prior {
    /// By how its stages scale.
    Laws(Rc<TimingTable>),
    /// By what is known of each stage.
    Stages(Rc<Stages>),
    /// By earlier searches: log cost is `offset` and `slope` times the mean of what they say, by
    /// `weights`, which explains a share of the variance.
    Earlier {
        beliefs: Rc<Vec<TransferModel>>,
        weights: Vec<f64>,
        slope: f64,
        offset: f64,
        explained: f64,
    },
}

impl Prior {
    /// The best prior in the light of `observations`; `None` where none is worth anything.
    pub fn new(
        space: &Space,
        observations: &[Observation],
        beliefs: &Rc<Vec<TransferModel>>,
    ) -> Option<Self> {
        let laws = laws(space, observations);
        let earlier = Self::earlier(observations, beliefs);
        match (laws, earlier) {
            (Some((laws, by_laws)), Some(Self::Earlier { explained, .. }))
                if by_laws >= explained =>
            {
                Some(laws)
            }
            (laws, earlier) => earlier.or(laws.map(|(laws, _)| laws)),
        }
    }

    /// What can be believed of earlier searches before this one.
    pub fn beliefs(space: &Space, earlier: &[Transfer]) -> Rc<Vec<TransferModel>> {
        Rc::new(earlier.iter().filter_map(|earlier| TransferModel::new(space, earlier)).collect())
    }

    /// A ridge regression of log cost on what is believed, with the slope drawn to 1. Each earlier
    /// search weighs as much as it predicted of these observations: the more there are, the less
    /// counts how alike its machine and job are. `None` where all of them together mislead.
    fn earlier(observations: &[Observation], beliefs: &Rc<Vec<TransferModel>>) -> Option<Self> {
        let data = Data::new(observations);
        if beliefs.is_empty() || data.len() < 3 {
            return None;
        }
        let costs: Vec<f64> = data.targets.iter().map(|t| data.scale.log_cost(*t)).collect();
        let each: Vec<Vec<f64>> =
            beliefs.iter().map(|belief| belief.log_costs(&data.candidates)).collect();
        let weights: Vec<f64> =
            beliefs.iter().zip(&each).map(|(belief, told)| weight(belief, told, &costs)).collect();
        let told = together(&each, &weights);
        let n = told.len() as f64;
        let (mean_told, mean_cost) = (stats::mean(&told)?, stats::mean(&costs)?);
        let (mut product, mut square, mut all) = (0.0, 0.0, 0.0);
        for (told, cost) in told.iter().zip(&costs) {
            product += (told - mean_told) * (cost - mean_cost);
            square += (told - mean_told).powi(2);
            all += (cost - mean_cost).powi(2);
        }
        let ridge = TRUST * square / n;
        let slope = ((product + ridge) / (square + ridge).max(1e-12)).clamp(0.0, 1.0);
        let missed = all - 2.0 * slope * product + slope * slope * square;
        let predicted = stats::rank_correlation(&told, &costs).unwrap_or(0.0);
        let misleads = data.len() >= JUDGED_FROM && predicted * n.sqrt() < PREDICTED;
        let (offset, explained) = (mean_cost - slope * mean_told, 1.0 - missed / all);
        let beliefs = Rc::clone(beliefs);
        let prior = Self::Earlier { beliefs, weights, slope, offset, explained };
        (slope >= LEAST && missed < all && !misleads).then_some(prior)
    }

    /// Whether it is what earlier searches found.
    pub fn is_earlier(&self) -> bool {
        matches!(self, Self::Earlier { .. })
    }

    /// Whether earlier searches tell as much as stages have to.
    pub fn is_good_enough(&self) -> bool {
        matches!(self, Self::Earlier { explained, .. } if *explained >= GOOD)
    }

    /// Log costs, and how far off they may be (standard deviation; none where nobody knows).
    pub fn log_costs(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        let each =
            |log: &dyn Fn(&Candidate) -> f64| candidates.iter().map(|c| (log(c), 0.0)).collect();
        match self {
            Self::Laws(table) => each(&|candidate| log_like(table.log_seconds(candidate).exp())),
            Self::Stages(stages) => stages.log_costs(candidates),
            Self::Earlier { beliefs, weights, slope, offset, .. } => {
                let told: Vec<Vec<f64>> =
                    beliefs.iter().map(|belief| belief.log_costs(candidates)).collect();
                let told = together(&told, weights).into_iter();
                told.map(|told| (offset + slope * told, 0.0)).collect()
            }
        }
    }

    /// The log costs alone, in a fraction of the time.
    pub fn log_means(&self, candidates: &[Candidate]) -> Vec<f64> {
        match self {
            Self::Stages(stages) => stages.log_means(candidates),
            _ => self.log_costs(candidates).into_iter().map(|(mean, _)| mean).collect(),
        }
    }
}

/// What a belief that `told` of candidates that came to `costs` is worth: at first what its machine
/// and job let expect, with every trial more its rank correlation.
fn weight(belief: &TransferModel, told: &[f64], costs: &[f64]) -> f64 {
    let n = costs.len() as f64;
    let predicted = stats::rank_correlation(told, costs).unwrap_or(0.0).max(0.0);
    let trust = (TRUST * belief.weight + n * predicted) / (TRUST + n);
    // As the precision of a regression on it.
    trust * trust / (UNEXPLAINED + 1.0 - trust * trust)
}

/// The mean, by `weights`, of what `each` belief says of the same candidates.
fn together(each: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let total = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let of = |place: usize| each.iter().zip(weights).map(|(told, w)| w * told[place]).sum::<f64>();
    (0..each.first().map_or(0, Vec::len)).map(|place| of(place) / total).collect()
}

/// The laws, if they hold, and what they explain; nothing where observations have no stages.
fn laws(space: &Space, observations: &[Observation]) -> Option<(Prior, f64)> {
    let timed = |observation: &Observation| {
        let values = space.all_named(&observation.candidate);
        let stages = observation.stages.clone();
        (!stages.is_empty()).then_some(())?;
        let knobs = values.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Some(Timed { knobs, seconds: observation.cost()?, stages })
    };
    let timed: Vec<Timed> = observations.iter().filter_map(timed).collect();
    let scaling = Scaling::of(&timed).filter(Scaling::holds)?;
    let table = TimingTable::new(&scaling, space)?;
    Some((Prior::Laws(Rc::new(table)), scaling.explained))
}
