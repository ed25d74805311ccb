//! Data: what was observed, in the form that models learn from.

use std::collections::HashMap;

use super::prior::Prior;
use crate::search::cost::log_like;
use crate::search::{Measurement, Observation};
use crate::space::Candidate;
use crate::stats::{mean, pooled_variance, scatter};

/// Observations of the same candidate put together, costs on a scale that models can bear.
#[derive(Clone, Debug, Default)]
pub(in crate::search) struct Data {
    /// Candidates that succeeded or were cut, in the order in which they were first measured.
    pub candidates: Vec<Candidate>,
    /// Their log costs: clipped above, zero mean, unit variance.
    pub targets: Vec<f64>,
    /// What was expected of each candidate before anything was measured; zero without a prior.
    pub expected: Vec<f64>,
    prior: Option<Prior>,
    /// What everything costs more than the prior says.
    offset: f64,
    /// How many measurements each target is the mean of.
    pub counts: Vec<f64>,
    /// Whether the target is only what the candidate costs at least.
    pub cut: Vec<bool>,
    /// Candidates that failed every time.
    pub failed: Vec<Candidate>,
    /// Variance of one measurement around its candidate's mean, in units of the targets;
    /// `None` while nothing was measured twice.
    pub noise: Option<f64>,
    /// Where the targets come from.
    pub scale: CostScale,
    /// The root of the noise in log cost, so about a share of the cost.
    pub relative_noise: Option<f64>,
}

impl Data {
    /// For choosing: the highest costs are clipped.
    pub fn new(observations: &[Observation]) -> Self {
        Self::gather(observations, true)
    }

    /// For explaining: costs as they are.
    pub fn unclipped(observations: &[Observation]) -> Self {
        Self::gather(observations, false)
    }

    fn gather(observations: &[Observation], clip: bool) -> Self {
        let mut places: HashMap<&Candidate, usize> = HashMap::new();
        let mut order: Vec<(&Candidate, Costs)> = Vec::new();
        for observation in observations {
            let place = *places.entry(&observation.candidate).or_insert_with(|| {
                order.push((&observation.candidate, Costs::default()));
                order.len() - 1
            });
            order[place].1.add(observation.measurement);
        }
        let (good, failed): (Vec<_>, Vec<_>) = order.into_iter().partition(|(_, c)| !c.is_empty());
        let scale = CostScale::of(good.iter().map(|(_, costs)| costs.mean()), clip);
        let variance = pooled_variance(good.iter().map(|(_, costs)| costs.measured.as_slice()));
        let variance = variance.map(|(variance, _)| variance);
        Self {
            candidates: good.iter().map(|(candidate, _)| (*candidate).clone()).collect(),
            targets: good.iter().map(|(_, costs)| scale.target(costs.mean())).collect(),
            expected: vec![0.0; good.len()],
            counts: good.iter().map(|(_, c)| c.measured.len().max(1) as f64).collect(),
            cut: good.iter().map(|(_, costs)| costs.measured.is_empty()).collect(),
            failed: failed.into_iter().map(|(candidate, _)| candidate.clone()).collect(),
            noise: variance.map(|variance| variance / (scale.deviation * scale.deviation)),
            relative_noise: variance.map(f64::sqrt),
            scale,
            ..Self::default()
        }
    }

    /// Lets a process model only what `prior` does not tell.
    pub fn expect(&mut self, prior: Option<&Prior>) {
        self.prior = prior.cloned();
        self.offset = 0.0;
        self.expected = self.predicted(&self.candidates);
        if prior.is_some() {
            self.offset = mean(self.residuals()).unwrap_or(0.0);
            self.expected.iter_mut().for_each(|expected| *expected += self.offset);
        }
    }

    /// Whether what is expected is told by stages.
    pub fn is_predicted_by_stages(&self) -> bool {
        matches!(self.prior, Some(Prior::Stages(_)))
    }

    /// The targets that are expected of `candidates` without any measurement, and the deviations.
    pub fn expectations(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        let Some(prior) = &self.prior else { return vec![(0.0, 0.0); candidates.len()] };
        let told = prior.log_costs(candidates).into_iter();
        let target = |log_cost| self.offset + self.scale.target(log_cost);
        told.map(|(mean, doubt)| (target(mean), doubt / self.scale.deviation)).collect()
    }

    /// The targets of [`Data::expectations`], in a fraction of its time.
    pub fn predicted(&self, candidates: &[Candidate]) -> Vec<f64> {
        let Some(prior) = &self.prior else { return vec![0.0; candidates.len()] };
        let told = prior.log_means(candidates).into_iter();
        told.map(|mean| self.offset + self.scale.target(mean)).collect()
    }

    /// What measurements said beyond what was expected.
    pub fn residuals(&self) -> Vec<f64> {
        self.targets.iter().zip(&self.expected).map(|(target, told)| target - told).collect()
    }

    fn is_measured(&self, position: usize) -> bool {
        self.cut.get(position).is_some_and(|cut| !cut)
    }

    /// Everything that was tried, with 1 for targets where it succeeded and 0 where it failed.
    pub fn successes(&self) -> Self {
        let all = || self.candidates.iter().chain(&self.failed);
        Self {
            candidates: all().cloned().collect(),
            targets: all().enumerate().map(|(i, _)| f64::from(self.is_measured(i))).collect(),
            expected: vec![0.0; all().count()],
            counts: all().map(|_| 1.0).collect(),
            cut: all().map(|_| false).collect(),
            ..Self::default()
        }
    }

    /// At most `count` of the candidates: the best half, and evenly from the others.
    pub fn subsample(mut self, count: usize) -> Self {
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
        self.cut = kept.iter().map(|&i| self.cut[i]).collect();
        self.expected = kept.iter().map(|&i| self.expected[i]).collect();
        self
    }

    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Positions of the cheapest, the best first.
    pub fn best(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let cost = |i: usize| (self.cut[i], self.targets[i]);
        order.sort_by(|&a, &b| {
            let ((cut, a), (other_cut, b)) = (cost(a), cost(b));
            cut.cmp(&other_cut).then(a.total_cmp(&b))
        });
        order.truncate(count);
        order
    }
}

/// Log costs of one candidate.
#[derive(Default)]
struct Costs {
    measured: Vec<f64>,
    /// The most that it is known to cost at least.
    at_least: Option<f64>,
}

impl Costs {
    fn add(&mut self, measurement: Measurement) {
        match measurement {
            Measurement::Cost(cost) => self.measured.push(log_like(cost)),
            Measurement::AtLeast(cost) => {
                let cost = log_like(cost);
                self.at_least = Some(self.at_least.map_or(cost, |least| least.max(cost)));
            }
            Measurement::Failed => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.measured.is_empty() && self.at_least.is_none()
    }

    fn mean(&self) -> f64 {
        mean(&self.measured).or(self.at_least).unwrap_or(0.0)
    }
}

/// From log costs to targets.
#[derive(Clone, Copy, Debug)]
pub(in crate::search) struct CostScale {
    mean: f64,
    /// A target's worth in log cost.
    pub deviation: f64,
    /// Log costs above are as good as this one.
    ceiling: f64,
}

impl Default for CostScale {
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0, ceiling: f64::INFINITY }
    }
}

/// The share of the costs that are told apart.
const CLIPPED_FROM: f64 = 0.9;

impl CostScale {
    /// The scale on which `costs`, clipped above if asked, have zero mean and unit variance.
    fn of(costs: impl Iterator<Item = f64>, clip: bool) -> Self {
        let mut costs: Vec<f64> = costs.collect();
        costs.sort_by(f64::total_cmp);
        if costs.is_empty() {
            return Self::default();
        }
        // How bad the worst are says little about where the best lies, and misleads about it: the
        // category that holds the best may hold the worst too. Clipping more than that hides the
        // knobs whose wrong levels cost so much that the others' effects can't be seen.
        let place = ((costs.len() as f64 * CLIPPED_FROM) as usize).min(costs.len() - 1);
        let ceiling = if clip { costs[place] } else { f64::INFINITY };
        costs.iter_mut().for_each(|cost| *cost = cost.min(ceiling));
        let mean = mean(&costs).unwrap_or_default();
        let variance = scatter(&costs, mean) / costs.len() as f64;
        let deviation = if variance > 1e-24 { variance.sqrt() } else { 1.0 };
        Self { mean, deviation, ceiling }
    }

    /// The target that a log cost is worth.
    pub fn target(&self, log_cost: f64) -> f64 {
        (log_cost.min(self.ceiling) - self.mean) / self.deviation
    }

    /// The log cost that a target stands for.
    pub fn log_cost(&self, target: f64) -> f64 {
        self.mean + target * self.deviation
    }
}
