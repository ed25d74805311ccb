//! Flag: a knob of the user's own in one line, as `--knob` takes it.
//!
//! `blocks=0..40`, `attention=sdpa|sage|flash`, `threshold=0.01..0.3 log`, `compile=off|on`; words
//! after the values say more. A name alone means a knob that the tool has.

use std::str::FromStr;

use super::{Changes, KnobEntry, Range, Scale, Spacing};
use crate::knobs::{Value, program_environment};
use crate::workload::custom::sink::Sink;

/// Whole numbers of a range without a scale are all taken up to this many.
const ALL_OF: i64 = 64;

/// One `--knob`.
#[derive(Clone, Debug, PartialEq)]
pub struct KnobFlag {
    /// As typed.
    pub text: String,
    /// The knob.
    pub name: String,
    /// What it may be; `None` for a knob that the tool has.
    pub entry: Option<KnobEntry>,
    /// Where its value goes besides the command's words.
    pub sink: Option<Sink>,
}

impl FromStr for KnobFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (first, more) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let (name, values) = match first.split_once('=') {
            Some((name, values)) => (name, Some(values)),
            None => (first, None),
        };
        program_environment::knob_name(name)?;
        let mut flag =
            Self { text: text.to_owned(), name: name.to_owned(), entry: None, sink: None };
        if let Some(values) = values {
            let why = format!("Given as --knob '{text}'.");
            flag.entry = Some(KnobEntry { why, ..entry(values)? });
        }
        flag.read_more(more)?;
        flag.entry.as_mut().map_or(Ok(()), check_numbers)?;
        Ok(flag)
    }
}

impl KnobFlag {
    /// The words after the values.
    fn read_more(&mut self, more: &str) -> Result<(), String> {
        let mut rest = more.trim();
        while !rest.is_empty() {
            // A file's name may have blanks: it comes last.
            let (word, next) = match rest.starts_with("json:") {
                true => (rest, ""),
                false => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            rest = next.trim_start();
            if word.starts_with("env:") || word.starts_with("json:") {
                if let Some(other) = self.sink.replace(word.parse()?) {
                    return Err(format!("`{other}` and `{word}`: a value goes into one of them"));
                }
                continue;
            }
            let Some(entry) = &mut self.entry else {
                return Err(format!("`{word}`: only `env:VARIABLE` goes with a name alone"));
            };
            say(entry, word)?;
        }
        Ok(())
    }
}

/// What may stand after the values.
const MORE: &str = "log, levels:N, step:X, default:VALUE, unit:WORD, changes:picture, env:VARIABLE, \
                    json:FILE#/POINTER";

/// Reads a word that says more of a knob.
fn say(entry: &mut KnobEntry, word: &str) -> Result<(), String> {
    let (key, value) = word.split_once(':').unwrap_or((word, ""));
    match key {
        "levels" | "step" => return say_of_range(entry, word, (key, value)),
        "log" if value.is_empty() => return say_of_range(entry, word, (key, value)),
        "default" if !value.is_empty() => {
            let is_word = matches!(entry.values.as_deref(), Some([Value::Word(_), ..]));
            let as_typed = is_word.then(|| Value::Word(value.to_owned()));
            entry.default = Some(as_typed.unwrap_or_else(|| Value::guess(value)));
        }
        "unit" if !value.is_empty() => entry.unit = Some(value.to_owned()),
        "changes" => {
            let odd = |_| format!("`changes`: `{value}` is neither nothing nor picture");
            entry.changes = Some(value.parse::<Changes>().map_err(odd)?);
        }
        _ => return Err(format!("`{word}`: after the values there may be {MORE}")),
    }
    Ok(())
}

/// Reads a word that says how a range is filled.
fn say_of_range(
    entry: &mut KnobEntry,
    word: &str,
    (key, value): (&str, &str),
) -> Result<(), String> {
    let Some(range) = &mut entry.range else {
        return Err(format!("`{word}` is for a range, such as 1..8"));
    };
    range.spacing = None;
    let odd = || format!("`{word}`: give a number");
    match key {
        "levels" => range.levels = Some(value.parse().map_err(|_| odd())?),
        "step" => range.step = Some(number(value).ok_or_else(odd)?),
        _ => entry.scale = Some(Scale::Log),
    }
    Ok(())
}

/// The values of a knob: a range or a list.
fn entry(values: &str) -> Result<KnobEntry, String> {
    match values.split_once("..").filter(|_| !values.contains('|')) {
        Some((low, high)) => between(values, low, high),
        None => listed(values),
    }
}

fn between(text: &str, low: &str, high: &str) -> Result<KnobEntry, String> {
    let odd = |bound: &str| format!("`{text}`: `{bound}` is not a finite number");
    let min = number(low).ok_or_else(|| odd(low))?;
    // The highest may follow from the machine.
    let is_fact = !high.is_empty() && high.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let fact = is_fact && !["nan", "inf", "infinity"].contains(&high);
    let max = number(high).or_else(|| fact.then(|| Value::Word(high.to_owned())));
    let max = max.ok_or_else(|| odd(high))?;
    if let (Some(least), Some(most)) = (min.number(), max.number())
        && least >= most
    {
        let cure = if least > most {
            format!("write {high}..{low}")
        } else {
            "give two bounds".to_owned()
        };
        return Err(format!("`{text}` is no range: {cure}"));
    }
    let all = match (&min, &max) {
        (Value::Integer(min), Value::Integer(max)) => max.saturating_sub(*min) <= ALL_OF,
        _ => false,
    };
    let spacing = all.then_some(Spacing::Every);
    let range = Range { min, max, spacing, levels: None, step: None };
    Ok(KnobEntry { range: Some(range), ..KnobEntry::default() })
}

fn listed(text: &str) -> Result<KnobEntry, String> {
    let words: Vec<&str> = text.split('|').collect();
    let example = "give several values, as in 0..40, 1|2|4 or sdpa|sage";
    if words.len() < 2 || words.contains(&"") {
        return Err(format!("`{text}`: {example}"));
    }
    let numbers: Option<Vec<Value>> = words.iter().map(|word| number(word)).collect();
    let as_words = || words.iter().map(|word| Value::Word((*word).to_owned())).collect();
    let values: Vec<Value> = numbers.unwrap_or_else(as_words);
    values.iter().try_for_each(program_environment::custom_value)?;
    if let Some(twice) = (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
        return Err(format!("`{text}`: {} stands there twice", values[twice]));
    }
    Ok(KnobEntry { values: Some(values), ..KnobEntry::default() })
}

/// What can be seen of numbers without the machine.
fn check_numbers(entry: &mut KnobEntry) -> Result<(), String> {
    let lowest = entry.range.as_ref().and_then(|range| range.min.number());
    if entry.scale == Some(Scale::Log) && lowest.is_some_and(|lowest| lowest <= 0.0) {
        return Err("log takes numbers above 0: begin the range with a small one".to_owned());
    }
    Ok(())
}

/// A finite number, whole where it is written so.
fn number(text: &str) -> Option<Value> {
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let whole = || text.parse().ok().map(Value::Integer);
    let float = || text.parse().ok().and_then(Value::float);
    digits.then(|| whole().or_else(float)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(text: &str) -> KnobEntry {
        text.parse::<KnobFlag>().unwrap().entry.unwrap()
    }

    #[test]
    fn a_line_says_all_of_a_knob() {
        let range = |text| entry_of(text).range.unwrap();
        let blocks = range("blocks=0..40");
        let whole = |number| Value::Integer(number);
        assert_eq!(
            (blocks.min, blocks.max, blocks.spacing),
            (whole(0), whole(40), Some(Spacing::Every))
        );
        assert_eq!(range("ram=1..1000").spacing, None);
        assert_eq!(range("threads=1..cores").max, Value::Word("cores".to_owned()));
        let threshold = entry_of("threshold=0.01..0.3 log levels:9 default:0.2 unit:ratio");
        assert_eq!(threshold.scale, Some(Scale::Log));
        assert_eq!(threshold.range.unwrap().levels, Some(9));
        assert_eq!(threshold.default, Value::float(0.2));
        assert_eq!(threshold.unit.as_deref(), Some("ratio"));
        let words = |text| {
            entry_of(text).values.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(words("attention=sdpa|sage|flash"), ["sdpa", "sage", "flash"]);
        assert_eq!(words("profile=1|2|3+|4.5"), ["1", "2", "3+", "4.5"]);
        assert_eq!(words("size=1|2.5"), ["1", "2.5"]);
        assert_eq!(entry_of("q=a|b changes:picture").changes, Some(Changes::Picture));
        let named: KnobFlag = "affinity".parse().unwrap();
        assert_eq!((named.name.as_str(), named.entry), ("affinity", None));
        let (file, pointer) = ("my file.json".to_owned(), "/a/b".to_owned());
        assert_eq!(
            file_of(&format!("blocks=1..40 log json:{file}#{pointer}")),
            Some(Sink::Json { file, pointer })
        );
    }

    fn file_of(text: &str) -> Option<Sink> {
        text.parse::<KnobFlag>().unwrap().sink
    }

    #[test]
    fn what_is_no_knob_is_refused_with_a_cure() {
        for (text, says) in [
            ("blocks=40..0", "`40..0` is no range: write 0..40"),
            ("blocks=4..4", "give two bounds"),
            ("blocks=0..inf", "`inf` is not a finite number"),
            ("blocks=nan..1", "`nan` is not a finite number"),
            ("blocks=0..1e999", "not a finite number"),
            ("blocks=7", "give several values"),
            ("blocks=", "give several values"),
            ("a=x||y", "give several values"),
            ("a=x|y|x", "x stands there twice"),
            ("a=x|-y", "a word begins with"),
            ("a=x|/bin/sh", "a word begins with"),
            ("Blocks=0..4", "`Blocks` is no name of a knob"),
            ("", "is no name of a knob"),
            ("a=0..1 log", "log takes numbers above 0"),
            ("a=x|y log", "`log` is for a range"),
            ("a=x|y levels:3", "is for a range"),
            ("a=0..1 often", "after the values there may be log"),
            ("a=0..1 env:LD_PRELOAD", "means something to more"),
            ("a=0..1 changes:much", "`changes`"),
            ("affinity log", "goes with a name alone"),
        ] {
            let refused = text.parse::<KnobFlag>().unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }
}
