//! Gain: how much settings save, and which gains can be told apart.

use std::collections::BTreeMap;

use crate::knobs::Values;
use crate::knobs::{Baseline, Knobs};
use crate::results::Results;
use crate::stats::{self, Interval};

/// The share of cost that `profile` saves over libtorch's own defaults, where the tune measured
/// both. Its trials are no pairs, so the noise is that of everything that was measured twice.
pub fn over_defaults(results: &Results, profile: &Values) -> Option<Interval> {
    let logs = |knobs| -> Vec<f64> {
        results.trials_of(knobs).filter_map(|t| t.score()).map(f64::ln).collect()
    };
    let (usual, profile) = (defaults(results)?, recorded(results, profile.clone()));
    let (variance, freedom) = noise(results).unwrap_or((f64::INFINITY, 1));
    let logs = stats::difference(&logs(&profile), &logs(&usual), variance, freedom)?;
    let saved = |log: f64| 1.0 - log.exp();
    Some(Interval { low: saved(logs.high), mean: saved(logs.mean), high: saved(logs.low) })
}

/// The knobs that stand for libtorch's defaults in this tune's journal: knobs that were left alone
/// rest, and what comes to the same settings was measured as the plainest of its kind.
fn defaults(results: &Results) -> Option<Values> {
    let baseline = results.baseline();
    let wanted = baseline.libtorch_defaults(&results.machine).values();
    let mut levels = Vec::new();
    for knob in &results.space.knobs {
        let level = knob.nearest(wanted.get(&knob.name)?)?;
        levels.push((knob.name.as_str(), &knob.levels[level]));
    }
    let wanted = baseline.knobs.with(levels).ok()?;
    let values = recorded(results, wanted.values());
    if results.trials_of(&values).next().is_some() {
        return Some(values);
    }
    Some(recorded(results, plainest(results, &baseline, wanted)?.values()))
}

/// Without the knobs that the journal of an older version lacks.
fn recorded(results: &Results, mut values: Values) -> Values {
    values.retain(|name, _| results.space.given.baseline.contains_key(name));
    values
}

/// The same settings with as many of the changed knobs as can be at the baseline's value.
fn plainest(results: &Results, baseline: &Baseline, mut knobs: Knobs) -> Option<Knobs> {
    let identity =
        |knobs: &Knobs| Some(knobs.resolve(&results.machine).ok()?.identity(&results.workload));
    let wanted = identity(&knobs)?;
    let changed = knobs.values();
    for (name, usual) in baseline.knobs.values() {
        if changed[&name] == usual {
            continue;
        }
        if let Ok(plainer) = knobs.with([(name.as_str(), &usual)])
            && identity(&plainer) == Some(wanted)
        {
            knobs = plainer;
        }
    }
    Some(knobs)
}

/// Variance of the logarithm of a trial's score, from candidates that were measured again.
fn noise(results: &Results) -> Option<(f64, usize)> {
    let mut groups: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
    for trial in results.trials.iter().filter(|trial| trial.phase.is_comparable()) {
        if let Some(score) = trial.score() {
            groups.entry(&trial.knobs).or_default().push(score.ln());
        }
    }
    stats::pooled_variance(groups.values().map(Vec::as_slice))
}

/// The geometric mean of what is left of the costs, as a share that is saved.
pub fn geometric_mean(gains: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = gains.map(|gain| (1.0 - gain).ln()).collect();
    Some(1.0 - stats::mean(&logs)?.exp())
}

/// A place in an order by size, the largest gain first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// One more than how many are surely larger.
    pub rank: usize,
    /// Whether the interval overlaps that of another.
    pub overlaps: bool,
}

/// The places of gains whose intervals are known.
pub fn places(gains: &[Option<Interval>]) -> Vec<Option<Place>> {
    let known: Vec<Interval> = gains.iter().flatten().copied().collect();
    let (mut lows, mut highs): (Vec<f64>, Vec<f64>) =
        known.iter().map(|gain| (gain.low, gain.high)).unzip();
    lows.sort_by(f64::total_cmp);
    highs.sort_by(f64::total_cmp);
    let place = |gain: Interval| {
        let above = lows.len() - lows.partition_point(|low| *low <= gain.high);
        let below = highs.partition_point(|high| *high < gain.low);
        Place { rank: above + 1, overlaps: above + below + 1 < known.len() }
    };
    gains.iter().map(|gain| gain.map(place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_ratios() {
        // A half and an eighth of the time are left: a quarter in the geometric mean.
        let mean = geometric_mean([0.5, 0.875].into_iter()).unwrap();
        assert!((mean - 0.75).abs() < 1e-12, "{mean}");
        assert_eq!(geometric_mean([].into_iter()), None);
    }

    #[test]
    fn places_say_what_overlaps() {
        let gain = |low, high| Some(Interval { low, mean: f64::midpoint(low, high), high });
        let places = places(&[gain(0.1, 0.2), gain(0.5, 0.6), None, gain(0.15, 0.3)]);
        let place = |rank, overlaps| Some(Place { rank, overlaps });
        assert_eq!(places, [place(2, true), place(1, false), None, place(2, true)]);
    }
}
