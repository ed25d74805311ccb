//! Data: what was observed, in the form that models learn from.

use std::collections::HashMap;

use crate::search::Observation;
use crate::search::objective::log_like;
use crate::space::{Candidate, Space};

/// Observations of the same candidate put together, costs on a scale that models can bear.
#[derive(Clone, Debug)]
pub(super) struct Data {
    /// Candidates that succeeded, in the order in which they were first measured.
    pub candidates: Vec<Candidate>,
    /// Their log costs: clipped above, zero mean, unit variance.
    pub targets: Vec<f64>,
    /// How many measurements each target is the mean of.
    pub counts: Vec<f64>,
    /// Candidates that failed every time.
    pub failed: Vec<Candidate>,
    /// Log cost of a target: `mean + deviation * target`.
    pub mean: f64,
    pub deviation: f64,
}

/// Costs further above the median than this many times the median's distance from the best
/// are clipped: how bad a bad candidate is says little about where the best lies.
const CLIP: f64 = 2.0;

impl Data {
    pub fn new(_space: &Space, observations: &[Observation]) -> Self {
        let mut places: HashMap<&Candidate, usize> = HashMap::new();
        let mut order: Vec<(&Candidate, Vec<f64>)> = Vec::new();
        for observation in observations {
            let place = *places.entry(&observation.candidate).or_insert_with(|| {
                order.push((&observation.candidate, Vec::new()));
                order.len() - 1
            });
            order[place].1.extend(observation.cost.map(log_like));
        }
        let (good, failed): (Vec<_>, Vec<_>) = order.into_iter().partition(|(_, c)| !c.is_empty());
        let means = good.iter().map(|(_, costs)| costs.iter().sum::<f64>() / costs.len() as f64);
        let (targets, mean, deviation) = standardised(means.collect());
        Self {
            candidates: good.iter().map(|(candidate, _)| (*candidate).clone()).collect(),
            targets,
            counts: good.iter().map(|(_, costs)| costs.len() as f64).collect(),
            failed: failed.into_iter().map(|(candidate, _)| candidate.clone()).collect(),
            mean,
            deviation,
        }
    }

    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Positions of the cheapest, the best first.
    pub fn best(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.targets[a].total_cmp(&self.targets[b]));
        order.truncate(count);
        order
    }
}

fn standardised(mut costs: Vec<f64>) -> (Vec<f64>, f64, f64) {
    if costs.is_empty() {
        return (costs, 0.0, 1.0);
    }
    let mut sorted = costs.clone();
    sorted.sort_by(f64::total_cmp);
    let (best, median) = (sorted[0], sorted[sorted.len() / 2]);
    let ceiling = median + super::exp::exp("CLIP", 2.0) * (median - best);
    if ceiling > best {
        costs.iter_mut().for_each(|cost| *cost = cost.min(ceiling));
    }
    let n = costs.len() as f64;
    let mean = costs.iter().sum::<f64>() / n;
    let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / n;
    let deviation = if variance > 1e-24 { variance.sqrt() } else { 1.0 };
    costs.iter_mut().for_each(|cost| *cost = (*cost - mean) / deviation);
    (costs, mean, deviation)
}
