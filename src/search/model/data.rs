//! Data: what was observed, in the form that models learn from.

use std::collections::HashMap;

use crate::search::Observation;
use crate::search::objective::log_like;
use crate::space::Candidate;

/// Observations of the same candidate put together, costs on a scale that models can bear.
#[derive(Clone, Debug)]
pub(in crate::search) struct Data {
    /// Candidates that succeeded, in the order in which they were first measured.
    pub candidates: Vec<Candidate>,
    /// Their log costs: clipped above, zero mean, unit variance.
    pub targets: Vec<f64>,
    /// How many measurements each target is the mean of.
    pub counts: Vec<f64>,
    /// Candidates that failed every time.
    pub failed: Vec<Candidate>,
    /// Variance of one measurement around its candidate's mean, in units of the targets;
    /// `None` while nothing was measured twice.
    pub noise: Option<f64>,
    /// A target's worth in log cost.
    pub deviation: f64,
    /// The root of the noise in log cost, so about a share of the cost.
    pub relative_noise: Option<f64>,
}

impl Data {
    /// For choosing: costs above the median are clipped.
    pub fn new(observations: &[Observation]) -> Self {
        Self::gather(observations, true)
    }

    /// For explaining: costs as they are.
    pub fn unclipped(observations: &[Observation]) -> Self {
        Self::gather(observations, false)
    }

    fn gather(observations: &[Observation], clip: bool) -> Self {
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
        let (targets, deviation) =
            standardised(good.iter().map(|(_, costs)| mean(costs)).collect(), clip);
        let variance = variance_of_repeats(good.iter().map(|(_, costs)| costs.as_slice()));
        Self {
            candidates: good.iter().map(|(candidate, _)| (*candidate).clone()).collect(),
            targets,
            counts: good.iter().map(|(_, costs)| costs.len() as f64).collect(),
            failed: failed.into_iter().map(|(candidate, _)| candidate.clone()).collect(),
            deviation,
            noise: variance.map(|variance| variance / (deviation * deviation)),
            relative_noise: variance.map(f64::sqrt),
        }
    }

    /// Everything that was tried, with 1 for targets where it succeeded and 0 where it failed.
    pub fn successes(&self) -> Self {
        let all = || self.candidates.iter().chain(&self.failed);
        Self {
            candidates: all().cloned().collect(),
            targets: all().enumerate().map(|(i, _)| f64::from(i < self.len())).collect(),
            counts: all().map(|_| 1.0).collect(),
            failed: Vec::new(),
            deviation: 1.0,
            noise: None,
            relative_noise: None,
        }
    }

    /// At most `count` of the candidates: the best half, and evenly from the others.
    pub fn thinned(mut self, count: usize) -> Self {
        if self.len() <= count {
            return self;
        }
        let order = self.best(self.len());
        let (best, others) = order.split_at(count / 2);
        let even = (0..count - best.len()).map(|i| others[i * others.len() / (count - best.len())]);
        let mut kept: Vec<usize> = best.iter().copied().chain(even).collect();
        kept.sort_unstable();
        self.candidates = kept.iter().map(|&i| self.candidates[i].clone()).collect();
        self.targets = kept.iter().map(|&i| self.targets[i]).collect();
        self.counts = kept.iter().map(|&i| self.counts[i]).collect();
        self
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

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The variance within candidates that were measured more than once, pooled.
fn variance_of_repeats<'a>(costs: impl Iterator<Item = &'a [f64]>) -> Option<f64> {
    let (mut squares, mut degrees) = (0.0, 0.0);
    for costs in costs.filter(|costs| costs.len() > 1) {
        let mean = mean(costs);
        squares += costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>();
        degrees += costs.len() as f64 - 1.0;
    }
    (degrees > 0.0).then(|| squares / degrees)
}

/// Costs, clipped above if asked, with zero mean and unit variance, and the deviation they had.
fn standardised(mut costs: Vec<f64>, clip: bool) -> (Vec<f64>, f64) {
    if costs.is_empty() {
        return (costs, 1.0);
    }
    if clip {
        // How bad the worse half is says little about where the best lies, and misleads about
        // it: the category that holds the best may hold the worst too.
        let mut sorted = costs.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        costs.iter_mut().for_each(|cost| *cost = cost.min(median));
    }
    let mean = mean(&costs);
    let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / costs.len() as f64;
    let deviation = if variance > 1e-24 { variance.sqrt() } else { 1.0 };
    costs.iter_mut().for_each(|cost| *cost = (*cost - mean) / deviation);
    (costs, deviation)
}
