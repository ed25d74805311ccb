//! Statistics: medians for single trials, and an interval that stays valid however often one looks.

use std::borrow::Borrow;

use rand::Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The middle value, or the mean of the two middle ones.
pub fn median<V: Borrow<f64>>(values: impl IntoIterator<Item = V>) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn sorted<V: Borrow<f64>>(values: impl IntoIterator<Item = V>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().map(|value| *value.borrow()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The arithmetic mean.
pub fn mean<V: Borrow<f64>>(values: impl IntoIterator<Item = V>) -> Option<f64> {
    let (mut sum, mut count) = (-0.0, 0_usize);
    for value in values {
        sum += value.borrow();
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// The different ones of `values`, in the order in which they come first.
pub fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

/// The mean of the faster half: disturbances slow a run down and never speed it up.
pub fn undisturbed_mean<V: Borrow<f64>>(values: impl IntoIterator<Item = V>) -> Option<f64> {
    let sorted = sorted(values);
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
pub const SMALLEST_DEVIATION: f64 = 1e-3;

/// A confidence sequence for the mean of normal values of unknown variance: at confidence
/// 1 - `alpha` it covers the mean at every length at once, so one may look after each value
/// and stop whenever the answer is clear. Infinite while there are too few values to say anything.
pub fn confidence_sequence(values: &[f64], alpha: f64) -> Option<Interval> {
    let mean = mean(values)?;
    let (n, scatter) = (values.len() as f64, scatter(values, mean));
    let estimate = Estimate { mean, values: n, free: n, scatter };
    Some(estimate.confidence_sequence(SMALLEST_DEVIATION, alpha))
}

/// What normal values of unknown variance say of a mean.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The estimate itself.
    pub mean: f64,
    /// How many values whose mean it were would tell as much.
    pub values: f64,
    /// The values, less what else was estimated from them.
    pub free: f64,
    /// Sum of the squared residuals.
    pub scatter: f64,
}

impl Estimate {
    /// The mean's confidence sequence, where one value deviates by `deviation` at least.
    ///
    /// It inverts the scale-invariant Bayes factor with a normal prior on the effect size (g-prior;
    /// Lai 1976; Wang and Ramdas 2023, "Anytime-valid t-tests and confidence sequences for Gaussian
    /// means with unknown variance"): with n values of which f are free, mean m, scatter V,
    /// r = 1 / (1 + n g), e(x) = sqrt(r) ((1 + T) / (1 + r T))^(f/2), T = n (m - x)^2 / V, and the
    /// interval is where e(x) < 1 / alpha.
    pub fn confidence_sequence(self, deviation: f64, alpha: f64) -> Interval {
        let Self { mean, values, free, scatter } = self;
        let r = 1.0 / (1.0 + values * PRIOR_VARIANCE);
        let k = (1.0 / (alpha * r.sqrt())).powf(2.0 / free);
        let scatter = scatter.max((free - 1.0) * deviation.powi(2));
        let half = if free > 1.0 && r * k < 1.0 {
            ((k - 1.0) / (1.0 - r * k) * scatter / values).sqrt()
        } else {
            f64::INFINITY
        };
        Interval { low: mean - half, mean, high: mean + half }
    }
}

/// The mean of normal `values` at confidence 1 - `alpha` by Student's distribution, for a number of them
/// that was not chosen by looking; infinite of a single value.
pub fn student(values: &[f64], alpha: f64) -> Option<Interval> {
    let (mean, freedom) = (mean(values)?, values.len() as f64 - 1.0);
    let scale = deviation(values).unwrap_or(f64::INFINITY).max(SMALLEST_DEVIATION)
        / (values.len() as f64).sqrt();
    Some(student_interval(mean, scale, freedom, alpha))
}

fn student_interval(mean: f64, scale: f64, freedom: f64, alpha: f64) -> Interval {
    let student = StudentsT::new(0.0, 1.0, freedom).ok();
    let half = student.map_or(f64::INFINITY, |s| scale * s.inverse_cdf(1.0 - alpha / 2.0));
    Interval { low: mean - half, mean, high: mean + half }
}

/// The mean of `values` minus the mean of `others`, with its 95% interval by Student's
/// distribution, where one value has this variance, known to this many degrees of freedom; `None`
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
    Some(student_interval(mean, scale, freedom as f64, 0.05))
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

/// Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs; `None` where one
/// side does not vary.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

/// A standard normal number (Box and Muller).
pub fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let sorted = sorted(values);
    let rank = |value: &f64| {
        let (below, upto) =
            (sorted.partition_point(|v| v < value), sorted.partition_point(|v| v <= value));
        (below + upto + 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn medians_by_hand() {
        assert_eq!(median::<f64>([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn disturbed_measurements_are_left_out_on_the_slow_side_only() {
        assert_eq!(undisturbed_mean::<f64>([]), None);
        assert_eq!(undisturbed_mean([2.0, 1.0]), Some(1.0));
        assert_eq!(undisturbed_mean([1.0, 9.0, 2.0]), Some(1.5));
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
        let excludes_zero = |series: &[f64]| {
            (2..=series.len()).any(|n| {
                let interval = confidence_sequence(&series[..n], 0.05).unwrap();
                interval.low > 0.0 || interval.high < 0.0
            })
        };
        let runs = 2000;
        let wrong = (0..runs)
            .filter(|_| excludes_zero(&(0..40).map(|_| normal(&mut rng)).collect::<Vec<_>>()))
            .count();
        assert!(wrong <= runs / 20, "{wrong} of {runs}");
    }

    #[test]
    fn ranks_share_their_mean() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn correlations_by_hand() {
        assert_eq!(rank_correlation(&[1.0, 2.0, 9.0], &[3.0, 5.0, 7.0]), Some(1.0));
        assert_eq!(rank_correlation(&[1.0, 2.0, 9.0], &[3.0, 3.0, 3.0]), None);
        // Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8.
        let near =
            rank_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[20.0, 10.0, 40.0, 30.0, 50.0]).unwrap();
        assert!((near - 0.8).abs() < 1e-12, "{near}");
    }
}
