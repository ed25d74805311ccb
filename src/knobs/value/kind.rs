//! Kind: what a text or a number means as the value of a knob.

use super::{Float, Value};

/// What kind of value a knob has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Kind {
    /// On or off.
    #[strum(serialize = "true or false")]
    Switch,
    /// A count or a size.
    #[strum(serialize = "a whole number")]
    Integer,
    /// An amount.
    #[strum(serialize = "a finite number")]
    Float,
    /// A name.
    #[strum(serialize = "a word")]
    Word,
}

impl Kind {
    /// The value that a text means, as other programs may have rewritten it: `512.0` is the integer
    /// 512, `1` the float 1.0, `TRUE` a switch that is on.
    ///
    /// # Errors
    /// The text, and what it has to be.
    pub fn read(self, text: &str) -> Result<Value, String> {
        let float = || text.parse().ok().and_then(Float::new);
        let value = match self {
            Self::Integer => {
                let whole = || float().and_then(Float::whole);
                text.parse().ok().or_else(whole).map(Value::Integer)
            }
            Self::Float => float().map(Value::Float),
            Self::Switch => switch(text)
                .or_else(|| ["0", "1"].iter().position(|t| *t == text).map(|n| n == 1))
                .map(Value::Switch),
            Self::Word => Some(Value::Word(text.to_owned())),
        };
        value.ok_or_else(|| format!("`{text}` is not {self}"))
    }

    /// The value as one of this kind: a whole number may stand for a float, and a whole float for
    /// an integer.
    ///
    /// # Errors
    /// The value, and what it has to be.
    pub fn fit(self, value: &Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Float | Self::Integer, Value::Integer(_) | Value::Float(_)) => {
                self.read(&value.to_string())
            }
            _ if value.kind() == self => Ok(value.clone()),
            _ => Err(format!("`{value}` is not {self}")),
        }
    }
}

/// A switch as this program, Python and spreadsheets write it.
pub(super) fn switch(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    is("true").then_some(true).or_else(|| is("false").then_some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(number: f64) -> Value {
        Value::float(number).unwrap()
    }

    #[test]
    fn the_kind_decides_what_a_rewritten_text_means() {
        let word = |text: &str| Value::Word(text.to_owned());
        for (kind, text, value) in [
            (Kind::Float, "1", float(1.0)),
            (Kind::Float, "1E-2", float(0.01)),
            (Kind::Integer, "4330868736.0", Value::Integer(4_330_868_736)),
            (Kind::Switch, "TRUE", Value::Switch(true)),
            (Kind::Switch, "0", Value::Switch(false)),
            (Kind::Word, "TRUE", word("TRUE")),
            (Kind::Word, "2.10", word("2.10")),
        ] {
            let read = kind.read(text).unwrap();
            assert_eq!((&read, read.kind()), (&value, kind), "{text}");
        }
        let refused = [
            (Kind::Float, "nan", "`nan` is not a finite number"),
            (Kind::Float, "1e999", "`1e999` is not a finite number"),
            (Kind::Integer, "1.5", "`1.5` is not a whole number"),
            (Kind::Integer, "1e300", "`1e300` is not a whole number"),
            (Kind::Switch, "2", "`2` is not true or false"),
        ];
        for (kind, text, says) in refused {
            assert_eq!(kind.read(text).unwrap_err(), says);
        }
    }
}
