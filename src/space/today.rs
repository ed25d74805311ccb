//! Today: what a command runs today of a knob, by its words, its variables and its files.

use super::KnobEntry;
use super::declare::CommandLine;
use crate::knobs::{Kind, Value};
use crate::workload::custom::sink::Sink;
use crate::workload::custom::template::{self, Placeholder, SWITCHES};

/// The places of one knob in the words of a command.
struct Uses<'a> {
    all: Vec<Placeholder<'a>>,
    reader: CommandLine<'a>,
}

impl<'a> Uses<'a> {
    fn of(name: &str, reader: CommandLine<'a>) -> Self {
        let meant = template::meant(reader.words, &|known| known == name);
        let all = meant.into_iter().map(|(_, one)| one).filter(|one| one.name == name);
        Self { all: all.collect(), reader }
    }

    fn is_switch(&self) -> bool {
        self.all.iter().any(|one| one.words.is_some())
    }

    /// What they say of today.
    ///
    /// # Errors
    /// They don't agree, or are of two forms.
    fn today(&self) -> Result<Option<&'a str>, String> {
        if let Some(bare) = self.all.iter().find(|one| self.is_switch() && one.words.is_none()) {
            return Err(format!("`{}` and words after a colon don't go together", bare.whole));
        }
        let mut told = self.all.iter().filter_map(|one| one.today);
        let today = told.next();
        match (today, told.find(|other| Some(*other) != today)) {
            (Some(today), Some(other)) => {
                Err(format!("the command says both {today} and {other} for today: say one"))
            }
            _ => Ok(today),
        }
    }

    /// Refuses a number below zero at the beginning of a word.
    fn check_begin(&self, entry: &KnobEntry) -> Result<(), String> {
        let Some(value) = below_zero(entry).map(|value| value.to_string()) else { return Ok(()) };
        let places =
            self.all.iter().flat_map(|one| self.reader.words.iter().map(move |w| (one, w)));
        let mut refused =
            places.filter_map(|(one, word)| template::refused_below_zero(word, one, &value));
        refused.next().map_or(Ok(()), Err)
    }
}

/// Says what the knob is today, and makes a switch of words for on and off; returns what is only
/// guessed of today. Whatever is `given` by a flag is meant; another knob that nobody reads may be a
/// name written wrongly.
pub(super) fn complete(
    name: &str,
    entry: &mut KnobEntry,
    (reader, is_given): (CommandLine<'_>, bool),
) -> Result<Option<Value>, String> {
    let uses = Uses::of(name, reader);
    let today = uses.today()?;
    let there = entry.sink.as_ref().map(|sink| sink.today(reader.folder)).transpose()?.flatten();
    let is_of_worker = is_given && reader.words.is_empty();
    let is_held = is_of_worker || holds_switch(entry, there.as_ref());
    if uses.is_switch() || (uses.all.is_empty() && is_held) {
        make_switch(entry, uses.is_switch())?;
    }
    let mut guess = None;
    if let Some(text) = today {
        entry.default = Some(read(entry, text)?);
    } else if let Some(default) = entry.default.clone() {
        if is_given || uses.is_switch() {
            entry.default = Some(read(entry, &default.to_string())?);
        }
    } else {
        let place = |problem| match &entry.sink {
            Some(sink) => format!("{sink}: {problem}"),
            None => problem,
        };
        let there =
            there.map(|value| read(entry, &value.to_string())).transpose().map_err(place)?;
        let is_read = is_given || !uses.all.is_empty() || entry.sink.is_some();
        guess = lowest(entry).filter(|_| is_read && there.is_none());
        entry.default = there.or_else(|| guess.clone());
    }
    uses.check_begin(entry).map(|()| guess)
}

/// Whether the program reads a switch from a knob's variable or file: `true` or `false` in JSON, in a
/// variable `1` or `0`, unless one of the list's words is there today. Otherwise it gets the words that
/// the user typed.
fn holds_switch(entry: &KnobEntry, there: Option<&Value>) -> bool {
    let text = there.map(ToString::to_string);
    match (&entry.sink, text) {
        (None, _) => false,
        (Some(Sink::Json { .. }), _) => matches!(there, Some(Value::Switch(_))),
        (Some(Sink::Env(_)), None) => true,
        (Some(Sink::Env(_)), Some(text)) => ["0", "1"].contains(&text.as_str()),
    }
}

/// Makes a switch of a list such as `off|on`; `must` it be one, it is an error if it can't.
fn make_switch(entry: &mut KnobEntry, must: bool) -> Result<(), String> {
    // A variable gets the words that were typed.
    let is_typed = matches!(entry.sink, Some(Sink::Env(_)));
    let written = |word: String| if is_typed { word } else { word.to_ascii_lowercase() };
    let words: Vec<String> =
        entry.values.iter().flatten().map(|value| written(value.to_string())).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_pair = SWITCHES.iter().any(|pair| words == *pair || words == [pair[1], pair[0]]);
    match words[..] {
        [first, second] if is_pair => {
            let switch = |word| template::switch(word).map(Value::Switch);
            entry.values = [first, second].map(switch).into_iter().collect();
            Ok(())
        }
        _ if must => Err("words after a colon are for a switch: give it off|on".to_owned()),
        _ => Ok(()),
    }
}

/// What a text means as a value of the knob.
fn read(entry: &KnobEntry, text: &str) -> Result<Value, String> {
    match entry.values.iter().flatten().next().map(Value::kind) {
        Some(Kind::Word) => Ok(Value::Word(text.to_owned())),
        Some(Kind::Switch) => {
            let odd = || format!("`{text}` is not {}", Kind::Switch);
            template::switch(text).map(Value::Switch).ok_or_else(odd)
        }
        _ => {
            let value = Value::guess(text);
            if let Some(range) = entry.range.as_ref().filter(|_| value.kind() == Kind::Float)
                && [&range.min, &range.max].iter().all(|bound| bound.kind() == Kind::Integer)
                && range.spacing.is_some()
            {
                let (min, max) = (&range.min, &range.max);
                return Err(format!(
                    "`{text}` is no whole number, as {min} and {max} are: give {min}.0..{max}"
                ));
            }
            value.number().map(|_| value).ok_or_else(|| format!("`{text}` is not {}", Kind::Float))
        }
    }
}

/// The first value of a list, the lowest of a range.
fn lowest(entry: &KnobEntry) -> Option<Value> {
    let first = entry.values.iter().flatten().next();
    first.or_else(|| entry.range.as_ref().map(|range| &range.min)).cloned()
}

fn below_zero(entry: &KnobEntry) -> Option<Value> {
    let range = entry.range.iter().map(|range| &range.min);
    let all = entry.values.iter().flatten().chain(range).chain(&entry.default);
    all.into_iter().find(|value| value.number().is_some_and(|number| number < 0.0)).cloned()
}
