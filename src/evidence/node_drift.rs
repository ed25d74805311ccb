//! Node drift: how the speed of one node changed during a tune, seen through its baseline.
//!
//! The baseline is measured first and comes back as sentinel. Where its times follow a curve
//! better than they stay in place, the curve is taken out of every other trial's time: a machine
//! that gets slower must not make late candidates look bad. What other candidates' repetitions have
//! in common with it tells a steady trend sooner than the baseline alone. Where the baseline's times
//! jump, the trials between the two sides of the jump can't be attributed to either; they are invalidated.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::knobs::Values;
use crate::stats;
use crate::trial::Trial;

/// A jump of more than this share can't be modelled, whatever the noise.
const MOST_MODELLED_JUMP: f64 = 0.10;

/// A jump within this many deviations is noise.
const JUMP_DEVIATIONS: f64 = 4.0;

/// A curve has to leave less than 1 - this / √points of the error that a constant leaves, when each
/// point is predicted by the others: of points without a curve 2% do, from 4 to 24 of them.
const CONVINCING: f64 = 1.2;

/// A trend has to be this many deviations away from what chance makes.
const TREND_DEVIATIONS: f64 = 2.5;

/// Fewer points than this show no curve.
const FEWEST_POINTS: usize = 4;

/// Times of fewer processes than this say less of their spread than the repetitions in them.
const FEWEST_PROCESSES: usize = 3;

/// No machine is steadier than this.
const LEAST_DEVIATION: f64 = 0.002;

/// The baseline's points before, in the order of time, and what they come to.
#[derive(Clone, Debug, Default)]
pub struct NodeDrift {
    points: Vec<Point>,
    /// The steady trend, in logs per second, from the first point on.
    trend: f64,
    /// What the curve at each of the points adds to that; the constant 0 where there is none.
    curve: Vec<f64>,
    deviation: f64,
    worst: f64,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    time_s: f64,
    log_s: f64,
}

/// The middle of a trial on a clock of some start; `None` where its start is no time.
fn time_s(trial: &Trial) -> Option<f64> {
    let started: Timestamp = trial.started.parse().ok()?;
    Some(started.as_duration().as_secs_f64() + trial.wall_s / 2.0)
}

impl NodeDrift {
    /// What the baseline and its returns say. Confirmation pairs need no model: they are
    /// neighbours in time, and [`crate::evidence::paired`] knows their order.
    pub fn of(trials: &[&Trial]) -> Self {
        let returns = |t: &&&Trial| t.phase.is_baseline();
        let trend = trend(trials);
        // A cost of a user's own may be no positive number.
        let log_s = |trial: &Trial| Some(trial.score()?.ln()).filter(|log_s| log_s.is_finite());
        let point = |trial: &Trial| Some(Point { time_s: time_s(trial)?, log_s: log_s(trial)? });
        let trials: Vec<&Trial> = trials.iter().filter(returns).copied().collect();
        let points: Vec<Point> = trials.iter().filter_map(|trial| point(trial)).collect();
        let start_s = points.first().map_or(0.0, |point| point.time_s);
        let level = |point: &Point| point.log_s - trend * (point.time_s - start_s);
        let flat: Vec<Point> =
            points.iter().map(|point| Point { log_s: level(point), ..*point }).collect();
        let curve = curve(&flat).unwrap_or_else(|| vec![0.0; points.len()]);
        let mut logs: Vec<f64> = flat.iter().zip(&curve).map(|(p, c)| p.log_s - c).collect();
        if logs.len() < FEWEST_PROCESSES {
            let ok = trials.iter().filter(|trial| trial.score().is_some());
            logs = ok.flat_map(|trial| &trial.samples).map(|s| s.cost().ln()).collect();
        }
        let deviation = stats::deviation(&logs).unwrap_or(0.0).max(LEAST_DEVIATION);
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let worst = logs.iter().fold(0.0, |worst, log| (log - least).max(worst));
        Self { points, trend, curve, deviation, worst }
    }

    /// The spread of one trial around the machine's speed at its time, as a share: the baseline's
    /// own, across its processes where there are enough, else across its repetitions.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// The same where it is known across processes.
    pub fn between_processes(&self) -> Option<f64> {
        (self.points.len() >= FEWEST_PROCESSES).then_some(self.deviation)
    }

    /// How many times as long as the fastest the most disturbed of the baseline's trials took.
    pub fn worst(&self) -> f64 {
        self.worst.exp()
    }

    /// How much slower the machine was during `trial` than at the start: 1.1 for a tenth.
    pub fn factor(&self, trial: &Trial) -> f64 {
        let Some(time_s) = time_s(trial) else { return 1.0 };
        (self.level(time_s) - self.curve.first().unwrap_or(&0.0)).exp()
    }

    /// How much slower than at the first point, in logs. The curve is straight between points, flat
    /// before and after them.
    fn level(&self, time_s: f64) -> f64 {
        let start_s = self.points.first().map_or(time_s, |point| point.time_s);
        self.trend * (time_s - start_s) + self.bend(time_s)
    }

    fn bend(&self, time_s: f64) -> f64 {
        let next = self.points.partition_point(|point| point.time_s <= time_s);
        let (Some(before), Some(after)) = (next.checked_sub(1), self.points.get(next)) else {
            let end = if next == 0 { self.curve.first() } else { self.curve.last() };
            return end.copied().unwrap_or(0.0);
        };
        let start = self.points[before].time_s;
        let part = (time_s - start) / (after.time_s - start);
        self.curve[before] + part * (self.curve[next] - self.curve[before])
    }

    /// Whether the machine changed too much around `trial` to say what it was worth.
    pub fn is_invalidated(&self, trial: &Trial) -> bool {
        let Some(time_s) = time_s(trial) else { return false };
        let next = self.points.partition_point(|point| point.time_s <= time_s);
        next > 0 && next < self.points.len() && self.is_jump(next)
    }

    /// Whether the last return of the baseline was so far off that a second has to tell a jump
    /// from a disturbance.
    pub fn is_in_doubt(&self) -> bool {
        let last = self.points.len().saturating_sub(1);
        last > 0 && self.gap(last, 1) > self.threshold()
    }

    /// Whether the two points from `next` on are on another level than the two before.
    fn is_jump(&self, next: usize) -> bool {
        let gap = if next + 1 < self.points.len() { self.gap(next, 2) } else { 0.0 };
        // What is usual takes a look at all points.
        gap > (1.0 + MOST_MODELLED_JUMP).ln() && gap > self.threshold()
    }

    /// The distance between the means of up to `count` points from `next` on and before it. Where
    /// two tell the same, neither was a disturbance: the nearest of each side count.
    fn gap(&self, next: usize, count: usize) -> f64 {
        let logs = |range: &[Point]| range.iter().map(|point| point.log_s).collect::<Vec<_>>();
        let before = logs(&self.points[next.saturating_sub(count)..next]);
        let after = logs(&self.points[next..(next + count).min(self.points.len())]);
        let nearest = before.iter().flat_map(|a| after.iter().map(move |b| (a - b).abs()));
        nearest.fold(f64::INFINITY, f64::min)
    }

    fn threshold(&self) -> f64 {
        // The jump itself must not widen what counts as noise: successive differences hardly
        // know of it.
        let steps = self.points.windows(2).map(|pair| (pair[1].log_s - pair[0].log_s).abs());
        let usual = stats::median(steps).unwrap_or(0.0);
        (1.0 + MOST_MODELLED_JUMP).ln().max(JUMP_DEVIATIONS * usual)
    }
}

/// The trend that the repetitions of all candidates have in common, in logs per second: the median of
/// the slopes between any two of the same candidate, if more of them rise or fall than chance makes
/// (Hirsch and Slack 1984, "A nonparametric trend test for seasonal data"; candidates are the
/// seasons). What the search measured once is left out: it was chosen for being fast.
fn trend(trials: &[&Trial]) -> f64 {
    let counts = |t: &&&Trial| t.phase.counts_for_drift();
    let mut all: BTreeMap<&Values, Vec<Point>> = BTreeMap::new();
    for trial in trials.iter().filter(counts) {
        if let (Some(time_s), Some(score_s)) = (time_s(trial), trial.score()) {
            all.entry(&trial.knobs).or_default().push(Point { time_s, log_s: score_s.ln() });
        }
    }
    let (mut slopes, mut rising, mut variance) = (Vec::new(), 0.0, 0.0);
    for points in all.values() {
        for (i, one) in points.iter().enumerate() {
            let later = points[i + 1..].iter().filter(|other| other.time_s > one.time_s);
            slopes.extend(later.map(|o| (o.log_s - one.log_s) / (o.time_s - one.time_s)));
        }
        let n = points.len() as f64;
        variance += n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    }
    slopes.iter().for_each(|slope: &f64| {
        rising += if *slope == 0.0 { 0.0 } else { slope.signum() };
    });
    let convinces = rising.abs() > TREND_DEVIATIONS * variance.sqrt();
    stats::median(&slopes).filter(|_| convinces).unwrap_or(0.0)
}

/// A smooth curve at each point, if it predicts points clearly better than a constant does.
fn curve(points: &[Point]) -> Option<Vec<f64>> {
    if points.len() < FEWEST_POINTS {
        return None;
    }
    let error = |predicted: &dyn Fn(usize) -> f64| {
        (0..points.len()).map(|i| (points[i].log_s - predicted(i)).abs()).sum::<f64>()
    };
    let others = |i: usize| {
        let others = points.iter().enumerate().filter(move |(j, _)| *j != i);
        others.map(|(_, point)| *point).collect::<Vec<_>>()
    };
    let flat = error(&|i| stats::median(others(i).iter().map(|point| point.log_s)).unwrap_or(0.0));
    let curved = error(&|i| local_line(&others(i), points[i].time_s));
    let convinces = curved < (1.0 - CONVINCING / (points.len() as f64).sqrt()) * flat;
    convinces.then(|| points.iter().map(|point| local_line(points, point.time_s)).collect())
}

/// Locally weighted regression (Cleveland 1979): a line through the nearest two thirds of the
/// points, near ones weighing more, points far off the line less.
fn local_line(points: &[Point], time_s: f64) -> f64 {
    let mut gaps: Vec<f64> = points.iter().map(|point| (point.time_s - time_s).abs()).collect();
    let near = gaps.clone();
    gaps.sort_by(f64::total_cmp);
    let count = (points.len() * 2).div_ceil(3).clamp(3.min(points.len()), points.len());
    let reach = gaps[count - 1].max(f64::MIN_POSITIVE) * 1.001;
    let mut weights: Vec<f64> =
        near.iter().map(|gap| (1.0 - (gap / reach).min(1.0).powi(3)).powi(3)).collect();
    let mut line = weighted_line(points, &weights, time_s);
    for _ in 0..2 {
        let off = |point: &Point| (point.log_s - line.at(point.time_s)).abs();
        let offs: Vec<f64> = points.iter().map(off).collect();
        let scale = 6.0 * stats::median(&offs).unwrap_or(0.0) + 1e-6;
        for (weight, off) in weights.iter_mut().zip(&offs) {
            *weight *= (1.0 - (off / scale).min(1.0).powi(2)).powi(2);
        }
        line = weighted_line(points, &weights, time_s);
    }
    line.at(time_s)
}

#[derive(Clone, Copy)]
struct Line {
    centre: f64,
    level: f64,
    slope: f64,
}

impl Line {
    fn at(self, time_s: f64) -> f64 {
        self.level + self.slope * (time_s - self.centre)
    }
}

fn weighted_line(points: &[Point], weights: &[f64], time_s: f64) -> Line {
    let total: f64 = weights.iter().sum();
    let mean = |of: fn(&Point) -> f64| {
        points.iter().zip(weights).map(|(point, w)| w * of(point)).sum::<f64>() / total
    };
    if total <= 0.0 {
        let level = stats::median(points.iter().map(|point| point.log_s)).unwrap_or(0.0);
        return Line { centre: time_s, level, slope: 0.0 };
    }
    let (centre, level) = (mean(|point| point.time_s), mean(|point| point.log_s));
    let (mut spread, mut together) = (0.0, 0.0);
    for (point, weight) in points.iter().zip(weights) {
        spread += weight * (point.time_s - centre).powi(2);
        together += weight * (point.time_s - centre) * (point.log_s - level);
    }
    Line { centre, level, slope: if spread > 0.0 { together / spread } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::trial::Phase;

    fn trial(phase: Phase, second: i64, score_s: f64) -> Trial {
        let started = Timestamp::from_second(1_800_000_000 + second).unwrap();
        Trial { started: started.to_string(), ..Trial::made(phase, 1, score_s) }
    }

    fn drift_of(trials: &[Trial]) -> NodeDrift {
        NodeDrift::of(&trials.iter().collect::<Vec<_>>())
    }

    fn score(drift: &NodeDrift, trial: &Trial) -> Option<f64> {
        Some(trial.score()? / drift.factor(trial))
    }

    fn sentinels(scores: &[f64]) -> Vec<Trial> {
        let at = |(i, score): (usize, &f64)| trial(Phase::Sentinel, 100 * i as i64, *score);
        scores.iter().enumerate().map(at).collect()
    }

    #[test]
    fn a_machine_that_only_jitters_has_no_curve() {
        let drift = drift_of(&sentinels(&[1.0, 1.02, 0.99, 1.01, 0.98, 1.0, 1.02]));
        let late = trial(Phase::Search, 550, 0.8);
        assert_eq!(score(&drift, &late), Some(0.8));
        // By hand: the root of 0.001339 over six.
        assert!((drift.deviation() - 0.01494).abs() < 1e-4, "{}", drift.deviation());
        assert!(!drift.is_invalidated(&late) && !drift.is_in_doubt());
    }

    /// 300 times 4 to 16 returns under normal noise of 5%: a curve would make late candidates look
    /// 7% better or worse than they are.
    #[test]
    fn noise_is_seldom_taken_for_a_curve() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut curves = 0;
        for count in (0..300).map(|time| 4 + time % 13) {
            // Twelve even draws add up to a variance of 1.
            let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            let point = |i| Point { time_s: f64::from(i), log_s: 0.05 * normal() };
            curves += usize::from(curve(&(0..count).map(point).collect::<Vec<_>>()).is_some());
        }
        assert!(curves <= 12, "{curves} of 300");
    }

    #[test]
    fn a_slow_drift_is_taken_out_of_the_scores() {
        // 20% slower at the end, in a line of logs.
        let scores: Vec<f64> = (0..9).map(|i| 1.2_f64.powf(f64::from(i) / 8.0)).collect();
        let drift = drift_of(&sentinels(&scores));
        for second in [50, 333, 799] {
            let share = f64::from(second) / 800.0;
            let seen = trial(Phase::Search, second.into(), 0.5 * 1.2_f64.powf(share));
            let score = score(&drift, &seen).unwrap();
            assert!((score - 0.5).abs() < 0.002, "{second}: {score}");
        }
        assert!(drift.deviation() < 0.005 && !drift.is_in_doubt());
    }

    /// The baseline alone, back four times under noise, shows no trend; with what was measured again
    /// beside it it does.
    #[test]
    fn repetitions_of_others_tell_a_trend_that_the_baseline_hides() {
        let slow = |second: i64| 1.2_f64.powf(second as f64 / 800.0);
        let noise = [1.0, 1.04, 1.01, 1.05, 1.0, 1.03, 1.02, 1.0];
        let mut trials: Vec<Trial> = [0, 350, 500, 800]
            .iter()
            .zip([1.05, 1.0, 1.05, 1.0])
            .map(|(second, noise)| trial(Phase::Sentinel, *second, slow(*second) * noise))
            .collect();
        let alone = drift_of(&trials);
        for threads in 1..4 {
            let repeat = |(i, noise): (i64, &f64)| {
                let second = 100 * i + 10 * threads;
                let score_s = 0.2 * threads as f64 * slow(second) * noise;
                let knobs = Trial::threads(1 + threads);
                Trial { knobs, ..trial(Phase::Repeat, second, score_s) }
            };
            trials.extend((0..8).zip(&noise).map(repeat));
        }
        let together = drift_of(&trials);
        let late = trial(Phase::Search, 700, slow(700));
        assert_eq!(alone.factor(&late), 1.0);
        assert!((score(&together, &late).unwrap() - 1.0).abs() < 0.04, "{together:?}");
    }

    #[test]
    fn one_slow_return_is_a_disturbance_and_two_are_a_jump() {
        let drift = drift_of(&sentinels(&[1.0, 1.01, 1.0, 1.4]));
        assert!(drift.is_in_doubt());
        let between = trial(Phase::Search, 250, 0.9);
        assert!(!drift.is_invalidated(&between), "a single return is no proof");
        let disturbed = drift_of(&sentinels(&[1.0, 1.01, 1.0, 1.4, 1.01, 1.0]));
        assert!(!disturbed.is_invalidated(&between));
        let jumped = drift_of(&sentinels(&[1.0, 1.01, 1.0, 1.4, 1.41, 1.4]));
        assert!(jumped.is_invalidated(&between));
        assert!(!jumped.is_invalidated(&trial(Phase::Search, 150, 0.9)));
        assert!(!jumped.is_invalidated(&trial(Phase::Search, 350, 0.9)));
    }

    #[test]
    fn odd_input_is_no_drift() {
        let mut broken = sentinels(&[1.0, 1.1, 1.2, 1.3]);
        broken.iter_mut().for_each(|trial| trial.started = "yesterday".to_owned());
        let drift = drift_of(&broken);
        assert_eq!(score(&drift, &broken[0]), Some(1.0));
        assert_eq!(score(&drift_of(&[]), &broken[0]), Some(1.0));
        // All at the same moment.
        let at_once: Vec<Trial> = (0..6).map(|_| trial(Phase::Sentinel, 0, 2.0)).collect();
        assert_eq!(score(&drift_of(&at_once), &at_once[0]), Some(2.0));
    }
}
