//! Parsers of values that several commands take.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::builder::{
    OsStringValueParser, PathBufValueParser, PossibleValuesParser, TypedValueParser,
};
use strum::VariantArray;

use crate::profile::located;
use crate::search::StrategyName;
use crate::space::KnobFlag;
use crate::workload::custom::module::Inputs;
use crate::workload::custom::pictures;
use crate::workload::custom::printed::MetricSource;
use crate::workload::custom::sink::Sink;

/// Reads a ratio in dB, from 0, which any picture has, to what float32 numbers can tell apart.
///
/// # Errors
/// What to type instead.
pub fn decibels(text: &str) -> Result<f64, String> {
    const MOST: f64 = 200.0;
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=MOST).contains(number));
    number.ok_or_else(|| format!("give a number from 0 to {MOST}, such as 35"))
}

/// Reads a share from 0 to 1, without 1.
///
/// # Errors
/// What to type instead.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..1.0).contains(number));
    number.ok_or_else(|| "give a share from 0 to 1, such as 0.05 for 5%".to_owned())
}

/// Reads a size of memory that a trial can be given.
///
/// # Errors
/// What to type instead.
pub fn memory(text: &str) -> Result<ByteSize, String> {
    let size = text.parse::<ByteSize>().ok().filter(|size| size.as_u64() > 0);
    size.ok_or_else(|| "give a size such as 16GiB".to_owned())
}

/// Reads `KNOB=VALUE`.
///
/// # Errors
/// What to type instead.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let parted = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let parted = parted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    parted.ok_or_else(|| "give KNOB=VALUE, such as precision=bf16-vae".to_owned())
}

/// Takes the path of a profile, or of a results folder with one.
pub fn profile() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(located)
}

/// Takes a strategy's name, and lists them all.
pub fn strategy() -> impl TypedValueParser<Value = StrategyName> {
    let words = StrategyName::VARIANTS.iter().map(<&str>::from);
    PossibleValuesParser::new(words)
        .map(|word| word.parse().expect("a possible value is a strategy's name"))
}

/// A job's name as it can stand in a file's name.
pub fn job_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 64 && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    Err("type at most 64 letters, digits, dots, dashes and underscores, such as i2v".to_owned())
}

/// Takes what space.toml and the worker's messages can hold, and names what they can't.
pub fn text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|word| {
        word.into_string().map_err(|_| "not UTF-8: rename the file, or use a link to it")
    })
}

/// Takes where a metric is found in what a command prints, if it can be read.
///
/// # Errors
/// What is wrong with it.
pub fn metric(text: &str) -> Result<String, String> {
    MetricSource::parse(text).map(|_| text.to_owned())
}

/// Reads where a profile's value of a knob goes: `blocks env:MY_BLOCKS`.
///
/// # Errors
/// What to type instead.
pub fn sink(text: &str) -> Result<(String, Sink), String> {
    let flag: KnobFlag = text.parse()?;
    let cure = "the profile has the value: give a knob and a place, as in 'blocks env:MY_BLOCKS'";
    let sink = flag.sink.filter(|_| flag.entry.is_none());
    sink.map(|sink| (flag.name, sink)).ok_or_else(|| cure.to_owned())
}

/// As [`sink()`], of a variable.
///
/// # Errors
/// What to type instead.
pub fn variable(text: &str) -> Result<(String, Sink), String> {
    match sink(text)? {
        (_, Sink::Json { .. }) => {
            Err("the tune left a file with the values in its folder: name that one".to_owned())
        }
        variable => Ok(variable),
    }
}

/// Takes patterns of files, if they can be read.
///
/// # Errors
/// What is wrong with them.
pub fn files(text: &str) -> Result<String, String> {
    pictures::patterns(text).map(|_| text.to_owned())
}

/// Takes the inputs of a module, if they can be read.
///
/// # Errors
/// What is wrong with them.
pub fn inputs(text: &str) -> Result<String, String> {
    Inputs::parse(text).map(|_| text.to_owned())
}
