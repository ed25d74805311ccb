//! Value: what a knob is set to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of every knob, by name: a candidate as journals and profiles hold it.
pub type Values = BTreeMap<String, Value>;

/// One value of a knob.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(untagged, expecting = "a value is a whole number or a word")]
pub enum Value {
    /// A count or a size.
    Number(i64),
    /// A name.
    Word(String),
}

impl Value {
    /// What it counts; `None` for a word and for what is no count of anything.
    pub fn count(&self) -> Option<f64> {
        match self {
            Self::Number(count) if *count > 0 => Some(*count as f64),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}
