//! Gaussian process over candidates of mixed knobs.
//!
//! Covariance is a product over the knobs, Matérn 3/2 along ordered knobs and a constant for
//! any two different categories, with one length scale a knob (costs have kinks where caches
//! overflow and cores run out: 5/2 is too smooth for them, an exponential too rough); Rasmussen and Williams,
//! *Gaussian Processes for Machine Learning*, chapters 2 (prediction), 4 (covariances) and 5
//! (likelihood and its gradient).

use rand::Rng;

use super::cholesky::Factor;
use super::data::Data;
use crate::search::draw::normal;
use crate::space::{Candidate, Knob, Space, Value};

/// Predicts log cost in the units of [`Data::targets`].
#[derive(Debug)]
pub(super) struct Process {
    data: Data,
    kernel: Kernel,
    factor: Factor,
    weights: Vec<f64>,
    /// The signal's variance.
    pub variance: f64,
}

/// The logarithms of what the likelihood decides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scales {
    /// A length scale a knob, in units of the whole range of levels.
    pub lengths: Vec<f64>,
    /// Variance of noise and of what the model can't explain, relative to the signal's.
    pub noise: f64,
}

/// Of an ordered knob, times the root of the number of knobs.
const USUAL_LENGTH: f64 = 0.5;
/// Logarithm of how much shorter it is between categories, which need have nothing in common.
const CATEGORY_SHRINK: f64 = 1.0;
/// Standard deviation of [`Scales::varied`], in logarithms.
const VARIATION: f64 = 0.8;
/// The least variance of what is a candidate's own, relative to the signal's.
const LEAST_OWN: f64 = 0.01;
const LENGTH_SPREAD: f64 = 1.0;
const USUAL_NOISE: f64 = 1e-3;
const NOISE_SPREAD: f64 = 1.5;

impl Scales {
    /// What is expected before there is data: the more knobs, the less each says by itself.
    pub fn usual(space: &Space) -> Self {
        let knobs = space.knobs.len();
        Self {
            lengths: space.knobs.iter().map(|knob| usual_length(knobs, knob.ordered)).collect(),
            noise: USUAL_NOISE.ln(),
        }
    }

    /// Scales near these, by chance. One set that fits best is too sure of itself as long as
    /// there are few points; varying it from proposal to proposal stands in for integrating
    /// over all that are likely.
    pub fn varied(&self, rng: &mut impl Rng) -> Self {
        let mut scales = self.clone();
        scales.lengths.iter_mut().for_each(|length| *length += VARIATION * normal(rng));
        scales.clamp();
        scales
    }

    fn clamp(&mut self) {
        self.lengths.iter_mut().for_each(|length| *length = length.clamp(-3.0, 5.0));
        self.noise = self.noise.clamp(-12.0, 1.0);
    }
}

fn usual_length(knobs: usize, ordered: bool) -> f64 {
    let shrink = if ordered { 0.0 } else { CATEGORY_SHRINK };
    (USUAL_LENGTH * (knobs as f64).sqrt()).ln() - shrink
}

/// Covariances of any two levels of each knob.
#[derive(Debug)]
struct Kernel {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    levels: usize,
    covariance: Vec<f64>,
    /// The derivative of ln covariance by the logarithm of the length scale.
    slope: Vec<f64>,
}

impl Kernel {
    fn new(space: &Space, scales: &Scales) -> Self {
        let tables = space.knobs.iter().zip(&scales.lengths).map(|(knob, length)| {
            let levels = knob.levels.len();
            let places = places(knob);
            let reach = (places[levels - 1] - places[0]).max(f64::MIN_POSITIVE);
            let mut table = Table { levels, covariance: Vec::new(), slope: Vec::new() };
            for pair in 0..levels * levels {
                let (a, b) = (pair / levels, pair % levels);
                let apart = if knob.ordered {
                    (places[a] - places[b]).abs() / reach
                } else {
                    f64::from(a != b)
                };
                let (covariance, slope) = matern(apart * (-length).exp());
                table.covariance.push(covariance);
                table.slope.push(slope);
            }
            table
        });
        Self { tables: tables.collect() }
    }

    fn between(&self, a: &Candidate, b: &Candidate) -> f64 {
        let knobs = self.tables.iter().enumerate();
        knobs.map(|(k, table)| table.covariance[a.level(k) * table.levels + b.level(k)]).product()
    }
}

/// Where an ordered knob's levels lie: one step apart, but counts that leave none out by their
/// logarithms, since one thread more is much to one thread and little to sixty.
fn places(knob: &Knob) -> Vec<f64> {
    let counts: Option<Vec<f64>> = knob.levels.iter().map(Value::count).collect();
    let dense = |counts: &Vec<f64>| counts.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    match counts.filter(dense) {
        Some(counts) => counts.into_iter().map(f64::ln).collect(),
        None => (0..knob.levels.len()).map(|level| level as f64).collect(),
    }
}

/// Matérn 3/2 at `distance` in length scales, and its logarithm's derivative by the logarithm
/// of the length scale.
fn matern(distance: f64) -> (f64, f64) {
    let r = 3.0_f64.sqrt() * distance;
    ((1.0 + r) * (-r).exp(), r * r / (1.0 + r))
}

impl Process {
    /// Conditions the process on `data`; `None` where rounding errors make that impossible.
    pub fn new(space: &Space, data: Data, scales: &Scales) -> Option<Self> {
        let kernel = Kernel::new(space, scales);
        let n = data.len();
        let factor = Factor::new(n, covariances(&kernel, &data, scales.noise.exp()))?;
        let surprises = data.surprises();
        let weights = factor.solve(&surprises);
        let fit: f64 = weights.iter().zip(&surprises).map(|(w, y)| w * y).sum();
        let variance = (fit / n as f64).max(1e-6);
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

    fn predict_chunk(&self, chunk: &[Candidate]) -> Vec<(f64, f64)> {
        let (n, m) = (self.data.len(), chunk.len());
        let mut cross = vec![1.0; n * m];
        for (k, table) in self.kernel.tables.iter().enumerate() {
            let levels: Vec<usize> = chunk.iter().map(|candidate| candidate.level(k)).collect();
            for (known, row) in self.data.candidates.iter().zip(cross.chunks_mut(m)) {
                let from = &table.covariance[known.level(k) * table.levels..][..table.levels];
                row.iter_mut().zip(&levels).for_each(|(cell, &level)| *cell *= from[level]);
            }
        }
        let (mut means, doubts): (Vec<f64>, Vec<f64>) =
            self.data.expectations(chunk).into_iter().unzip();
        for (row, weight) in cross.chunks(m).zip(&self.weights) {
            means.iter_mut().zip(row).for_each(|(mean, cell)| *mean += weight * cell);
        }
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
pub(super) fn truths(space: &Space, data: &Data, scales: &Scales, noise: f64) -> Option<Vec<f64>> {
    let variance = Process::new(space, data.clone(), scales)?.variance;
    let noise = noise / variance;
    let own = (scales.noise.exp() - noise).max(LEAST_OWN);
    let n = data.len();
    let mut matrix = covariances(&Kernel::new(space, scales), data, 0.0);
    for (i, count) in data.counts.iter().enumerate() {
        matrix[i * n + i] += own + noise / count;
    }
    let weights = Factor::new(n, matrix)?.solve(&data.surprises());
    let truth = |i: usize| data.targets[i] - noise / data.counts[i] * weights[i];
    Some((0..n).map(truth).collect())
}

fn covariances(kernel: &Kernel, data: &Data, noise: f64) -> Vec<f64> {
    let n = data.len();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            matrix[i * n + j] = kernel.between(&data.candidates[i], &data.candidates[j]);
        }
        matrix[i * n + i] = 1.0 + noise / data.counts[i] + 1e-8;
    }
    matrix
}

/// Climbs the posterior of the scales, from `start`, by signs of its gradient (Rprop: Riedmiller
/// and Braun, 1993).
pub(super) fn fit(space: &Space, data: &Data, start: &Scales, steps: usize) -> Scales {
    let mut scales = start.clone();
    let count = scales.lengths.len() + 1;
    let (mut stride, mut last) = (vec![0.2; count], vec![0.0; count]);
    let (mut best, mut best_height) = (scales.clone(), f64::NEG_INFINITY);
    for _ in 0..steps {
        let Some((height, gradient)) = climb(space, data, &scales) else { break };
        if height > best_height {
            (best, best_height) = (scales.clone(), height);
        }
        for (i, slope) in gradient.into_iter().enumerate() {
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
            let step = stride[i] * last[i].signum() * f64::from(last[i] != 0.0);
            *scales.lengths.get_mut(i).unwrap_or(&mut scales.noise) += step;
        }
        scales.clamp();
    }
    best
}

/// The log posterior of the scales, the signal's variance at its best, and its gradient.
fn climb(space: &Space, data: &Data, scales: &Scales) -> Option<(f64, Vec<f64>)> {
    let kernel = Kernel::new(space, scales);
    let (n, noise) = (data.len(), scales.noise.exp());
    let matrix = covariances(&kernel, data, noise);
    let factor = Factor::new(n, matrix.clone())?;
    let surprises = data.surprises();
    let weights = factor.solve(&surprises);
    let fit: f64 = weights.iter().zip(&surprises).map(|(w, y)| w * y).sum();
    let variance = (fit / n as f64).max(1e-6);
    let inverse = factor.inverse();
    let mut gradient = vec![0.0; scales.lengths.len() + 1];
    for i in 0..n {
        for j in 0..i {
            let pull = weights[i] * weights[j] / variance - inverse[i * n + j];
            let pull = pull * matrix[i * n + j];
            let (a, b) = (&data.candidates[i], &data.candidates[j]);
            for (k, table) in kernel.tables.iter().enumerate() {
                gradient[k] += pull * table.slope[a.level(k) * table.levels + b.level(k)];
            }
        }
        let pull = weights[i] * weights[i] / variance - inverse[i * n + i];
        gradient[scales.lengths.len()] += 0.5 * pull * noise / data.counts[i];
    }
    let mut height = -0.5 * (n as f64 * variance.ln() + factor.log_determinant());
    for ((length, slope), knob) in scales.lengths.iter().zip(&mut gradient).zip(&space.knobs) {
        let usual = usual_length(space.knobs.len(), knob.ordered);
        prior(*length, usual, LENGTH_SPREAD, &mut height, slope);
    }
    let slope = gradient.last_mut()?;
    prior(scales.noise, USUAL_NOISE.ln(), NOISE_SPREAD, &mut height, slope);
    Some((height, gradient))
}

/// Adds a normal prior's log density and its slope.
fn prior(value: f64, usual: f64, spread: f64, height: &mut f64, slope: &mut f64) {
    let off = (value - usual) / spread;
    *height -= 0.5 * off * off;
    *slope -= off / spread;
}
