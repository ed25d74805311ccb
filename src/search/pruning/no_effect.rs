//! Knobs without effect: those that change nothing on this machine.
//!
//! ln score is fitted by a sum of what each knob adds: a parabola for counts and sizes, a constant
//! a word for names. What such a sum can't explain, knobs that only matter together included,
//! counts as noise and makes every answer less certain. A knob has no effect when even the largest
//! difference between any two of its values, with its uncertainty on top, is too small to matter.

use std::collections::BTreeMap;

use crate::search::Factor;
use crate::space::{Candidate, KnobDomain, Space};
use crate::stats;
use crate::trial::{Phase, Trial};

/// A difference below this share of the time does not matter.
const INDIFFERENT: f64 = 0.03;

/// Standard errors on top of an estimate: 95% for ten degrees of freedom and a look at some pairs.
const CERTAINTY: f64 = 2.5;

/// Trials beyond the number of things estimated, below which nothing is said.
const LEAST_SPARE: usize = 10;

/// Trials at a value, below which nothing is known of it.
const LEAST_SEEN: usize = 2;

/// Knobs of this many values may have one that is unlike its neighbours; counts of more have not.
const FEW: usize = 8;

/// A knob that changes nothing here.
#[derive(Clone, Debug, PartialEq)]
pub struct NoEffect {
    /// The knob.
    pub knob: String,
    /// The largest share of the time that it may make, with its uncertainty.
    pub at_most: f64,
    /// Trials that show it.
    pub trials: usize,
    /// Different values among them.
    pub values: usize,
}

impl NoEffect {
    /// What was found, in words.
    pub fn sentence(&self) -> String {
        let Self { knob, at_most, trials, values } = self;
        let percent = at_most * 100.0;
        format!(
            "{knob} changes nothing here: {values} values in {trials} trials differ by at most \
             {percent:.1}% and no more were tried"
        )
    }
}

/// The knobs of a space that have no effect; none while there are too few trials to say so.
pub fn of(space: &Space, trials: &[Trial]) -> Vec<NoEffect> {
    let counts = |trial: &&Trial| matches!(trial.phase, Phase::Baseline | Phase::Search);
    let scored = |trial: &Trial| Some((space.candidate(&trial.knobs)?, trial.score()?.ln()));
    let scores: Vec<(Candidate, f64)> =
        trials.iter().filter(counts).filter_map(scored).filter(|(_, y)| y.is_finite()).collect();
    let knobs: Vec<EffectSize> = (0..space.knobs.len())
        .filter_map(|position| EffectSize::new(position, &space.knobs[position], &scores))
        .collect();
    let Some(fit) = Fit::new(&knobs, &scores) else { return Vec::new() };
    let no_effect = |(effect, column): (&EffectSize, &usize)| {
        let at_most = fit.at_most(effect, *column) + fit.off(effect, &scores);
        (effect.is_known && at_most < INDIFFERENT).then(|| NoEffect {
            knob: space.knobs[effect.position].name.clone(),
            at_most,
            trials: scores.len(),
            values: effect.levels.len(),
        })
    };
    knobs.iter().zip(&fit.columns).filter_map(no_effect).collect()
}

/// How a knob enters the sum.
struct EffectSize {
    position: usize,
    ordered: bool,
    /// Levels that were observed.
    levels: Vec<usize>,
    /// Whether enough was seen of it to say that it has no effect.
    is_known: bool,
}

impl EffectSize {
    /// `None` for a knob that was observed at one level.
    fn new(position: usize, knob: &KnobDomain, scores: &[(Candidate, f64)]) -> Option<Self> {
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for (candidate, _) in scores {
            *seen.entry(candidate.level(position)).or_default() += 1;
        }
        let ends = [0, knob.levels.len() - 1];
        let is_short = !knob.ordered || knob.levels.len() <= FEW;
        let needed = |level: usize| is_short || ends.contains(&level);
        let often = |level: &usize| seen.get(level).is_some_and(|&times| times >= LEAST_SEEN);
        let is_known = (0..knob.levels.len()).filter(|&level| needed(level)).all(|l| often(&l));
        let levels: Vec<usize> = seen.into_keys().collect();
        let ordered = knob.ordered;
        (levels.len() > 1).then_some(Self { position, ordered, levels, is_known })
    }

    /// Columns that it takes.
    fn width(&self) -> usize {
        if self.ordered { 2.min(self.levels.len() - 1) } else { self.levels.len() - 1 }
    }

    /// What it puts into its columns at `level`.
    fn features(&self, level: usize) -> Vec<f64> {
        if !self.ordered {
            return self.levels[1..].iter().map(|&l| f64::from(u8::from(l == level))).collect();
        }
        let (low, high) = (self.levels[0] as f64, self.levels[self.levels.len() - 1] as f64);
        let x = 2.0 * (level as f64 - low) / (high - low) - 1.0;
        [x, x * x].into_iter().take(self.width()).collect()
    }
}

/// The sum, fitted by least squares.
struct Fit {
    /// First column of each knob; column 0 is what all have in common.
    columns: Vec<usize>,
    beta: Vec<f64>,
    /// Covariance of `beta` over the noise's variance.
    covariance: Vec<f64>,
    noise: f64,
    /// What it does not explain, by trial.
    residuals: Vec<f64>,
}

impl Fit {
    fn new(effects: &[EffectSize], scores: &[(Candidate, f64)]) -> Option<Self> {
        let mut width = 1;
        let columns: Vec<usize> = effects
            .iter()
            .map(|effect| {
                width += effect.width();
                width - effect.width()
            })
            .collect();
        let spare = scores.len().checked_sub(width).filter(|&spare| spare >= LEAST_SPARE)?;
        let row = |candidate: &Candidate| -> Vec<f64> {
            let of = |effect: &EffectSize| effect.features(candidate.level(effect.position));
            [1.0].into_iter().chain(effects.iter().flat_map(of)).collect()
        };
        let rows: Vec<Vec<f64>> = scores.iter().map(|(candidate, _)| row(candidate)).collect();
        let mut normal = vec![0.0; width * width];
        let mut right = vec![0.0; width];
        for (row, (_, y)) in rows.iter().zip(scores) {
            for i in 0..width {
                right[i] += row[i] * y;
                (0..width).for_each(|j| normal[i * width + j] += row[i] * row[j]);
            }
        }
        // What can't be told apart gets a huge variance instead of none.
        (0..width).for_each(|i| normal[i * width + i] += 1e-9);
        let factor = Factor::new(width, normal)?;
        let beta = factor.solve(&right);
        let residual = |(row, (_, y)): (&Vec<f64>, &(Candidate, f64))| y - dot(row, &beta);
        let residuals: Vec<f64> = rows.iter().zip(scores).map(residual).collect();
        let left: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
        let noise = (left / spare as f64).sqrt().max(repetition_noise(scores));
        let mut covariance = factor.inverse();
        for i in 0..width {
            (i + 1..width).for_each(|j| covariance[i * width + j] = covariance[j * width + i]);
        }
        Some(Self { columns, beta, covariance, noise, residuals })
    }

    /// How far the trials at some level of an ordered knob lie from its parabola, in the mean, as a
    /// share.
    fn off(&self, effect: &EffectSize, scores: &[(Candidate, f64)]) -> f64 {
        let at = |level: usize| {
            let own = scores.iter().zip(&self.residuals);
            let own = own.filter(|((c, _), _)| c.level(effect.position) == level);
            let own: Vec<f64> = own.map(|(_, residual)| *residual).collect();
            stats::mean(&own).map_or(0.0, f64::abs)
        };
        let levels = effect.levels.iter().filter(|_| effect.ordered);
        levels.map(|&level| at(level)).fold(0.0, f64::max).exp_m1()
    }

    /// The largest difference between two levels, with its uncertainty, as a share.
    fn at_most(&self, effect: &EffectSize, column: usize) -> f64 {
        let width = self.beta.len();
        let bound = |a: usize, b: usize| {
            let (a, b) = (effect.features(a), effect.features(b));
            let contrast: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let estimate = dot(&contrast, &self.beta[column..]);
            let row = |i: usize| &self.covariance[(column + i) * width + column..];
            let variance: f64 =
                contrast.iter().enumerate().map(|(i, c)| c * dot(&contrast, row(i))).sum();
            estimate.abs() + CERTAINTY * self.noise * variance.max(0.0).sqrt()
        };
        let pairs = effect.levels.iter().flat_map(|&a| effect.levels.iter().map(move |&b| (a, b)));
        pairs.filter(|(a, b)| a < b).map(|(a, b)| bound(a, b)).fold(0.0, f64::max).exp_m1()
    }
}

/// Spread of candidates that were measured more than once; 0 where none was.
fn repetition_noise(scores: &[(Candidate, f64)]) -> f64 {
    let mut repeated: BTreeMap<&Candidate, Vec<f64>> = BTreeMap::new();
    for (candidate, y) in scores {
        repeated.entry(candidate).or_default().push(*y);
    }
    let (mut sum, mut spare) = (0.0, 0.0);
    for of_one in repeated.values() {
        let freedom = of_one.len() as f64 - 1.0;
        sum += stats::deviation(of_one).map_or(0.0, |deviation| freedom * deviation.powi(2));
        spare += freedom;
    }
    if spare > 0.0 { (sum / spare).sqrt() } else { 0.0 }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::search::Recorded;
    use crate::stats::normal;

    /// Six batch sizes, four thread counts, three allocators.
    fn space() -> Space {
        let mut text = "batch:ord,threads:ord,allocator:cat,value\n".to_owned();
        for (batch, threads) in (0..24).map(|i| (i % 6, i / 6)) {
            for allocator in ["glibc", "jemalloc", "tcmalloc"] {
                text += &format!("{batch},{threads},{allocator},1\n");
            }
        }
        Recorded::parse("made", &text).unwrap().space
    }

    /// Names of the knobs without effect after `count` random trials that take `seconds(batch, threads,
    /// allocator)` with 1% of noise.
    fn found(count: usize, seconds: impl Fn(f64, f64, &str) -> f64) -> Vec<String> {
        let space = space();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let trial = |number: usize| {
            let level = |knob: &KnobDomain| rng.random_range(0..knob.levels.len());
            let levels: Vec<usize> = space.knobs.iter().map(level).collect();
            let candidate = Candidate::new(levels);
            let knobs = space.values(&candidate);
            let count = |name: &str| knobs[name].to_string().parse::<f64>().unwrap();
            let allocator = knobs["allocator"].to_string();
            let seconds = seconds(count("batch"), count("threads"), &allocator);
            let noise = (0.01 * normal(&mut rng)).exp();
            super::super::tests::trial(number as u64, knobs.clone(), seconds * noise)
        };
        let trials: Vec<Trial> = (0..count).map(trial).collect();
        of(&space, &trials).into_iter().map(|no_effect| no_effect.knob).collect()
    }

    #[test]
    fn a_knob_that_does_nothing_is_found_and_those_that_do_something_are_not() {
        let cost = |batch: f64, _: f64, allocator: &str| {
            2.0 * 0.9_f64.powf(batch) * if allocator == "tcmalloc" { 0.8 } else { 1.0 }
        };
        assert_eq!(found(60, cost), ["threads"]);
        // A few trials prove nothing.
        assert_eq!(found(16, cost), Vec::<String>::new());
    }

    #[test]
    fn a_difference_of_five_percent_matters() {
        let cost = |_: f64, threads: f64, allocator: &str| {
            1.0 + 0.05 / 3.0 * threads + if allocator == "jemalloc" { 0.05 } else { 0.0 }
        };
        assert_eq!(found(60, cost), ["batch"]);
    }

    #[test]
    fn one_value_between_the_ends_that_is_5_percent_faster_matters() {
        let cost = |batch: f64, _: f64, _: &str| if batch == 2.0 { 0.95 } else { 1.0 };
        let found = found(90, cost);
        assert!(!found.contains(&"batch".to_owned()), "{found:?}");
        assert!(found.contains(&"threads".to_owned()), "{found:?}");
    }

    #[test]
    fn knobs_that_only_matter_together_are_not_without_effect() {
        // Threads help one half of the batches as much as they hurt the other.
        let cost = |batch: f64, threads: f64, _: &str| {
            1.0 + 0.1 * (threads - 1.5) * if batch < 2.5 { 1.0 } else { -1.0 }
        };
        let found = found(80, cost);
        assert!(!found.contains(&"threads".to_owned()), "{found:?}");
        assert!(!found.contains(&"batch".to_owned()), "{found:?}");
    }
}
