//! Gaussian process over candidates of mixed knobs.
//!
//! Rasmussen and Williams, *Gaussian Processes for Machine Learning*, chapters 2 (prediction) and
//! 5 (likelihood and its gradient); the covariance is `Kernel`'s.

use super::cholesky::Factor;
use super::data::Data;
use super::kernel::{HyperPrior, Hyperparameters, Kernel};
use crate::space::{Candidate, Space};

/// Predicts log cost in the units of [`Data::targets`].
#[derive(Debug)]
pub(in crate::search) struct GaussianProcess {
    data: Data,
    kernel: Kernel,
    factor: Factor,
    weights: Vec<f64>,
    /// The signal's variance.
    pub variance: f64,
}

/// The least variance of what is a candidate's own, relative to the signal's.
const LEAST_OWN: f64 = 0.01;

impl GaussianProcess {
    /// Conditions the process on `data`; `None` where rounding errors make that impossible.
    pub fn new(space: &Space, data: Data, scales: &Hyperparameters) -> Option<Self> {
        let kernel = Kernel::new(space, scales);
        let n = data.len();
        let alike = kernel.cross(&data.candidates, &data.candidates);
        let factor = Factor::new(n, covariances(alike, &data, scales.noise.exp()))?;
        let (weights, variance) = weights(&factor, &data);
        Some(Self { data, kernel, factor, weights, variance })
    }

    /// The log cost that a target of this process stands for.
    pub fn log_cost(&self, target: f64) -> f64 {
        self.data.scale.log_cost(target)
    }

    /// The log cost that a target's deviation stands for.
    pub fn log_deviation(&self, deviation: f64) -> f64 {
        self.data.scale.deviation * deviation
    }

    /// Mean and standard deviation of each candidate's true log cost.
    pub fn predict(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        candidates.chunks(64).flat_map(|chunk| self.predict_chunk(chunk)).collect()
    }

    /// The means of [`GaussianProcess::predict`], in a fraction of its time.
    pub fn means(&self, candidates: &[Candidate]) -> Vec<f64> {
        let of = |chunk: &[Candidate]| {
            self.means_of(
                &self.kernel.cross(&self.data.candidates, chunk),
                self.data.predicted(chunk),
            )
        };
        candidates.chunks(64).flat_map(of).collect()
    }

    /// What is expected with what the correlations `cross` with what is known add.
    fn means_of(&self, cross: &[f64], mut expected: Vec<f64>) -> Vec<f64> {
        for (row, weight) in cross.chunks(expected.len()).zip(&self.weights) {
            expected.iter_mut().zip(row).for_each(|(mean, cell)| *mean += weight * cell);
        }
        expected
    }

    fn predict_chunk(&self, chunk: &[Candidate]) -> Vec<(f64, f64)> {
        let m = chunk.len();
        let mut cross = self.kernel.cross(&self.data.candidates, chunk);
        let (expected, doubts): (Vec<f64>, Vec<f64>) =
            self.data.expectations(chunk).into_iter().unzip();
        let means = self.means_of(&cross, expected);
        self.factor.halve(&mut cross, m);
        let mut known = vec![0.0; m];
        for row in cross.chunks(m) {
            known.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell * cell);
        }
        let own = |known: f64| (self.variance * (1.0 - known).max(1e-9)).sqrt();
        let deviations =
            known.into_iter().zip(doubts).map(|(known, doubt)| own(known).hypot(doubt));
        means.into_iter().zip(deviations).collect()
    }
}

/// The posterior means of the true targets of `data`, when a measurement's variance is known to be
/// `noise`. What `scales` call noise beyond that is a candidate's own: smoothing must not take
/// it away. `None` where rounding errors make that impossible.
pub(in crate::search) fn posterior_means(
    space: &Space,
    data: &Data,
    scales: &Hyperparameters,
    noise: f64,
) -> Option<Vec<f64>> {
    let variance = GaussianProcess::new(space, data.clone(), scales)?.variance;
    let noise = noise / variance;
    let own = (scales.noise.exp() - noise).max(LEAST_OWN);
    let n = data.len();
    let alike = Kernel::new(space, scales).cross(&data.candidates, &data.candidates);
    let mut matrix = covariances(alike, data, 0.0);
    for (i, count) in data.counts.iter().enumerate() {
        matrix[i * n + i] += own + noise / count;
    }
    let weights = Factor::new(n, matrix)?.solve(&data.residuals());
    let truth = |i: usize| data.targets[i] - noise / data.counts[i] * weights[i];
    Some((0..n).map(truth).collect())
}

/// What each observation of `data` weighs in predictions, and the signal's variance at its best.
fn weights(factor: &Factor, data: &Data) -> (Vec<f64>, f64) {
    let residuals = data.residuals();
    let weights = factor.solve(&residuals);
    let fit: f64 = weights.iter().zip(&residuals).map(|(w, y)| w * y).sum();
    (weights, (fit / data.len() as f64).max(1e-6))
}

/// The correlations `alike` of the candidates of `data`, with what else each measurement varies by.
fn covariances(mut alike: Vec<f64>, data: &Data, noise: f64) -> Vec<f64> {
    let n = data.len();
    for (i, count) in data.counts.iter().enumerate() {
        alike[i * n + i] = 1.0 + noise / count + 1e-8;
    }
    alike
}

/// Steps of a first fit, and of one that goes on from the last fit's scales.
const FIRST_STEPS: usize = 30;
const MORE_STEPS: usize = 8;

/// The scales that `data` makes likeliest, looked for from `last` or, without, from the usual.
pub(in crate::search) fn fit(
    space: &Space,
    usual: &HyperPrior,
    data: &Data,
    last: Option<&Hyperparameters>,
) -> Hyperparameters {
    match last {
        Some(last) => ascend(space, usual, data, last, MORE_STEPS),
        None => ascend(space, usual, data, &Hyperparameters::usual(space, usual), FIRST_STEPS),
    }
}

/// Climbs the posterior of the scales, from `start`, by signs of its gradient (Rprop: Riedmiller
/// and Braun, 1993).
fn ascend(
    space: &Space,
    usual: &HyperPrior,
    data: &Data,
    start: &Hyperparameters,
    steps: usize,
) -> Hyperparameters {
    let mut scales = start.clone();
    let count = scales.len();
    let (mut stride, mut last) = (vec![0.2; count], vec![0.0; count]);
    let (mut best, mut best_height) = (scales.clone(), f64::NEG_INFINITY);
    for _ in 0..steps {
        let Some((height, gradient)) = climb(space, usual, data, &scales) else { break };
        if height > best_height {
            (best, best_height) = (scales.clone(), height);
        }
        for (i, (slope, scale)) in gradient.into_iter().zip(scales.all_mut()).enumerate() {
            let turn = slope * last[i];
            let change: f64 = if turn > 0.0 {
                1.3
            } else if turn < 0.0 {
                0.5
            } else {
                1.0
            };
            stride[i] = (stride[i] * change).clamp(0.005, 0.8);
            last[i] = if turn < 0.0 { 0.0 } else { slope };
            *scale += stride[i] * last[i].signum() * f64::from(last[i] != 0.0);
        }
        scales.clamp();
    }
    best
}

/// The log posterior of the scales, the signal's variance at its best, and its gradient.
fn climb(
    space: &Space,
    usual: &HyperPrior,
    data: &Data,
    scales: &Hyperparameters,
) -> Option<(f64, Vec<f64>)> {
    let kernel = Kernel::new(space, scales);
    let (n, noise) = (data.len(), scales.noise.exp());
    let alike = kernel.cross(&data.candidates, &data.candidates);
    let factor = Factor::new(n, covariances(alike.clone(), data, noise))?;
    let (weights, variance) = weights(&factor, data);
    let (inverse, mut by_pair, mut by_noise) = (factor.inverse(), alike, 0.0);
    let slope = |i: usize, j: usize| weights[i] * weights[j] / variance - inverse[i * n + j];
    for i in 0..n {
        for j in 0..i {
            by_pair[i * n + j] *= slope(i, j);
        }
        by_noise += 0.5 * slope(i, i) * noise / data.counts[i];
    }
    let mut gradient = kernel.slopes(&data.candidates, &by_pair);
    gradient.truncate(scales.len() - 1);
    gradient.push(by_noise);
    let mut height = -0.5 * (n as f64 * variance.ln() + factor.log_determinant());
    usual.weigh(space, scales, &mut height, &mut gradient);
    Some((height, gradient))
}
