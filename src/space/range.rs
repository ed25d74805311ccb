//! Ranges of a space file: the values between two bounds.

use serde::{Deserialize, Serialize};

use super::resolve::{MOST_LEVELS, SpaceError, at};
use super::{Expression, Given};
use crate::knobs::{Kind, Value};

/// Numbers from `min` to `max`, both numbers or expressions over the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The lowest.
    pub min: Value,
    /// The highest.
    pub max: Value,
    /// How whole numbers between are chosen, where neither `levels` nor `step` says so.
    pub spacing: Option<Spacing>,
    /// How many values, evenly spaced by the knob's scale.
    pub levels: Option<usize>,
    /// From each value to the next.
    pub step: Option<Value>,
}

/// How a range of whole numbers is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// 1, 2, 3, 4, 6, 8, 12, 16, 24, …: two values an octave, and both bounds.
    #[default]
    Geometric,
    /// Every whole number.
    Every,
}

/// By what numbers are near to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Their difference.
    #[default]
    Linear,
    /// Their ratio: for what is searched over orders of magnitude.
    Log,
}

impl Scale {
    /// Where a number lies.
    pub fn place(self, number: f64) -> f64 {
        match self {
            Self::Linear => number,
            Self::Log => number.ln(),
        }
    }

    /// The number that lies at a place.
    fn number(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Log => place.exp(),
        }
    }
}

/// What whole numbers of a range without `levels` and `step` may span.
const WIDEST: i64 = 1_000_000;

/// Values of a range of floats that says nothing else: with fewer the best lies further from the true
/// optimum, and more are found later (benches/float_tables.py).
const FLOAT_LEVELS: usize = 33;

/// The digits of a level that people read, where as many tell levels apart.
const DIGITS: usize = 3;

/// How far rounding may move a level, as a share of the way to the next.
const ROUNDED: f64 = 0.05;

/// A range between two numbers, for a knob of `kind`.
struct Bounds<'a> {
    low: f64,
    high: f64,
    kind: Kind,
    scale: Scale,
    /// The range's key, for what is refused.
    place: &'a str,
}

/// The values of a range, for a knob of `kind`.
pub(super) fn levels(
    range: &Range,
    kind: Kind,
    scale: Scale,
    given: &Given,
    place: &str,
) -> Result<Vec<Value>, SpaceError> {
    let bound = |key: &str, value: &Value| bound(value, kind, given, &format!("{place}.{key}"));
    let (min, max) = (bound("min", &range.min)?, bound("max", &range.max)?);
    let (low, high) = (amount(&min), amount(&max));
    let bounds = Bounds { low, high, kind, scale, place };
    if low > high || !(high - low).is_finite() {
        return bounds.refuse("", format!("from {min} to {max} is no range"));
    }
    if scale == Scale::Log && low <= 0.0 {
        return bounds.refuse(".min", format!("{min}: a logarithmic scale takes more than 0"));
    }
    match (range.spacing, range.levels, &range.step) {
        (Some(_), None, None) if kind == Kind::Float => {
            bounds.refuse(".spacing", "it is for whole numbers: give `levels` or `step`".to_owned())
        }
        (spacing, None, None) if kind == Kind::Integer => {
            at(place, whole_numbers(&min, &max, spacing.unwrap_or_default()))
        }
        (None, levels, None) => bounds.levels(levels.unwrap_or(FLOAT_LEVELS)),
        (None, None, Some(step)) => bounds.steps(amount(&bound("step", step)?)),
        _ => bounds.refuse("", "give one of `spacing`, `levels` and `step`".to_owned()),
    }
}

impl Bounds<'_> {
    fn refuse<T>(&self, key: &str, problem: String) -> Result<T, SpaceError> {
        at(&format!("{}{key}", self.place), Err(problem))
    }

    /// `count` values, evenly spaced by the scale.
    fn levels(&self, count: usize) -> Result<Vec<Value>, SpaceError> {
        if !(2..=MOST_LEVELS).contains(&count) {
            return self.refuse(".levels", format!("{count}: give 2 to {MOST_LEVELS}"));
        }
        let (first, last) = (self.scale.place(self.low), self.scale.place(self.high));
        let number = |n: usize| match n {
            0 => self.low,
            n if n == count - 1 => self.high,
            n => self.scale.number(first + (last - first) * n as f64 / (count - 1) as f64),
        };
        Ok(of_kind(&rounded((0..count).map(number).collect(), ROUNDED), self.kind))
    }

    /// The lowest and whatever is a number of steps above it.
    fn steps(&self, step: f64) -> Result<Vec<Value>, SpaceError> {
        if step <= 0.0 || self.scale == Scale::Log {
            let problem = format!("{step}: it takes more than 0, and no logarithmic scale");
            return self.refuse(".step", problem);
        }
        let count = ((self.high - self.low) / step * (1.0 + 1e-12)).floor() + 1.0;
        if count > MOST_LEVELS as f64 {
            let problem = format!("{step}: {count} values, {MOST_LEVELS} at the most");
            return self.refuse(".step", problem);
        }
        let values = (0..count as usize).map(|n| self.low + n as f64 * step).collect();
        Ok(of_kind(&rounded(values, 1e-9), self.kind))
    }
}

fn bound(value: &Value, kind: Kind, given: &Given, place: &str) -> Result<Value, SpaceError> {
    let value = match value {
        Value::Word(text) => Expression::new(text).and_then(|expression| match kind {
            Kind::Integer => expression.number(given).map(Value::Integer),
            _ => expression.amount(given).map(|number| Value::float(number).expect("it is finite")),
        }),
        value => kind.fit(value),
    };
    at(place, value)
}

fn amount(value: &Value) -> f64 {
    value.number().unwrap_or_default()
}

fn whole_numbers(min: &Value, max: &Value, spacing: Spacing) -> Result<Vec<Value>, String> {
    let whole = |number: &Value| if let Value::Integer(whole) = number { *whole } else { 0 };
    let (min, max) = (whole(min), whole(max));
    if max.saturating_sub(min) > WIDEST {
        return Err(format!("from {min} to {max} is no range that spans at most {WIDEST}"));
    }
    let is_chosen = |n: &i64| match spacing {
        Spacing::Every => true,
        Spacing::Geometric => *n == min || *n == max || is_half_octave(*n),
    };
    Ok((min..=max).filter(is_chosen).map(Value::Integer).collect())
}

/// Whether `n` is 2^k or 3·2^k.
fn is_half_octave(n: i64) -> bool {
    n > 0 && matches!(n >> n.trailing_zeros(), 1 | 3)
}

/// The ascending numbers with few digits, none moved further than `share` of the way to the next:
/// a spreadsheet keeps 15 digits, and people read three. The ends stay as they are.
fn rounded(numbers: Vec<f64>, share: f64) -> Vec<f64> {
    let round = |number: f64, digits: usize| -> f64 {
        format!("{number:.*e}", digits - 1).parse().unwrap_or(number)
    };
    let with = |digits: usize| -> Option<Vec<f64>> {
        let inner = (1..numbers.len().saturating_sub(1)).map(|n| {
            let (number, near) = (numbers[n], round(numbers[n], digits));
            let gap = (number - numbers[n - 1]).min(numbers[n + 1] - number);
            ((near - number).abs() <= share * gap).then_some(near)
        });
        inner.collect()
    };
    match (DIGITS..=15).find_map(with) {
        Some(inner) if numbers.len() > 1 => {
            let last = numbers[numbers.len() - 1];
            [vec![numbers[0]], inner, vec![round(last, 15)]].concat()
        }
        _ => numbers,
    }
}

/// The numbers as values of a knob of `kind`.
fn of_kind(numbers: &[f64], kind: Kind) -> Vec<Value> {
    let value = |number: &f64| match kind {
        Kind::Integer => Some(Value::Integer(number.round() as i64)),
        _ => Value::float(*number),
    };
    numbers.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kind: Kind, scale: Scale, toml: &str) -> String {
        let range: Range = toml::from_str(toml).unwrap();
        match levels(&range, kind, scale, &Given::default(), "range") {
            Ok(levels) => levels.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn floats_are_evenly_spaced_by_their_scale_in_three_digits() {
        let between = "min = 0.01\nmax = 1\nlevels = 5";
        // A hundred in four steps: factors of the fourth root of 100, 3.1623.
        assert_eq!(words(Kind::Float, Scale::Log, between), "0.01 0.0316 0.1 0.316 1.0");
        // Quarters of 0.99: 0.0025 are more than a twentieth of no step.
        assert_eq!(words(Kind::Float, Scale::Linear, between), "0.01 0.258 0.505 0.752 1.0");
        let step = "min = 0\nmax = 0.45\nstep = 0.1";
        assert_eq!(words(Kind::Float, Scale::Linear, step), "0.0 0.1 0.2 0.3 0.4");
        let narrow = "min = 1\nmax = 1.0004\nlevels = 5";
        assert_eq!(words(Kind::Float, Scale::Linear, narrow), "1.0 1.0001 1.0002 1.0003 1.0004");
        let expression = "min = '1.0 / 4'\nmax = '2 - 1'\nstep = 0.25";
        assert_eq!(words(Kind::Float, Scale::Linear, expression), "0.25 0.5 0.75 1.0");
    }

    #[test]
    fn whole_numbers_may_have_levels_and_steps_too() {
        let log = "min = 1\nmax = 1000\nlevels = 4";
        assert_eq!(words(Kind::Integer, Scale::Log, log), "1 10 100 1000");
        let step = "min = 5\nmax = 20\nstep = 5";
        assert_eq!(words(Kind::Integer, Scale::Linear, step), "5 10 15 20");
        let usual = "min = 1\nmax = 10";
        assert_eq!(words(Kind::Integer, Scale::Linear, usual), "1 2 3 4 6 8 10");
    }

    #[test]
    fn what_is_no_range_is_refused_with_its_place() {
        for (kind, scale, toml, says) in [
            (
                Kind::Float,
                Scale::Linear,
                "min = 1\nmax = 0.5",
                "range: from 1.0 to 0.5 is no range",
            ),
            (Kind::Float, Scale::Log, "min = 0\nmax = 1", "range.min: 0.0: a logarithmic"),
            (Kind::Float, Scale::Linear, "min = 0\nmax = 1\nlevels = 1", "range.levels: 1: give 2"),
            (Kind::Float, Scale::Linear, "min = 0\nmax = 1\nstep = 0", "range.step: 0: it takes"),
            (Kind::Float, Scale::Linear, "min = 0\nmax = 1\nstep = 1e-9", "at the most"),
            (Kind::Float, Scale::Log, "min = 1\nmax = 9\nstep = 2", "no logarithmic scale"),
            (Kind::Float, Scale::Linear, "min = 0\nmax = 1\nstep = 1\nlevels = 2", "give one of"),
            (Kind::Float, Scale::Linear, "min = 0\nmax = 1\nspacing = 'every'", "whole numbers"),
            (
                Kind::Float,
                Scale::Linear,
                "min = true\nmax = 1",
                "range.min: `true` is not a finite",
            ),
            (Kind::Float, Scale::Linear, "min = '1 / 0.0'\nmax = 1", "range.min: "),
            (Kind::Integer, Scale::Linear, "min = 0.5\nmax = 9", "range.min: `0.5` is not a whole"),
            (Kind::Integer, Scale::Linear, "min = 0\nmax = 2000000", "spans at most 1000000"),
        ] {
            let refused = words(kind, scale, toml);
            assert!(refused.contains(says), "{toml}: {refused}");
        }
    }
}
