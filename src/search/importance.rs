//! Importance: which knobs matter, and how the cost answers to each.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Observation;
use super::surrogate::data::Data;
use super::surrogate::forest::Forest;
use crate::knobs::Value;
use crate::space::{Candidate, Space};
use crate::stats::{mean, scatter};

/// What a random forest, fitted to everything observed, says about one knob.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The knob.
    pub knob: String,
    /// Share of the variance of log cost, over the observed candidates, that this knob explains
    /// by itself; 0 to 1. What knobs do together is in none of the shares.
    pub share: f64,
    /// Standard deviation of `share` over the forest's trees.
    pub error: f64,
    /// The response to each of its levels.
    pub curve: Vec<Response>,
}

/// Cost at one level, averaged over the other knobs as they were observed (partial dependence:
/// Friedman, *Greedy function approximation*, 2001).
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The level.
    pub value: Value,
    /// Cost over the average of all candidates: 0.9 is a tenth less.
    pub ratio: f64,
    /// Standard deviation of ln `ratio` over the forest's trees.
    pub error: f64,
    /// Candidates that were measured there.
    pub observed: usize,
}

/// Importance and response of every knob, the most important first; nothing where fewer than
/// ten candidates succeeded.
pub fn importance(space: &Space, observations: &[Observation]) -> Vec<Importance> {
    let data = Data::unclipped(observations);
    if data.len() < 10 {
        return Vec::new();
    }
    let forest = Forest::new(space, &data, &mut Xoshiro256PlusPlus::seed_from_u64(0));
    let mut all: Vec<Importance> =
        (0..space.knobs.len()).map(|position| of_knob(space, &data, &forest, position)).collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

fn of_knob(space: &Space, data: &Data, forest: &Forest, position: usize) -> Importance {
    let knob = &space.knobs[position];
    let levels = 0..knob.levels.len();
    // By level, then by tree.
    let curves: Vec<Vec<f64>> =
        levels.map(|level| partial(&data.candidates, forest, position, level)).collect();
    let seen = |level: usize| {
        data.candidates.iter().filter(|candidate| candidate.level(position) == level).count()
    };
    let weights: Vec<f64> = (0..curves.len()).map(|level| seen(level) as f64).collect();
    let by_tree = |tree: usize| weighted_variance(curves.iter().map(|c| c[tree]), &weights);
    let shares: Vec<f64> = (0..curves[0].len()).map(by_tree).collect();
    let (share, error) = mean_and_deviation(&shares);
    let response = |(level, value): (usize, &Value)| {
        let (mean, deviation) = mean_and_deviation(&curves[level]);
        Response {
            value: value.clone(),
            ratio: (mean * data.scale.deviation).exp(),
            error: deviation * data.scale.deviation,
            observed: seen(level),
        }
    };
    let curve = knob.levels.iter().enumerate().map(response).collect();
    Importance { knob: knob.name.clone(), share: share.min(1.0), error, curve }
}

/// Each tree's mean over all candidates with the knob at `position` put to `level`.
fn partial(candidates: &[Candidate], forest: &Forest, position: usize, level: usize) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for candidate in candidates {
        let moved = candidate.with(position, level);
        for (tree, mean) in forest.by_tree(&moved).enumerate() {
            match sums.get_mut(tree) {
                Some(sum) => *sum += mean,
                None => sums.push(mean),
            }
        }
    }
    sums.iter().map(|sum| sum / candidates.len() as f64).collect()
}

fn weighted_variance(values: impl Iterator<Item = f64> + Clone, weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = values.clone().zip(weights).map(|(v, w)| v * w).sum::<f64>() / total;
    values.zip(weights).map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / total
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = mean(values).unwrap_or_default();
    (mean, (scatter(values, mean) / values.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Recorded;

    #[test]
    fn the_knob_that_decides_the_cost_is_first_and_its_curve_has_the_costs_shape() {
        // Cost doubles with every level of a, rises by a tenth with b, and c does nothing.
        let mut text = "a:ord,b:ord,c:cat,value\n".to_owned();
        for (a, b, c) in (0..48).map(|i| (i % 4, i / 4 % 4, i / 16)) {
            let cost = f64::from(1 << a) * 1.1_f64.powi(b);
            text += &format!("{a},{b},{c},{cost}\n");
        }
        let recorded = Recorded::parse("made", &text).unwrap();
        let mut all: Vec<_> = recorded.costs.keys().cloned().collect();
        all.sort();
        let observed = |candidate: Candidate| {
            let cost = recorded.cost(&candidate);
            Observation::new(candidate, cost.into())
        };
        let observations: Vec<_> = all.into_iter().map(observed).collect();
        let found = importance(&recorded.space, &observations);
        let names: Vec<&str> = found.iter().map(|one| one.knob.as_str()).collect();
        assert_eq!(names[0], "a");
        // Of the variance of log cost, a has ln²2 / (ln²2 + ln²1.1) = 98%.
        assert!((found[0].share - 0.98).abs() < 0.1, "{:?}", found[0].share);
        assert!(found[0].error > 0.0 && found[0].error < 0.2, "{:?}", found[0].error);
        assert!(found[1].share < 0.1 && found[2].share < 0.1);
        let ratios: Vec<f64> = found[0].curve.iter().map(|response| response.ratio).collect();
        // The average of the logarithms lies between levels 1 and 2: 2^-1.5 … 2^1.5.
        for (ratio, expected) in ratios.iter().zip([0.354, 0.707, 1.414, 2.828]) {
            assert!((ratio / expected - 1.0).abs() < 0.15, "{ratios:?}");
        }
        assert_eq!(found[0].curve[0].observed, 12);
    }
}
