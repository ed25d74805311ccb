//! Win probability: how likely each candidate is to be the fastest, given all that was measured so far.
//!
//! Noise is one-sided and has no textbook's shape: most processes run undisturbed, some are slower
//! by a tenth or by half. So its shape is learnt from what was measured more than once, first of
//! all the baseline, and a candidate's level is wherever that shape fits its times. One slow time
//! hardly speaks against a candidate then, two of them do, and a fast one speaks for it.

use std::collections::BTreeMap;

use crate::evidence::confirmation::MINIMUM_EFFECT;
use crate::evidence::drift::Drift;
use crate::knobs::Values;
use crate::stats;
use crate::trial::Trial;

/// Resolution of levels, in logs.
const LEVEL_STEP: f64 = 0.0025;

/// Levels in question lie around the fastest time of all, in logs.
const LEVELS_BELOW: f64 = 0.15;
const LEVELS_ABOVE: f64 = 0.45;

/// Candidates of which every time is farther from the fastest of all are out of the question.
const FAR_LOG_RATIO: f64 = 0.6;

/// Times of one candidate from which the shape of the noise can be learnt.
const REPEATED: usize = 3;

/// What was assumed of the noise's shape counts as this many trials.
const ASSUMED: f64 = 2.0;

/// No kernel is narrower, in logs.
const NARROWEST: f64 = 0.003;

/// How one candidate stands.
#[derive(Clone, Debug, PartialEq)]
pub struct WinProbability {
    /// The value of every knob.
    pub knobs: Values,
    /// Seconds per clip without disturbances, at the speed that the machine had at the start.
    pub level_s: f64,
    /// How many trials.
    pub trials: usize,
    /// The probability that no other is faster.
    pub p_best: f64,
    /// The probability that it is worth having instead of the baseline.
    pub p_gain: f64,
}

/// All candidates but the baseline, the likeliest to be the fastest first.
pub fn win_probabilities<'t>(
    trials: impl IntoIterator<Item = &'t Trial>,
    baseline: Option<&Values>,
    drift: &Drift,
) -> Vec<WinProbability> {
    let mut logs: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
    for trial in trials {
        if let Some(score_s) = drift.score(trial).filter(|score_s| *score_s > 0.0) {
            logs.entry(&trial.knobs).or_default().push(score_s.ln());
        }
    }
    let shape = Shape::learn(logs.values(), drift.deviation());
    let lowest = logs.values().flatten().copied().fold(f64::INFINITY, f64::min);
    let mut usual = None;
    let mut standing = Vec::new();
    for (knobs, logs) in logs {
        let level = Level::of(&logs, lowest, &shape);
        if Some(knobs) == baseline {
            usual = Some(level);
        } else {
            standing.push((knobs, logs.len(), level));
        }
    }
    let chances = chances(standing.iter().map(|(_, _, level)| level.weights.as_slice()));
    let found =
        standing.into_iter().zip(chances).map(|((knobs, trials, level), chance)| WinProbability {
            knobs: knobs.clone(),
            level_s: level.mean.exp(),
            trials,
            p_best: chance,
            p_gain: usual.as_ref().map_or(0.0, |usual| level.gains_on(usual)),
        });
    let mut found: Vec<WinProbability> = found.collect();
    found.sort_by(|a, b| b.p_best.total_cmp(&a.p_best).then(a.level_s.total_cmp(&b.level_s)));
    found
}

/// As [`win_probabilities`], by what the search saw.
pub fn of_search(trials: &[Trial], drift: &Drift) -> Vec<WinProbability> {
    let counts = |trial: &&Trial| trial.phase.is_ranked() && !drift.is_invalidated(trial);
    win_probabilities(trials.iter().filter(counts), crate::trial::baseline_of(trials), drift)
}

/// How likely a time is so far from its candidate's level, in logs: a table.
struct Shape(Vec<f64>);

impl Shape {
    const FROM: f64 = -1.0;
    const TO: f64 = 2.0;

    fn learn<'l>(groups: impl Iterator<Item = &'l Vec<f64>>, deviation: f64) -> Self {
        let mut off = Vec::new();
        for logs in groups.filter(|logs| logs.len() >= REPEATED) {
            let level = stats::undisturbed_mean(logs).unwrap_or(0.0);
            off.extend(logs.iter().map(|log| log - level));
        }
        // A long tail on both sides, for what was not seen yet.
        let count = ((Self::TO - Self::FROM) / LEVEL_STEP) as usize;
        let assumed = |off: f64| 1.0 / (1.0 + (off / deviation).powi(2)) / deviation;
        let at = |i: usize| Self::FROM + LEVEL_STEP * i as f64;
        let mut table: Vec<f64> =
            (0..count).map(|i| ASSUMED * assumed(at(i)) / std::f64::consts::PI).collect();
        // Silverman's rule, by the spread of the undisturbed half.
        off.sort_by(f64::total_cmp);
        let squares = off[..off.len().div_ceil(2)].iter().map(|off| off * off);
        let spread = stats::mean(squares).unwrap_or(0.0).sqrt();
        let width = (1.06 * spread * (off.len() as f64).powf(-0.2)).max(NARROWEST);
        let reach = (4.0 * width / LEVEL_STEP).ceil() as isize;
        for off in &off {
            let place = Self::place(*off) as isize;
            for i in (place - reach).max(0)..(place + reach + 1).min(count as isize) {
                let far = (at(i as usize) - off) / width;
                table[i as usize] += (-far * far / 2.0).exp() / width / 2.507;
            }
        }
        Self(table.into_iter().map(f64::ln).collect())
    }

    fn place(off: f64) -> usize {
        ((off.clamp(Self::FROM, Self::TO - 2.0 * LEVEL_STEP) - Self::FROM) / LEVEL_STEP).round()
            as usize
    }

    fn ln(&self, off: f64) -> f64 {
        self.0[Self::place(off)]
    }
}

/// Where a candidate's level may lie.
struct Level {
    mean: f64,
    /// The probability of each level in question; empty where it is out of the question.
    weights: Vec<f64>,
}

impl Level {
    fn of(logs: &[f64], lowest: f64, shape: &Shape) -> Self {
        let mean = stats::undisturbed_mean(logs).unwrap_or(0.0);
        if logs.iter().all(|log| *log > lowest + FAR_LOG_RATIO) {
            return Self { mean, weights: Vec::new() };
        }
        let count = ((LEVELS_BELOW + LEVELS_ABOVE) / LEVEL_STEP) as usize;
        let at = |i: usize| lowest - LEVELS_BELOW + LEVEL_STEP * i as f64;
        let mut weights: Vec<f64> =
            (0..count).map(|i| logs.iter().map(|log| shape.ln(log - at(i))).sum::<f64>()).collect();
        let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let mean = weights.iter().enumerate().map(|(i, weight)| weight * at(i)).sum();
        Self { mean, weights }
    }

    /// The probability that it lies below the baseline's by what is worth having.
    fn gains_on(&self, usual: &Self) -> f64 {
        if self.weights.is_empty() || usual.weights.is_empty() {
            return f64::from(self.mean < usual.mean);
        }
        let worth = (-(1.0 - MINIMUM_EFFECT).ln() / LEVEL_STEP).round() as usize;
        let mut above = 1.0;
        let mut gains = 0.0;
        // From the lowest level on: `above` is what of the baseline lies more than `worth` higher.
        let mut passed = usual.weights.iter();
        passed.by_ref().take(worth).for_each(|weight| above -= weight);
        for (own, usual) in self.weights.iter().zip(passed.chain(std::iter::repeat(&0.0))) {
            above -= usual;
            gains += own * (above + usual / 2.0).max(0.0);
        }
        gains
    }
}

/// The probability of each that its level is the lowest.
fn chances<'w>(all: impl Iterator<Item = &'w [f64]> + Clone) -> Vec<f64> {
    // ln of the probability that one lies above a level; half of that level counts.
    let above = |weights: &[f64]| {
        let mut rest = 1.0;
        let above = weights.iter().map(|weight| {
            rest -= weight;
            (rest + weight / 2.0).max(1e-12).ln()
        });
        above.collect::<Vec<f64>>()
    };
    let each: Vec<Vec<f64>> = all.clone().map(above).collect();
    let count = each.iter().map(Vec::len).max().unwrap_or(0);
    let together = |i: usize| each.iter().filter_map(|one| one.get(i)).sum::<f64>();
    let together: Vec<f64> = (0..count).map(together).collect();
    let chance = |(weights, own): (&[f64], &Vec<f64>)| {
        let others = together.iter().zip(own).map(|(all, own)| (all - own).exp());
        weights.iter().zip(others).map(|(weight, others)| weight * others).sum()
    };
    all.zip(&each).map(chance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Phase;

    /// Trials of candidates, each with its number of threads and its times; the baseline has 0.
    fn seen(times: &[(i64, &[f64])]) -> Vec<WinProbability> {
        let phase = |threads| if threads == 0 { Phase::Baseline } else { Phase::Search };
        let trial = |threads: i64, seconds| Trial::made(phase(threads), threads, seconds);
        let all =
            times.iter().flat_map(|(threads, times)| times.iter().map(|t| trial(*threads, *t)));
        let trials: Vec<Trial> = all.collect();
        of_search(&trials, &Drift::of(&trials))
    }

    /// A third of the processes are slower by a third.
    const BASELINE: [f64; 9] = [1.0, 1.34, 1.01, 1.0, 1.02, 1.33, 1.01, 1.02, 1.35];

    fn of(found: &[WinProbability], threads: i64) -> &WinProbability {
        let is = |one: &&WinProbability| one.knobs == Trial::threads(threads);
        found.iter().find(is).unwrap()
    }

    #[test]
    fn one_slow_time_hardly_speaks_against_a_candidate_and_two_do() {
        let once = seen(&[(0, &BASELINE), (1, &[0.9, 0.9, 0.91]), (2, &[1.13])]);
        assert_eq!(once.first(), Some(of(&once, 1)));
        assert!((0.1..0.4).contains(&of(&once, 2).p_best), "{once:?}");
        let twice = seen(&[(0, &BASELINE), (1, &[0.9, 0.9, 0.91]), (2, &[1.13, 1.14])]);
        assert!(of(&twice, 2).p_best < of(&once, 2).p_best / 2.0, "{twice:?}");
        let total: f64 = twice.iter().map(|one| one.p_best).sum();
        assert!((total - 1.0).abs() < 0.05, "{total}");
    }

    #[test]
    fn the_undisturbed_level_counts_whatever_share_was_disturbed() {
        let disturbed = [0.9, 1.2, 1.21, 0.91, 1.2];
        let found = seen(&[(0, &BASELINE), (1, &disturbed), (2, &[0.95; 5])]);
        assert_eq!(found.first(), Some(of(&found, 1)), "{found:?}");
        assert!((of(&found, 1).level_s - 0.9).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn what_is_worth_having_is_told_from_what_is_not() {
        let found =
            seen(&[(0, &BASELINE), (1, &[0.9; 5]), (2, &[1.0; 5]), (3, &[1.1; 5]), (4, &[3.0])]);
        assert!(of(&found, 1).p_gain > 0.95, "{found:?}");
        assert!((0.02..0.6).contains(&of(&found, 2).p_gain), "{found:?}");
        assert!(of(&found, 3).p_gain < 0.05, "{found:?}");
        assert_eq!((of(&found, 4).p_gain, of(&found, 4).p_best), (0.0, 0.0));
        assert_eq!(seen(&[(0, &[1.0])]), []);
    }
}
