//! Effects: what the other knobs do to a stage, so that threads can be looked at by themselves.

use std::collections::BTreeMap;

use super::Timed;
use super::law::Point;
use crate::knobs::Value;

/// Trials' worth of doubt that a value does anything at all.
const DOUBT: f64 = 1.0;
/// Rounds in which each knob's effects are worked out given the others'.
const BACKFITTING_ROUNDS: usize = 8;

/// Logarithms of factors on a stage's time by knob and value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effects(BTreeMap<String, BTreeMap<Value, f64>>);

impl Effects {
    /// The effects of all knobs but the one called `threads`, from the first row's values, and the
    /// times without them: a point a number of threads, in rising order.
    pub fn apart_from(threads: &str, rows: &[(&Timed, Point)]) -> (Self, Vec<Point>) {
        let names = rows[0].0.knobs.keys().filter(|name| *name != threads);
        let names: Vec<&String> = names.collect();
        let mut effects = Self::default();
        for _ in 0..BACKFITTING_ROUNDS {
            let curve = effects.curve(rows);
            for name in &names {
                effects.0.remove(*name);
                let left = rows.iter().filter_map(|(one, point)| {
                    let usual = curve[&point.threads.to_bits()] + effects.log(&one.knobs);
                    Some((one.knobs.get(*name)?, point.seconds.ln() - usual))
                });
                let means = shrunk_means(left);
                effects.0.insert((*name).clone(), from_first(means, rows[0].0.knobs.get(*name)));
            }
        }
        let curve = effects.curve(rows);
        let point = |(threads, log): (u64, f64)| Point {
            threads: f64::from_bits(threads),
            seconds: log.exp(),
        };
        (effects, curve.into_iter().map(point).collect())
    }

    /// What `knobs` do to the time, as a factor; values never seen do nothing.
    pub fn factor(&self, knobs: &BTreeMap<String, Value>) -> f64 {
        self.log(knobs).exp()
    }

    /// ln of what a knob's value does to the time; nothing for one never seen.
    pub fn of(&self, knob: &str, value: &Value) -> f64 {
        self.0.get(knob).and_then(|values| values.get(value)).copied().unwrap_or(0.0)
    }

    fn log(&self, knobs: &BTreeMap<String, Value>) -> f64 {
        self.0.iter().filter_map(|(name, values)| values.get(knobs.get(name)?)).sum()
    }

    /// The mean log time at each number of threads. Positive numbers sort as their bits do.
    fn curve(&self, rows: &[(&Timed, Point)]) -> BTreeMap<u64, f64> {
        let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (one, point) in rows {
            let sum = sums.entry(point.threads.to_bits()).or_default();
            *sum = (sum.0 + point.seconds.ln() - self.log(&one.knobs), sum.1 + 1.0);
        }
        sums.into_iter().map(|(threads, (sum, count))| (threads, sum / count)).collect()
    }
}

fn shrunk_means<'a>(left: impl Iterator<Item = (&'a Value, f64)>) -> BTreeMap<Value, f64> {
    let mut sums: BTreeMap<Value, (f64, f64)> = BTreeMap::new();
    for (value, left) in left {
        let sum = sums.entry(value.clone()).or_default();
        *sum = (sum.0 + left, sum.1 + 1.0);
    }
    sums.into_iter().map(|(value, (sum, count))| (value, sum / (count + DOUBT))).collect()
}

fn from_first(mut means: BTreeMap<Value, f64>, first: Option<&Value>) -> BTreeMap<Value, f64> {
    let first = first.and_then(|first| means.get(first)).copied().unwrap_or(0.0);
    means.values_mut().for_each(|mean| *mean -= first);
    means
}
