//! Transfer: what tunes before this one found, as far as it means anything here.
//!
//! It is believed as far as it proves right: its best candidates are tried early, a few of them, and
//! what it says of all others is the surrogate's prior mean times a slope that this search's own
//! observations decide. As long as it predicts them, no candidates are drawn blindly; a misleading
//! one is soon worth nothing.

use std::collections::HashMap;

use super::Observation;
use super::surrogate::data::Data;
use super::surrogate::forest::Forest;
use crate::knobs::Values;
use crate::space::{Candidate, KnobDomain, Space};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What one earlier search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transfer {
    /// How much it is believed before this search has seen anything: 1 for the very same machine
    /// and job, 0 not at all.
    pub weight: f64,
    /// What it measured, in this space.
    pub observations: Vec<Observation>,
}

/// The best candidates of all earlier searches that are tried at the most.
const TRIED: usize = 3;
/// Fewer say nothing about other candidates.
const LEAST: usize = 10;

impl Transfer {
    /// Translates what was measured elsewhere: knobs that are not known here are left out, counts
    /// of threads and workers are multiplied by `cores` (cores here over cores there), each number
    /// becomes the nearest level. What has a word that is not legal here is dropped.
    pub fn of<'a>(
        space: &Space,
        weight: f64,
        cores: f64,
        measured: impl Iterator<Item = (&'a Values, Observation)>,
    ) -> Self {
        let here = |(values, observation): (&Values, Observation)| {
            let levels = space.knobs.iter().map(|knob| level(knob, values, cores));
            let candidate = Candidate::new(levels.collect::<Option<Vec<_>>>()?);
            let candidate = space.canonical(&candidate);
            space.is_legal(&candidate).then_some(Observation { candidate, ..observation })
        };
        Self { weight, observations: measured.filter_map(here).collect() }
    }

    /// The candidates to try first: the best of each, those that are believed most before others.
    pub fn best(all: &[Self]) -> Vec<Candidate> {
        let mut order: Vec<&Self> = all.iter().filter(|earlier| earlier.weight > 0.0).collect();
        order.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let ranked: Vec<Vec<&Candidate>> = order.iter().map(|earlier| earlier.ranked()).collect();
        let longest = ranked.iter().map(Vec::len).max().unwrap_or(0);
        let mut best: Vec<Candidate> = Vec::new();
        for rank in 0..longest {
            for candidate in ranked.iter().filter_map(|ranked| ranked.get(rank)) {
                if best.len() < TRIED && !best.contains(candidate) {
                    best.push((*candidate).clone());
                }
            }
        }
        best
    }

    fn ranked(&self) -> Vec<&Candidate> {
        let cost = |o: &Observation| o.cost().unwrap_or(f64::INFINITY);
        let mut good: Vec<&Observation> =
            self.observations.iter().filter(|o| o.cost().is_some()).collect();
        good.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        good.into_iter().map(|observation| &observation.candidate).collect()
    }
}

fn level(knob: &KnobDomain, values: &Values, cores: f64) -> Option<usize> {
    match values.get(&knob.name) {
        None => Some(knob.baseline),
        Some(value) => match value.number() {
            Some(number) => {
                let counts = knob.name.ends_with("_threads") || knob.name.ends_with("_workers");
                knob.nearest_number(number * if counts { cores } else { 1.0 })
            }
            None => knob.nearest(value),
        },
    }
}

/// What earlier searches say of any candidate.
#[derive(Debug)]
pub(super) struct TransferModel {
    forest: Forest,
    /// Log cost a unit of the forest.
    deviation: f64,
    /// How much it is believed at first.
    pub weight: f64,
}

impl TransferModel {
    /// `None` where too little was measured.
    pub fn new(space: &Space, earlier: &Transfer) -> Option<Self> {
        let data = Data::new(&earlier.observations);
        if data.len() < LEAST || earlier.weight <= 0.0 {
            return None;
        }
        let forest = Forest::new(space, &data, &mut Xoshiro256PlusPlus::seed_from_u64(0));
        Some(Self { forest, deviation: data.scale.deviation, weight: earlier.weight.min(1.0) })
    }

    /// The candidates that cost least by what `all` say before others; as they are where none says
    /// anything.
    pub fn cheapest_first(all: &[Self], mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut sums = vec![0.0; candidates.len()];
        for belief in all {
            let told = belief.log_costs(&candidates).into_iter();
            sums.iter_mut().zip(told).for_each(|(sum, cost)| *sum += belief.weight * cost);
        }
        let told: HashMap<Candidate, f64> = candidates.iter().cloned().zip(sums).collect();
        candidates.sort_by(|a, b| told[a].total_cmp(&told[b]));
        candidates
    }

    /// ln cost of each candidate, up to a constant.
    pub fn log_costs(&self, candidates: &[Candidate]) -> Vec<f64> {
        let told = self.forest.predict(candidates).into_iter();
        told.map(|(mean, _)| self.deviation * mean).collect()
    }
}
