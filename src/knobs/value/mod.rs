//! Value: what a knob is set to, and its kind: an integer, a float, a switch or a word.
//!
//! Integers and floats of the same size are equal, so that a program that rewrites `1.0` as `1`
//! changes nothing; a [`Kind`] decides what a text means.

mod kind;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub use kind::Kind;

/// The value of every knob, by name: a candidate as journals and profiles hold it.
pub type Values = BTreeMap<String, Value>;

/// One value of a knob.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// Whether something is on.
    Switch(bool),
    /// A count or a size.
    Integer(i64),
    /// An amount.
    Float(Float),
    /// A name.
    Word(String),
}

/// A finite number; zero has no sign.
#[derive(Clone, Copy, Debug, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Float(f64);

/// Whole numbers below this are exact as floats.
const EXACT: f64 = (1_u64 << 53) as f64;

impl Float {
    /// The number; `None` for one that is not finite.
    pub fn new(number: f64) -> Option<Self> {
        // Adding zero takes the sign of -0.0.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The whole number that it is, if it is one that no rounding made.
    fn whole(self) -> Option<i64> {
        (self.0.fract() == 0.0 && self.0.abs() < EXACT).then_some(self.0 as i64)
    }
}

impl Value {
    /// The value of a finite number.
    pub fn float(number: f64) -> Option<Self> {
        Float::new(number).map(Self::Float)
    }

    /// What it counts; `None` for what is no count of anything.
    pub fn count(&self) -> Option<f64> {
        match self {
            Self::Integer(count) if *count > 0 => Some(*count as f64),
            _ => None,
        }
    }

    /// The number that it is; `None` for switches and words.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(float) => Some(float.get()),
            Self::Switch(_) | Self::Word(_) => None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Switch(_) => Kind::Switch,
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Word(_) => Kind::Word,
        }
    }

    /// The text that hands it to a program: a switch is 1 or 0, as in the variables of PyTorch,
    /// vLLM and Hugging Face's libraries.
    pub fn handed(&self) -> String {
        match self {
            Self::Switch(is_on) => u8::from(*is_on).to_string(),
            value => value.to_string(),
        }
    }

    /// What a text means where nobody says of which kind it is; `512.0` is an integer then.
    pub fn guess(text: &str) -> Self {
        let kinds = [Kind::Integer, Kind::Float].into_iter();
        let number = kinds.filter_map(|kind| kind.read(text).ok()).next();
        let switch = || kind::switch(text).map(Self::Switch);
        number.or_else(switch).unwrap_or_else(|| Self::Word(text.to_owned()))
    }
}

/// Which of a whole number and a float is larger, without rounding either.
fn compare(whole: i64, float: f64) -> Ordering {
    // 2^63, the first number above all of them, is a float; so is the lowest of them.
    const ABOVE: f64 = (1_u128 << 63) as f64;
    if float >= ABOVE {
        return Ordering::Less;
    }
    if float < -ABOVE {
        return Ordering::Greater;
    }
    let rest = float - float.trunc();
    whole.cmp(&(float.trunc() as i64)).then(0_f64.total_cmp(&(rest + 0.0)))
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |value: &Self| match value {
            Self::Integer(_) | Self::Float(_) => 0,
            Self::Switch(_) => 1,
            Self::Word(_) => 2,
        };
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.0.total_cmp(&b.0),
            (Self::Integer(a), Self::Float(b)) => compare(*a, b.0),
            (Self::Float(a), Self::Integer(b)) => compare(*b, a.0).reverse(),
            (Self::Switch(a), Self::Switch(b)) => a.cmp(b),
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // Equal numbers have equal floats.
            Self::Integer(number) => (*number as f64).to_bits().hash(state),
            Self::Float(float) => float.0.to_bits().hash(state),
            Self::Switch(is_on) => is_on.hash(state),
            Self::Word(word) => word.hash(state),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(is_on) => is_on.fmt(f),
            Self::Integer(number) => number.fmt(f),
            // With its point, so that it reads back as a float.
            Self::Float(float) => write!(f, "{:?}", float.0),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Takes whatever a value can be.
struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value: a finite number, true or false, or a word")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<Value, E> {
        Ok(Value::Switch(is_on))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        let fits = number.try_into().map(Value::Integer);
        fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Value::float(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Value, E> {
        Ok(Value::Word(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    fn float(number: f64) -> Value {
        Value::float(number).unwrap()
    }

    fn hash(value: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn numbers_are_ordered_and_equal_by_their_size() {
        let two_to_53 = 1 << 53;
        let ascending = [
            float(-1e300),
            Value::Integer(i64::MIN + 1),
            Value::Integer(-2),
            float(-1.5),
            Value::Integer(-1),
            float(-0.25),
            Value::Integer(0),
            float(0.25),
            Value::Integer(1),
            float(two_to_53 as f64),
            // Rounded to a float it would equal the one before.
            Value::Integer(two_to_53 + 1),
            Value::Integer(i64::MAX),
            float((1_u64 << 63) as f64),
            Value::Switch(false),
            Value::Switch(true),
            Value::Word("a".to_owned()),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a} {b}");
            }
        }
        let equal = [
            (Value::Integer(1), float(1.0)),
            (Value::Integer(4_330_868_736), float(4_330_868_736.0)),
            (Value::Integer(0), float(-0.0)),
            (Value::Integer(i64::MIN), float(i64::MIN as f64)),
        ];
        for (a, b) in equal {
            assert_eq!((&a, hash(&a)), (&b, hash(&b)));
            assert_eq!(b.cmp(&a), Ordering::Equal);
        }
        assert_eq!(float(-0.0).to_string(), "0.0");
    }

    #[test]
    fn every_kind_reads_back_from_json_toml_and_text() {
        for (value, text, json) in [
            (Value::Switch(true), "true", "true"),
            (Value::Integer(3), "3", "3"),
            (float(0.05), "0.05", "0.05"),
            (float(1.0), "1.0", "1.0"),
            (float(1e-7), "1e-7", "1e-7"),
            (Value::Word("word".to_owned()), "word", "\"word\""),
        ] {
            assert_eq!(
                (value.to_string().as_str(), value.kind().read(text)),
                (text, Ok(value.clone()))
            );
            assert_eq!(Value::guess(text), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            let from_json: Value = serde_json::from_str(json).unwrap();
            let toml = toml::to_string(&Values::from([("x".to_owned(), value.clone())])).unwrap();
            let from_toml: Values = toml::from_str(&toml).unwrap();
            for back in [&from_json, &from_toml["x"]] {
                assert_eq!((back, back.kind()), (&value, value.kind()));
            }
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for json in ["null", "[1]", "{}", "18446744073709551615"] {
            let refused = serde_json::from_str::<Value>(json).unwrap_err().to_string();
            assert!(refused.contains("a finite number, true or false, or a word"), "{refused}");
        }
        assert!(toml::from_str::<Values>("x = nan").is_err());
        assert!(serde_json::from_str::<Value>("1e999").is_err());
        assert_eq!(Value::float(f64::INFINITY), None);
    }

    #[test]
    fn programs_read_a_switch_as_a_digit() {
        let values = [Value::Switch(true), Value::Switch(false), float(0.05), Value::Integer(3)];
        assert_eq!(values.map(|value| value.handed()), ["1", "0", "0.05", "3"]);
    }
}
