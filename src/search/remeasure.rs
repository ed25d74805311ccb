//! Remeasuring: which candidate is in doubt, and which to choose, when measurements are noisy.

use crate::search::Observation;
use crate::search::surrogate::data::Data;
use crate::search::surrogate::gp::{fit, posterior_means};
use crate::search::surrogate::kernel::{Hyperparameters, WHOLE};
use crate::space::{Candidate, Space};

/// Measurements of the best made again before there is an idea of the noise.
const TO_LEARN: f64 = 2.0;
/// Noise, as a share of the cost, that is not worth another measurement.
const NEGLIGIBLE: f64 = 0.004;
/// Candidates in question, and measurements of each at most.
const FINALISTS: usize = 2;
const ENOUGH: f64 = 6.0;

/// The candidate that is worth measuring again: of those that are best by the model's word,
/// the one measured least. `None` where noise does not matter.
pub fn doubtful(space: &Space, observations: &[Observation]) -> Option<Candidate> {
    let data = &Data::new(observations);
    let repeats: f64 = data.counts.iter().map(|count| count - 1.0).sum();
    if repeats < TO_LEARN {
        return data.best(1).first().map(|&best| data.candidates[best].clone());
    }
    if data.len() < 3 || data.relative_noise.unwrap_or(0.0) < NEGLIGIBLE {
        return None;
    }
    let scales = fit(space, &WHOLE, data, None);
    let finalists = ranked(space, data, &scales, FINALISTS);
    let least = |a: &&usize, b: &&usize| data.counts[**a].total_cmp(&data.counts[**b]);
    let least = *finalists.iter().min_by(least)?;
    (data.counts[least] < ENOUGH).then(|| data.candidates[least].clone())
}

/// The candidate to keep after a search: the best by the posterior mean of its cost where
/// repeated measurements show noise, the cheapest where they show none.
pub fn choose(space: &Space, observations: &[Observation]) -> Option<Candidate> {
    let data = Data::new(observations);
    let best = *data.best(1).first().filter(|&&best| !data.cut[best])?;
    let noisy = data.relative_noise.is_some_and(|noise| noise >= NEGLIGIBLE);
    if !noisy || data.len() < 3 {
        return Some(data.candidates[best].clone());
    }
    let scales = fit(space, &WHOLE, &data, None);
    let ranked = ranked(space, &data, &scales, 1);
    Some(data.candidates[ranked.first().copied().unwrap_or(best)].clone())
}

/// Positions of the candidates with the lowest posterior means, the lowest first.
fn ranked(space: &Space, data: &Data, scales: &Hyperparameters, count: usize) -> Vec<usize> {
    let noise = data.noise.unwrap_or(0.0);
    let Some(means) = posterior_means(space, data, scales, noise) else { return data.best(count) };
    let mut order: Vec<usize> = (0..data.len()).filter(|&i| !data.cut[i]).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
    order.truncate(count);
    order
}
