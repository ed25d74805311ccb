//! Printed: a number that a command prints, by which it is scored instead of by its time.

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::workload::metric::Direction;

/// What begins the form of [`MetricSource`] that points into JSON.
const JSON: &str = "json:";

/// One value that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// The number as printed, above zero.
    pub value: f64,
    /// Its direction.
    pub goal: Direction,
}

impl MetricValue {
    /// The bounds between which squares and sums of many are finite.
    const BOUNDS: std::ops::Range<f64> = 1e-100..1e100;

    /// Refuses what nothing can be a share of.
    ///
    /// # Errors
    /// The number, and what it takes.
    pub fn check(&self) -> Result<(), String> {
        let Self { value, .. } = self;
        let is_some = Self::BOUNDS.contains(value);
        let problem =
            || format!("the metric is {value:?}: it takes a number above 0, from 1e-100 to 1e100");
        is_some.then_some(()).ok_or_else(problem)
    }
}

/// Where in the output the number stands.
#[derive(Clone, Debug)]
pub enum MetricSource {
    /// The first group that took part in the last match, or the whole of it without groups.
    Pattern(Regex),
    /// A JSON pointer (RFC 6901) into the last JSON that is printed and has it: an object or list
    /// that begins with a line, or else a line.
    Pointer(String),
}

impl MetricSource {
    /// Reads `json:/path`, or a regular expression.
    ///
    /// # Errors
    /// What is wrong, and what to type instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(pointer) = text.strip_prefix(JSON) {
            let is_pointer = pointer.is_empty() || pointer.starts_with('/');
            return is_pointer.then(|| Self::Pointer(pointer.to_owned())).ok_or_else(|| {
                format!("`{text}`: a JSON pointer begins with a slash: json:/{pointer}")
            });
        }
        let pattern = RegexBuilder::new(text).multi_line(true).build();
        let pattern = pattern.map_err(|error| format!("`{text}` is no expression: {error}"))?;
        Ok(Self::Pattern(pattern))
    }

    /// The number in `output`.
    ///
    /// # Errors
    /// There is none, or one of which nothing can be a share.
    pub fn read(&self, output: &str) -> Result<f64, String> {
        let text = match self {
            Self::Pattern(pattern) => pattern.captures_iter(output).last().and_then(|groups| {
                let first = usize::from(groups.len() > 1);
                Some(groups.iter().skip(first).flatten().next()?.as_str().to_owned())
            }),
            Self::Pointer(pointer) => pointed(output, pointer),
        };
        let text = text.ok_or_else(|| format!("it printed no {}", self.words()))?;
        let number = text.trim().parse::<f64>().map_err(|_| format!("`{text}` is no number"))?;
        MetricValue { value: number, goal: Direction::default() }.check().map(|()| number)
    }

    fn words(&self) -> String {
        match self {
            Self::Pattern(pattern) => format!("match of `{pattern}`"),
            Self::Pointer(pointer) => format!("JSON with a number at `{pointer}`"),
        }
    }
}

/// What stands at `pointer` in the last object or list that has it, or else in a line.
fn pointed(output: &str, pointer: &str) -> Option<String> {
    let at = |value: Value| match value.pointer(pointer)? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    let alone = |line: &str| at(serde_json::from_str(line).ok()?);
    spread(output).filter_map(at).last().or_else(|| output.lines().rev().find_map(alone))
}

/// The objects and lists that begin with a line of `output`, but for those within one.
fn spread(output: &str) -> impl Iterator<Item = Value> {
    let (mut begin, mut done) = (0, 0);
    output.split_inclusive('\n').filter_map(move |line| {
        let text = &output[begin..];
        begin += line.len();
        let is_within = begin - line.len() < done;
        if is_within || !line.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter();
        let value = values.next()?.ok()?;
        done = begin - line.len() + values.byte_offset();
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str, output: &str) -> Result<f64, String> {
        MetricSource::parse(source).unwrap().read(output)
    }

    #[test]
    fn the_last_match_counts() {
        let output = "step 1: 3.5 it/s\nstep 2: 4.25 it/s\ndone";
        assert_eq!(read(r"([0-9.]+) it/s", output), Ok(4.25));
        assert_eq!(read(r"^step (\d+)", output), Ok(2.0));
        assert_eq!(read(r"fps=([-0-9.e+a-z]+)", "fps=1e-3"), Ok(0.001));
        assert_eq!(read(r"[0-9.]+$", "took 3.5\ntook 2.5"), Ok(2.5));
        assert_eq!(read(r"fps=(\d+)|rate: (\d+)", "fps=3\nrate: 4"), Ok(4.0));
    }

    #[test]
    fn json_is_the_last_line_or_the_whole() {
        let lines = "loading\n{\"t\": {\"s\": 1}}\n{\"t\": {\"s\": \"2.5\"}}\nbye";
        assert_eq!(read("json:/t/s", lines), Ok(2.5));
        assert_eq!(read("json:/t/0", "{\n \"t\": [\n 7 ]\n}\n"), Ok(7.0));
        assert_eq!(read("json:", "42"), Ok(42.0));
        let after = "loading {model}\n[1 of 2]\n{\n \"t\":\n {\n \"s\": 1.5\n }\n}\nbye\n";
        assert_eq!(read("json:/t/s", after), Ok(1.5));
        let inner = "{\"s\": 1}\n{\n \"all\": [\n  {\"s\": 2}\n ],\n \"s\": 3\n}\n";
        assert_eq!(read("json:/s", inner), Ok(3.0));
    }

    #[test]
    fn what_is_no_positive_number_is_refused() {
        for output in ["fps=0", "fps=-1", "fps=nan", "fps=inf", "fps=x", "nothing", ""] {
            assert!(read(r"fps=(\S+)", output).is_err(), "{output}");
            assert!(read("json:/fps", output).is_err(), "{output}");
        }
        let none = read("json:/fps", "{\"fps\": null}").unwrap_err();
        assert_eq!(none, "it printed no JSON with a number at `/fps`");
        assert_eq!(read("fps=(.+)", "").unwrap_err(), "it printed no match of `fps=(.+)`");
    }

    #[test]
    fn what_is_no_source_is_refused_with_a_cure() {
        let refused = |text: &str| MetricSource::parse(text).unwrap_err();
        assert!(refused("fps=(").contains("is no expression"));
        assert!(refused("json:fps").contains("json:/fps"));
    }
}
