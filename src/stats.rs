//! Statistics: medians for single trials, and an interval that stays valid however often one looks.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The middle value, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean of the faster half: disturbances slow a run down and never speed it up.
pub fn undisturbed_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    mean(&sorted[..sorted.len().div_ceil(2)])
}

/// Sum of squared differences from the mean.
pub fn scatter(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Sample standard deviation; `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    (values.len() > 1).then(|| (scatter(values, mean) / (values.len() - 1) as f64).sqrt())
}

/// A mean with an interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// The estimate.
    pub mean: f64,
    /// Upper end.
    pub high: f64,
}

/// How large an effect the test is tuned to see best, in standard deviations: a small budget pays
/// for three or four pairs, which can only tell what beats the noise of one by about four. At that
/// width three pairs give half the interval that they would give at three deviations, and thirty
/// give one that is 2% wider.
const PRIOR_VARIANCE: f64 = 16.0;

/// The smallest spread that is believed, relative to the size of the numbers (a log ratio): two
/// equal clock readings are luck and not certainty.
const SMALLEST_DEVIATION: f64 = 1e-3;

/// A confidence sequence for the mean of normal values of unknown variance: at confidence
/// 1 - `alpha` it covers the mean at every length at once, so one may look after each value
/// and stop whenever the answer is clear.
///
/// It inverts the scale-invariant Bayes factor with a normal prior on the effect size (g-prior;
/// Lai 1976; Wang and Ramdas 2023, "Anytime-valid t-tests and confidence sequences for Gaussian
/// means with unknown variance"): with n values, mean m, scatter V, r = 1 / (1 + n g),
/// e(x) = sqrt(r) ((1 + T) / (1 + r T))^(n/2), T = n (m - x)^2 / V, and the interval is where
/// e(x) < 1 / alpha. Infinite while there are too few values to say anything.
pub fn confidence_sequence(values: &[f64], alpha: f64) -> Option<Interval> {
    let mean = mean(values)?;
    let n = values.len() as f64;
    let r = 1.0 / (1.0 + n * PRIOR_VARIANCE);
    let k = (1.0 / (alpha * r.sqrt())).powf(2.0 / n);
    let scatter = scatter(values, mean).max((n - 1.0) * SMALLEST_DEVIATION.powi(2));
    let half = if values.len() > 1 && r * k < 1.0 {
        ((k - 1.0) / (1.0 - r * k) * scatter / n).sqrt()
    } else {
        f64::INFINITY
    };
    Some(Interval { low: mean - half, mean, high: mean + half })
}

/// The mean of `values` minus the mean of `others`, with its 95% interval by Student's
/// distribution, where one value has this variance, known to so many degrees of freedom; `None`
/// without a value on either side. Unlike [`confidence_sequence`], for values that were not paired
/// and a number of them that was not chosen by looking.
pub fn difference(
    values: &[f64],
    others: &[f64],
    variance: f64,
    freedom: usize,
) -> Option<Interval> {
    let mean = mean(values)? - mean(others)?;
    let scale = (variance / values.len() as f64 + variance / others.len() as f64).sqrt();
    let student = StudentsT::new(0.0, 1.0, freedom as f64).ok();
    let half = student.map_or(f64::INFINITY, |student| scale * student.inverse_cdf(0.975));
    Some(Interval { low: mean - half, mean, high: mean + half })
}

/// The variance within groups of values, pooled over the groups, with its degrees of freedom;
/// `None` where no group has two values.
pub fn pooled_variance<'a>(groups: impl IntoIterator<Item = &'a [f64]>) -> Option<(f64, usize)> {
    let (mut sum, mut freedom) = (0.0, 0);
    for group in groups {
        let Some(mean) = mean(group) else { continue };
        sum += scatter(group, mean);
        freedom += group.len() - 1;
    }
    (freedom > 0).then(|| (sum / freedom as f64, freedom))
}

/// Of the accepted error, the share that is spent on pairs being other than normal.
const ROBUST_SHARE: f64 = 0.2;

/// How far above the lower quartile of runs, in logs, another counts as disturbed, at least and at
/// the most: by how much does not matter then.
const CUT: (f64, f64) = (0.005, 0.04);

/// Pairs before one that tell its level: a machine may drift.
const RECENT: usize = 16;

/// The bets of [`is_plausible`], shares of what is at stake.
const BETS: [f64; 8] = [-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0];

/// The typical log ratio within pairs of log times and its interval, valid however often one looks.
///
/// Two confidence sequences share `alpha`, and what both leave is the answer. The one for normal
/// values decides after a few quiet pairs. The other asks only that either side of a pair, once it
/// is shifted by the true ratio, is as likely as the other to be the slow one, which random order
/// within pairs ensures however wild the machine; disturbances are cut off, and hardly count.
pub fn paired_interval(pairs: &[(f64, f64)], alpha: f64) -> Option<Interval> {
    let ratios: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let normal = confidence_sequence(&ratios, (1.0 - ROBUST_SHARE) * alpha)?;
    let centre = undisturbed_ratio(pairs, &ratios);
    let least = ROBUST_SHARE * alpha;
    let low = normal.low.max(edge(pairs, least, centre, -1.0));
    let high = normal.high.min(edge(pairs, least, centre, 1.0));
    // Disjoint sequences are one of the errors that `alpha` allows: then nothing is known.
    if low > high {
        return Some(Interval { low: f64::NEG_INFINITY, mean: centre, high: f64::INFINITY });
    }
    Some(Interval { low, mean: centre.clamp(low, high), high })
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
        let (cut, scale) = cut(&pairs[i.saturating_sub(RECENT)..i], shift);
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

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn disturbed_measurements_are_left_out_on_the_slow_side_only() {
        assert_eq!(undisturbed_mean(&[]), None);
        assert_eq!(undisturbed_mean(&[2.0, 1.0]), Some(1.0));
        assert_eq!(undisturbed_mean(&[1.0, 9.0, 2.0]), Some(1.5));
    }

    #[test]
    fn the_interval_solves_its_own_equation() {
        let values = [0.10, 0.14, 0.09, 0.13, 0.12];
        let interval = confidence_sequence(&values, 0.05).unwrap();
        let (n, mean) = (5.0, 0.116);
        let scatter: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        let r: f64 = 1.0 / 81.0;
        for end in [interval.low, interval.high] {
            let t = n * (mean - end) * (mean - end) / scatter;
            let e = r.sqrt() * ((1.0 + t) / (1.0 + r * t)).powf(n / 2.0);
            assert!((e - 20.0).abs() < 1e-6, "{e}");
        }
    }

    /// By hand: groups {1, 3} and {2, 4, 6} scatter 2 and 8 with 1 and 2 degrees of freedom;
    /// t(0.975, 3) = 3.182446 (a table).
    #[test]
    fn differences_by_hand() {
        let groups: [&[f64]; 3] = [&[1.0, 3.0], &[2.0, 4.0, 6.0], &[9.0]];
        let (variance, freedom) = pooled_variance(groups).unwrap();
        assert!((variance - 10.0 / 3.0).abs() < 1e-12 && freedom == 3);
        let interval = difference(&[1.0, 3.0], &[9.0], variance, freedom).unwrap();
        let half = 3.182_446 * (10.0 / 3.0 * 1.5_f64).sqrt();
        assert!((interval.mean + 7.0).abs() < 1e-12);
        assert!((interval.high - (half - 7.0)).abs() < 1e-5, "{interval:?}");
        assert_eq!(pooled_variance([&[1.0][..]]), None);
        assert_eq!(difference(&[], &[1.0], 1.0, 3), None);
    }

    #[test]
    fn one_value_says_nothing() {
        let interval = confidence_sequence(&[0.3], 0.05).unwrap();
        assert_eq!((interval.low, interval.high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    /// Looking after every value of series with mean 0, at most 5% ever exclude 0.
    #[test]
    fn peeking_keeps_the_error_rate() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut normal = move || {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let excludes_zero = |series: &[f64]| {
            (2..=series.len()).any(|n| {
                let interval = confidence_sequence(&series[..n], 0.05).unwrap();
                interval.low > 0.0 || interval.high < 0.0
            })
        };
        let runs = 2000;
        let wrong = (0..runs)
            .filter(|_| excludes_zero(&(0..40).map(|_| normal()).collect::<Vec<_>>()))
            .count();
        assert!(wrong <= runs / 20, "{wrong} of {runs}");
    }

    /// Pairs of log times, `gain` apart; a third of the runs are slower by a third.
    fn disturbed(rng: &mut Xoshiro256PlusPlus, gain: f64) -> Vec<(f64, f64)> {
        let mut run = || {
            let jitter = 0.05 * rng.random::<f64>();
            if rng.random_bool(1.0 / 3.0) { 0.3 + jitter } else { jitter }
        };
        (0..40).map(|_| (run(), run() - gain)).collect()
    }

    /// Looking after every pair of disturbed runs, at most 5% ever exclude the true ratio, and what
    /// the disturbances hide from a mean is found.
    #[test]
    fn disturbed_pairs_keep_the_error_rate_and_tell_a_gain() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let (runs, gain) = (200, 0.08);
        let (mut wrong, mut found, mut error) = (0, 0, 0.0);
        for _ in 0..runs {
            let pairs = disturbed(&mut rng, gain);
            let excludes = |n: &usize| {
                let interval = paired_interval(&pairs[..*n], 0.05).unwrap();
                interval.low > gain || interval.high < gain
            };
            wrong += usize::from((2..=pairs.len()).filter(|n| n % 4 == 0).any(|n| excludes(&n)));
            let last = paired_interval(&pairs, 0.05).unwrap();
            found += usize::from(last.low > 0.0);
            error += (last.mean - gain).abs() / f64::from(runs);
        }
        assert!(wrong <= runs as usize / 20, "{wrong} of {runs}");
        assert!(found > runs as usize / 2, "{found} of {runs}");
        assert!(error < 0.01, "{error}");
    }
}
