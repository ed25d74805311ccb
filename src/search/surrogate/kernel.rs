//! Kernel: how alike any two candidates are, knob by knob.
//!
//! A product over knobs of one plus what the knob explains, Matérn 3/2 along ordered knobs and a
//! constant for any two different categories, with one length scale per knob (costs have kinks where
//! caches overflow and cores run out: 5/2 is too smooth for them, an exponential too rough). Written
//! out it is the sum of what each knob does alone, each two together, and so on, the less the more
//! of them (smoothing-spline ANOVA: Gu, *Smoothing spline ANOVA models*, 2013; Duvenaud, Nickisch and
//! Rasmussen, *Additive Gaussian processes*, 2011): a category that was better in one company is then
//! expected to be so in another, and an unknown one costs no more than that knob may, where a
//! product of correlations falls back to the mean of all.
//!
//! Along counts in steps (block sizes, tiles, threads) it is not only nearness that makes alike:
//! vectors, caches and banks want numbers that can be divided, so that 64 may be more like 192 than
//! like 80. Those with as many factors of two are alike, and the likelihood decides how much that
//! matters.

use std::collections::HashSet;

use crate::knobs::Value;
use crate::space::{Candidate, KnobDomain, Scale, Space};

pub(in crate::search) use super::hyperparameters::{HyperPrior, Hyperparameters, STAGE, WHOLE};

/// The fewest levels among which divisibility is looked at.
const FEWEST_LEVELS: usize = 4;

/// Correlations of any two candidates.
#[derive(Debug)]
pub(in crate::search) struct Kernel {
    /// A table per knob.
    tables: Vec<LevelFactors>,
}

/// Factors of any two levels of a knob.
#[derive(Debug)]
pub(in crate::search) struct LevelFactors {
    levels: usize,
    factor: Vec<f64>,
    /// The derivatives of ln factor.
    slope: Vec<Slope>,
}

/// By the logarithms of a knob's length scale, of what it does alone, and of what levels of the same
/// divisibility have in common.
#[derive(Clone, Copy, Debug)]
struct Slope {
    length: f64,
    main_effects: f64,
    divisibility: f64,
}

impl Kernel {
    pub fn new(space: &Space, scales: &Hyperparameters) -> Self {
        let table = |(k, knob): (usize, &KnobDomain)| {
            let divisibility = scales.divisibility.get(k).map(|divisibility| divisibility.exp());
            LevelFactors::new(knob, scales.lengths[k], scales.main_effects[k].exp(), divisibility)
        };
        Self { tables: space.knobs.iter().enumerate().map(table).collect() }
    }

    /// Correlations of each of `rows`, a row each, with `columns`.
    pub fn cross(&self, rows: &[Candidate], columns: &[Candidate]) -> Vec<f64> {
        let m = columns.len();
        let mut cross = vec![1.0; rows.len() * m];
        for (k, table) in self.tables.iter().enumerate() {
            let levels = levels(columns, k);
            // Looked up once for all rows at a level.
            let mut factors = vec![Vec::new(); table.levels];
            for (row, cells) in rows.iter().zip(cross.chunks_mut(m.max(1))) {
                let from = table.from(row.level(k));
                let factors: &mut Vec<f64> = &mut factors[row.level(k)];
                if factors.is_empty() {
                    factors.extend(levels.iter().map(|&level| from[level]));
                }
                cells.iter_mut().zip(factors).for_each(|(cell, factor)| *cell *= *factor);
            }
        }
        cross
    }

    /// The sum of the derivatives of each correlation's logarithm by the scales, but for the
    /// noise's, times its cell of `pulls`, of which the lower triangle counts; in the order of
    /// [`Hyperparameters::all_mut`], with divisibility whether it is looked at or not.
    pub fn slopes(&self, candidates: &[Candidate], pulls: &[f64]) -> Vec<f64> {
        let (n, knobs) = (candidates.len(), self.tables.len());
        let mut slopes = vec![0.0; 3 * knobs];
        for (k, table) in self.tables.iter().enumerate() {
            let levels = levels(candidates, k);
            let (mut by_length, mut by_main_effect, mut by_divisibility) = (0.0, 0.0, 0.0);
            for (i, &level) in levels.iter().enumerate() {
                let row = &table.slope[level * table.levels..][..table.levels];
                for (pull, &other) in pulls[i * n..i * n + i].iter().zip(&levels) {
                    let slope = row[other];
                    by_length += pull * slope.length;
                    by_main_effect += pull * slope.main_effects;
                    by_divisibility += pull * slope.divisibility;
                }
            }
            (slopes[k], slopes[knobs + k], slopes[2 * knobs + k]) =
                (by_length, by_main_effect, by_divisibility);
        }
        slopes
    }
}

/// The level of the knob at `position` in each candidate.
fn levels(candidates: &[Candidate], position: usize) -> Vec<usize> {
    candidates.iter().map(|candidate| candidate.level(position)).collect()
}

impl LevelFactors {
    fn new(
        knob: &KnobDomain,
        log_length: f64,
        main_effects: f64,
        divisibility: Option<f64>,
    ) -> Self {
        let levels = knob.levels.len();
        let divisibility =
            divisibility.and_then(|divisibility| Some((families(knob)?, divisibility)));
        let places = places(knob);
        let reach = (places[levels - 1] - places[0]).max(f64::MIN_POSITIVE);
        let apart = |pair: usize| {
            let (a, b) = (pair / levels, pair % levels);
            if knob.ordered { (places[a] - places[b]).abs() / reach } else { f64::from(a != b) }
        };
        let of_pair = |pair: usize| {
            let near = matern(apart(pair) * (-log_length).exp());
            let (alike, by_length, by_divisibility) = match &divisibility {
                Some((families, divisibility)) => {
                    let same = families[pair / levels] == families[pair % levels];
                    related(near, f64::from(same), *divisibility)
                }
                None => (near.0, near.1, 0.0),
            };
            let share = main_effects * alike / (1.0 + main_effects * alike);
            let by_main_effect = share - main_effects / (1.0 + main_effects);
            let slope = Slope {
                length: share * by_length,
                main_effects: by_main_effect,
                divisibility: share * by_divisibility,
            };
            ((1.0 + main_effects * alike) / (1.0 + main_effects), slope)
        };
        let (factor, slope) = (0..levels * levels).map(of_pair).unzip();
        Self { levels, factor, slope }
    }

    /// The factors of `level` and every other.
    fn from(&self, level: usize) -> &[f64] {
        &self.factor[level * self.levels..][..self.levels]
    }
}

/// Where an ordered knob's levels lie: by the knob's scale, or else one step apart, but counts that
/// leave none out by their logarithms, since one thread more is much to one thread and little to
/// sixty.
fn places(knob: &KnobDomain) -> Vec<f64> {
    let scaled =
        |scale: Scale| knob.levels.iter().map(|level| Some(scale.place(level.number()?))).collect();
    if let Some(places) = knob.scale.and_then(scaled) {
        return places;
    }
    let counts: Option<Vec<f64>> = knob.levels.iter().map(Value::count).collect();
    let dense = |counts: &Vec<f64>| counts.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    match counts.filter(dense) {
        Some(counts) => counts.into_iter().map(f64::ln).collect(),
        None => (0..knob.levels.len()).map(|level| level as f64).collect(),
    }
}

/// The factors of two in each level of a knob that counts in steps: where there are enough levels
/// for that to be told from nearness, and it neither is the same everywhere nor tells all apart.
fn families(knob: &KnobDomain) -> Option<Vec<u32>> {
    let twos = |value: &Value| match value {
        Value::Integer(number) if *number > 0 => Some(number.trailing_zeros()),
        _ => None,
    };
    let families: Vec<u32> = knob.levels.iter().map(twos).collect::<Option<_>>()?;
    let different = families.iter().collect::<HashSet<_>>().len();
    let tells = knob.ordered && families.len() >= FEWEST_LEVELS;
    (tells && different > 1 && different < families.len()).then_some(families)
}

/// How alike two levels are that are `near` to each other as [`matern`] says, and of the `same`
/// family (1) or not (0), and its logarithm's derivatives by the logarithms of the length scale and
/// of `divisibility`, which weighs divisibility against nearness.
fn related((near, by_length): (f64, f64), same: f64, divisibility: f64) -> (f64, f64, f64) {
    let sum = near + divisibility * same;
    (
        sum / (1.0 + divisibility),
        by_length * near / sum,
        divisibility * same / sum - divisibility / (1.0 + divisibility),
    )
}

/// Matérn 3/2 at `distance` in length scales, and its logarithm's derivative by the logarithm
/// of the length scale.
fn matern(distance: f64) -> (f64, f64) {
    let r = 3.0_f64.sqrt() * distance;
    ((1.0 + r) * (-r).exp(), r * r / (1.0 + r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::SpaceFile;

    fn between(kernel: &Kernel, a: &Candidate, b: &Candidate) -> f64 {
        kernel.cross(std::slice::from_ref(a), std::slice::from_ref(b))[0]
    }

    #[test]
    fn a_category_that_was_better_in_one_company_is_alike_in_another() {
        let text = "schema = 1\nname = 'x'\nwhy = 'x'\nbaseline = { allocator = 'a', affinity = \
                    'a' }\n[knob]\nallocator = { why = '', values = ['a', 'b'] }\naffinity = { \
                    why = '', values = ['a', 'b'] }\n";
        let space = Space::reopen(&SpaceFile::parse(text).unwrap()).unwrap();
        let mut scales = Hyperparameters::usual(&space, &WHOLE);
        // What a knob does alone varies as much as what all have in common, and categories have
        // nothing in common: a factor of (1 + 1) / 2 or of 1 / 2.
        scales.main_effects = vec![0.0; 2];
        scales.lengths = vec![-3.0; 2];
        let kernel = Kernel::new(&space, &scales);
        let [aa, ab, bb] = [[0, 0], [0, 1], [1, 1]].map(Candidate::new);
        for (a, b, expected) in [(&aa, &aa, 1.0), (&aa, &ab, 0.5), (&aa, &bb, 0.25)] {
            assert!((between(&kernel, a, b) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn counts_with_as_many_factors_of_two_are_alike() {
        let text = "schema = 1\nname = 'x'\nwhy = 'x'\nbaseline = { preprocess_workers = 16 }\n[knob]\n\
                    preprocess_workers = { why = '', values = [16, 32, 48, 80] }\n";
        let space = Space::reopen(&SpaceFile::parse(text).unwrap()).unwrap();
        // Nearness says nothing, and divisibility as much: half of the factor's half.
        let mut scales = Hyperparameters::usual(&space, &WHOLE);
        (scales.lengths, scales.main_effects, scales.divisibility) =
            (vec![-6.0], vec![0.0], vec![0.0]);
        let kernel = Kernel::new(&space, &scales);
        for (level, expected) in [(0, 1.0), (1, 0.5), (2, 0.75), (3, 0.75)] {
            let alike = between(&kernel, &Candidate::new([0]), &Candidate::new([level]));
            assert!((alike - expected).abs() < 1e-6, "{level}: {alike}");
        }
        let numbers = |levels: &[i64]| levels.iter().copied().map(Value::Integer).collect();
        for levels in [&[1, 2, 4, 8, 16][..], &[16, 32, 48], &[1, 3, 5, 7], &[0, 1, 2, 3]] {
            let knob = KnobDomain { levels: numbers(levels), ..space.knobs[0].clone() };
            assert_eq!(families(&knob), None, "{levels:?}");
        }
    }

    #[test]
    fn the_slope_of_the_covariance_is_what_a_small_step_changes() {
        let text = "schema = 1\nname = 'x'\nwhy = 'x'\nbaseline = { allocator = 'a', \
                    preprocess_workers = 1 }\n[knob]\nallocator = { why = '', values = ['a', 'b'] }\n\
                    preprocess_workers = { why = '', values = [1, 2, 3, 4, 6] }\n";
        let space = Space::reopen(&SpaceFile::parse(text).unwrap()).unwrap();
        let scales = Hyperparameters::usual(&space, &WHOLE);
        let (a, b) = (Candidate::new([0, 0]), Candidate::new([1, 2]));
        let kernel = Kernel::new(&space, &scales);
        let pull = between(&kernel, &a, &b);
        let slopes = kernel.slopes(&[a.clone(), b.clone()], &[0.0, 0.0, pull, 0.0]);
        assert_eq!(slopes.len(), scales.len() - 1);
        for (place, slope) in slopes.into_iter().enumerate() {
            let moved = |step: f64| {
                let mut scales = scales.clone();
                *scales.all_mut().nth(place).unwrap() += step;
                between(&Kernel::new(&space, &scales), &a, &b)
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - expected).abs() < 1e-7, "{place}: {slope} {expected}");
        }
    }
}
