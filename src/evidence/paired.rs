//! Paired comparison: the typical log ratio of two candidates that ran in the same rounds, with an
//! interval that stays valid however often one looks.
//!
//! Three confidence sequences share the accepted error, and what all of them leave is the answer.
//!
//! - The **steady** one takes the log ratios of rounds for normal and decides after a few quiet ones.
//!   A trend of the machine adds to a ratio what the order in its round says, and the opposite in the
//!   reverse order: where orders balance it widens the interval and moves it by less.
//! - The **trend** one estimates that addition from the orders and takes it out. It needs a round
//!   more.
//! - The **robust** one asks only that either side of a round, once it is shifted by the true ratio,
//!   is as likely as the other to be the slow one, however wild the machine; disturbances are cut
//!   off, and hardly count.
//!
//! Where orders don't balance, as in a few rounds that all had the same one, a trend alone looks like
//! a gain to the first and the last of them, and only the second may speak.

use crate::stats::{Estimate, Interval, SMALLEST_DEVIATION, confidence_sequence, mean, scatter};

/// The share of the accepted error that the steady sequence spends.
const STEADY_SHARE: f64 = 0.8;

/// The share that the trend sequence spends.
const TREND_SHARE: f64 = 0.1;

/// The share that the robust sequence spends.
const ROBUST_SHARE: f64 = 0.1;

/// The smallest deviation of a trial that is believed, as a share of the one that is known from
/// other trials. Where noise has two values, three rounds in four are alike by luck; where a machine
/// became quieter this costs nothing from the fourth round on.
const KNOWN_SHARE: f64 = 0.5;

/// How far above the lower quartile of runs, in logs, another counts as disturbed, at least and at
/// the most: by how much does not matter then.
const CUT: (f64, f64) = (0.005, 0.04);

/// Pairs before one that tell its level: a machine may drift.
const RECENT_PAIRS: usize = 16;

/// The bets of [`is_plausible`], shares of what is at stake.
const BETS: [f64; 8] = [-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0];

/// One round, as two candidates saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The first one's cost, in logs.
    pub a: f64,
    /// The second one's cost, in logs.
    pub b: f64,
    /// How many trials later the second ran; negative where it ran earlier.
    pub later: f64,
}

/// The typical `a - b` with its interval at confidence 1 - `alpha`, where trials deviate by about
/// `noise` in logs (0 where that is not known). Infinite while nothing can be said; `None` without a
/// round.
pub fn interval(rounds: &[Round], noise: f64, alpha: f64) -> Option<Interval> {
    let least = SMALLEST_DEVIATION.max(KNOWN_SHARE * noise * std::f64::consts::SQRT_2);
    let pairs: Vec<(f64, f64)> = rounds.iter().map(|round| (round.a, round.b)).collect();
    let ratios: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let steady = with_trend(&ratios)?.confidence_sequence(least, STEADY_SHARE * alpha);
    let centre = undisturbed_ratio(&pairs, &ratios);
    let mut known = Interval { low: f64::NEG_INFINITY, mean: centre, high: f64::INFINITY };
    if let Some(trend) = without_trend(rounds, &ratios) {
        known = trend.confidence_sequence(least, TREND_SHARE * alpha);
    }
    let trend = known;
    if is_balanced(rounds, STEADY_SHARE * alpha) {
        let robust = |side| edge(&pairs, ROBUST_SHARE * alpha, centre, side);
        known.low = known.low.max(steady.low).max(robust(-1.0));
        known.high = known.high.min(steady.high).min(robust(1.0));
    }
    // Disjoint sequences are one of the errors that `alpha` allows: then nothing is known.
    if known.low > known.high {
        (known.low, known.high) = (f64::NEG_INFINITY, f64::INFINITY);
    }
    if known != trend || trend.low.is_infinite() {
        known.mean = centre.clamp(known.low, known.high);
    }
    Some(known)
}

/// Whether a trend alone, without any noise, would not pass for a difference: then a round's ratio
/// is a multiple of the distance between its two trials.
fn is_balanced(rounds: &[Round], alpha: f64) -> bool {
    let distances: Vec<f64> = rounds.iter().map(|round| round.later).collect();
    confidence_sequence(&distances, alpha).is_some_and(|of| of.low <= 0.0 && of.high >= 0.0)
}

/// The mean ratio; a trend is a part of its scatter.
fn with_trend(ratios: &[f64]) -> Option<Estimate> {
    let (mean, values) = (mean(ratios)?, ratios.len() as f64);
    Some(Estimate { mean, values, free: values, scatter: scatter(ratios, mean) })
}

/// The ratio at distance nought, by least squares; `None` where all distances are the same.
fn without_trend(rounds: &[Round], ratios: &[f64]) -> Option<Estimate> {
    let distances: Vec<f64> = rounds.iter().map(|round| round.later).collect();
    let (n, middle, level) = (rounds.len() as f64, mean(&distances)?, mean(ratios)?);
    let spread = scatter(&distances, middle);
    if spread == 0.0 {
        return None;
    }
    let both = distances.iter().zip(ratios);
    let slope = both.clone().map(|(x, y)| (x - middle) * (y - level)).sum::<f64>() / spread;
    let at_nought = level - slope * middle;
    let residual = both.map(|(x, y)| (y - at_nought - slope * x).powi(2)).sum::<f64>();
    let values = 1.0 / (1.0 / n + middle.powi(2) / spread);
    Some(Estimate { mean: at_nought, values, free: n - 1.0, scatter: residual })
}

/// The shift from which the times of both sides balance, disturbances cut off.
fn undisturbed_ratio(pairs: &[(f64, f64)], ratios: &[f64]) -> f64 {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let surplus = |shift: f64| {
        let (cut, _) = cut(pairs, shift);
        pairs.iter().map(|(a, b)| a.min(cut) - (b + shift).min(cut)).sum::<f64>()
    };
    bisect(least, most, |shift| surplus(shift) > 0.0)
}

/// The time above which runs count as disturbed, where the second side takes `shift` less than the
/// first, and how far that lies above the lower quartile: twice as far as the middle does.
fn cut(pairs: &[(f64, f64)], shift: f64) -> (f64, f64) {
    let mut all: Vec<f64> = pairs.iter().flat_map(|(a, b)| [*a, b + shift]).collect();
    let (middle, quartile) = (all.len() / 2, (all.len() - 1) / 4);
    let (faster, middle, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let middle = *middle;
    let quartile = *faster.select_nth_unstable_by(quartile, f64::total_cmp).1;
    let above = (2.0 * (middle - quartile)).clamp(CUT.0, CUT.1);
    (quartile + above, above)
}

/// Where plausible shifts end on one side of the centre; infinite where they don't.
fn edge(pairs: &[(f64, f64)], alpha: f64, centre: f64, side: f64) -> f64 {
    const FARTHEST: f64 = 20.0;
    if is_plausible(pairs, alpha, centre + side * FARTHEST) {
        return side * f64::INFINITY;
    }
    let distance = bisect(0.0, FARTHEST, |d| is_plausible(pairs, alpha, centre + side * d));
    centre + side * distance
}

/// Whether pairs whose second side takes `shift` less than the first may look like these: a gambler
/// who bets on which side is slower, and by how much, has not multiplied the stake by 1 / `alpha`
/// (Ville; Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
/// betting"). What counts as disturbed is taken from earlier pairs, so that it is no news.
fn is_plausible(pairs: &[(f64, f64)], alpha: f64, shift: f64) -> bool {
    let mut wealth = [1.0; BETS.len()];
    for (i, (a, b)) in pairs.iter().enumerate().skip(1) {
        let (cut, scale) = cut(&pairs[i.saturating_sub(RECENT_PAIRS)..i], shift);
        let slower = ((a.min(cut) - (b + shift).min(cut)) / scale).clamp(-1.0, 1.0);
        wealth.iter_mut().zip(BETS).for_each(|(wealth, bet)| *wealth *= 1.0 + bet * slower);
    }
    wealth.iter().sum::<f64>() / (BETS.len() as f64) < 1.0 / alpha
}

/// The place between two where `holds` ceases to.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// The distance of two candidates in round `i`: as it comes, reversed, reversed, as it comes.
    fn later(i: usize) -> f64 {
        if matches!(i % 4, 0 | 3) { 1.0 } else { -1.0 }
    }

    /// Rounds of these ratios at these distances.
    fn rounds(ratios: &[f64], distances: &[f64]) -> Vec<Round> {
        let round = |(ratio, later): (&f64, &f64)| Round { a: *ratio, b: 0.0, later: *later };
        ratios.iter().zip(distances).map(round).collect()
    }

    fn close(seen: f64, right: f64) -> bool {
        (seen - right).abs() < 1e-5
    }

    /// Growth of 2.4% a trial, the same order in all rounds: no number of them says anything.
    #[test]
    fn rounds_of_one_order_say_nothing() {
        for count in [1, 2, 3, 8, 40] {
            let seen: Vec<f64> = (0..count).map(|i| 0.024 + 1e-4 * f64::from(i % 2)).collect();
            for distance in [-2.0, 1.0] {
                let known = interval(&rounds(&seen, &vec![distance; seen.len()]), 0.0, 0.05);
                let known = known.unwrap();
                assert!(known.low == f64::NEG_INFINITY && known.high == f64::INFINITY);
                assert!((known.mean - 0.024).abs() < 2e-4, "{known:?}");
            }
        }
        assert_eq!(interval(&[], 0.0, 0.05), None);
    }

    /// The numbers of this and the next two tests come from a program of another language.
    #[test]
    fn a_trend_is_told_from_a_gain() {
        let seen = [0.077, 0.125, 0.123, 0.075, 0.077, 0.125];
        let distances: Vec<f64> = (0..6).map(later).collect();
        let known = interval(&rounds(&seen, &distances), 0.0, 0.05).unwrap();
        assert!(close(known.low, 0.095_602) && close(known.high, 0.105_064), "{known:?}");
        assert!(close(known.mean, 0.100_333), "{known:?}");
    }

    /// Eleven rounds of one order and one of the other, of a machine that gets slower by 2% a trial;
    /// the gain is 2%.
    #[test]
    fn where_orders_do_not_balance_only_the_trend_counts() {
        let mut distances = [1.0; 12];
        distances[11] = -1.0;
        let seen = distances.map(|distance| 0.02 - 0.02 * distance);
        let known = interval(&rounds(&seen, &distances), 0.0, 0.05).unwrap();
        assert!(close(known.low, 0.017_144) && close(known.high, 0.022_856), "{known:?}");
    }

    #[test]
    fn known_noise_is_not_forgotten_for_a_few_rounds_that_are_alike() {
        let seen = [0.10, 0.14, 0.09, 0.13, 0.12];
        let distances: Vec<f64> = (0..5).map(later).collect();
        let of = |noise: f64| interval(&rounds(&seen, &distances), noise, 0.05).unwrap();
        let (unknown, known) = (of(0.0), of(0.05));
        assert!(close(unknown.low, 0.061_419) && close(unknown.high, 0.170_581), "{unknown:?}");
        assert!(close(known.low, 0.022_940) && close(known.high, 0.209_060), "{known:?}");
        assert_eq!(of(0.01), unknown);
    }

    /// Machines on which each trial takes longer (or less) than the one before, by up to 6% as three
    /// runs of a command that grows by 2% each: looking after every round, no claim is false.
    #[test]
    fn no_steady_drift_passes_for_a_gain() {
        for percent in [-2.0, -0.9, 0.9, 2.4, 6.0] {
            for first in [1.0, -1.0] {
                let distances: Vec<f64> = (0..40).map(|i| first * later(i)).collect();
                let seen: Vec<f64> = distances.iter().map(|x| -0.01 * percent * x).collect();
                let all = rounds(&seen, &distances);
                for count in 1..=all.len() {
                    let known = interval(&all[..count], 0.0, 0.05).unwrap();
                    assert!(known.low <= 1e-12 && known.high >= -1e-12, "{count}: {known:?}");
                }
            }
        }
    }

    /// Rounds `gain` apart, each second one in the reverse order; a third of the runs are slower by
    /// a third.
    fn disturbed(rng: &mut Xoshiro256PlusPlus, gain: f64) -> Vec<Round> {
        let mut run = || {
            let jitter = 0.05 * rng.random::<f64>();
            if rng.random_bool(1.0 / 3.0) { 0.3 + jitter } else { jitter }
        };
        (0..40).map(|i| Round { a: run(), b: run() - gain, later: later(i) }).collect()
    }

    /// Looking after every pair of disturbed runs, at most 5% ever exclude the true ratio, and what
    /// the disturbances hide from a mean is found.
    #[test]
    fn disturbed_pairs_keep_the_error_rate_and_tell_a_gain() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let (runs, gain) = (100, 0.08);
        let (mut wrong, mut found, mut error) = (0, 0, 0.0);
        for _ in 0..runs {
            let rounds = disturbed(&mut rng, gain);
            let excludes = |n: &usize| {
                let known = interval(&rounds[..*n], 0.0, 0.05).unwrap();
                known.low > gain || known.high < gain
            };
            wrong += usize::from((2..=rounds.len()).filter(|n| n % 4 == 0).any(|n| excludes(&n)));
            let last = interval(&rounds, 0.0, 0.05).unwrap();
            found += usize::from(last.low > 0.0);
            error += (last.mean - gain).abs() / f64::from(runs);
        }
        assert!(wrong <= runs as usize / 20, "{wrong} of {runs}");
        assert!(found > runs as usize / 2, "{found} of {runs}");
        assert!(error < 0.01, "{error}");
    }
}
