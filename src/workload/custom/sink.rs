//! Sink: where the value of a knob goes besides the words of a command: into a variable of the
//! program's own, or into a copy of a JSON file.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::io::{as_text, input};
use crate::knobs::{Value, Values, program_environment};

/// A configuration that people write has less.
const LARGEST_BYTES: u64 = 16 << 20;

/// Where one knob's value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// A variable.
    Env(String),
    /// A place in a JSON file: each trial gets a copy, in which that value is another.
    Json {
        /// The file, as the command names it.
        file: String,
        /// Where in it, as a JSON pointer (RFC 6901).
        pointer: String,
    },
}

impl FromStr for Sink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            return program_environment::own_variable(name).map(|()| Self::Env(name.to_owned()));
        }
        let forms = "give env:VARIABLE or json:FILE#/POINTER";
        let place = text.strip_prefix("json:").and_then(|place| place.rsplit_once('#'));
        let (file, pointer) = place.ok_or_else(|| format!("`{text}`: {forms}"))?;
        if file.is_empty() || !pointer.starts_with('/') {
            return Err(format!("`{text}`: a JSON pointer begins with a slash; {forms}"));
        }
        Ok(Self::Json { file: file.to_owned(), pointer: pointer.to_owned() })
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Json { file, pointer } => write!(f, "json:{file}#{pointer}"),
        }
    }
}

as_text!(Sink);

/// The sinks of a command's knobs, by knob.
pub type Sinks = BTreeMap<String, Sink>;

/// The variables into which `sinks` put `values`, as programs read them.
pub fn variables(sinks: &Sinks, values: &Values) -> BTreeMap<String, String> {
    let variable = |(knob, sink): (&String, &Sink)| match sink {
        Sink::Env(name) => Some((name.clone(), values.get(knob)?.handed())),
        Sink::Json { .. } => None,
    };
    sinks.iter().filter_map(variable).collect()
}

/// A JSON file that a command reads, with the knobs that have a place in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<'s> {
    /// The file, as the command names it.
    pub file: &'s str,
    places: Vec<(&'s str, &'s str)>,
}

/// The files that `sinks` speak of.
pub fn documents(sinks: &Sinks) -> Vec<Document<'_>> {
    let mut documents: Vec<Document<'_>> = Vec::new();
    for (knob, sink) in sinks {
        let Sink::Json { file, pointer } = sink else { continue };
        let place = (pointer.as_str(), knob.as_str());
        match documents.iter_mut().find(|document| document.file == file) {
            Some(document) => document.places.push(place),
            None => documents.push(Document { file, places: vec![place] }),
        }
    }
    documents
}

impl Document<'_> {
    /// The file in the command's `folder`.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.file)
    }

    /// Its text with `values` in their places, of the kind that is there; all else stays as it is, to the
    /// last digit.
    ///
    /// # Errors
    /// The file can't be read, or a place is not in it.
    pub fn text(&self, folder: &Path, values: &Values) -> Result<String, String> {
        let mut text = text(&self.path(folder))?;
        for (pointer, knob) in &self.places {
            let (Some(place), Some(value)) = (place(&text, pointer), values.get(*knob)) else {
                return Err(format!("{}#{pointer}: there is no such value", self.file));
            };
            let plain = |word: &str| {
                let json = serde_json::from_str::<Json>(word).ok();
                json.is_some_and(|json| json.is_number() || json.is_boolean())
            };
            let new = match value {
                _ if text[place.clone()].starts_with('"') => {
                    Json::String(value.to_string()).to_string()
                }
                // Of a list such as 1|2|3+.
                Value::Word(word) if plain(word) => word.clone(),
                _ => serde_json::to_string(value).expect("a value is plain data"),
            };
            text.replace_range(place, &new);
        }
        Ok(text)
    }

    /// Whether a word of a command names the file, alone or as in `--config=FILE`.
    pub fn is_named_by(&self, word: &str) -> bool {
        word.strip_suffix(self.file)
            .is_some_and(|before| before.is_empty() || before.ends_with('='))
    }

    /// The word with another `path` in the place of the file.
    pub fn renamed(&self, word: &str, path: &str) -> String {
        format!("{}{path}", word.strip_suffix(self.file).unwrap_or_default())
    }
}

impl Sink {
    /// What is there today: in the environment, as its text, or in the file.
    ///
    /// # Errors
    /// The file can't be read, or has at this place no number, word or switch.
    pub fn today(&self, folder: &Path) -> Result<Option<Value>, String> {
        let (file, pointer) = match self {
            Self::Env(name) => {
                let text = std::env::var(name).ok().filter(|text| !text.is_empty());
                return Ok(text.map(Value::Word));
            }
            Self::Json { file, pointer } => (file, pointer),
        };
        let json = read(&folder.join(file)).map_err(|problem| format!("{file}: {problem}"))?;
        let Some(value) = json.pointer(pointer) else {
            return Err(format!("{file} has no {pointer}; {}", nearest(&json, pointer)));
        };
        let odd = |_| {
            format!(
                "{file}#{pointer} is {value}: a knob takes the place of a number, a word, true or false"
            )
        };
        serde_json::from_value(value.clone()).map(Some).map_err(odd)
    }
}

/// How far a pointer leads, and what there is.
fn nearest(json: &Json, pointer: &str) -> String {
    let mut there = pointer;
    let found = loop {
        there = &there[..there.rfind('/').unwrap_or(0)];
        if let Some(found) = json.pointer(there) {
            break found;
        }
    };
    let at = if there.is_empty() { "its top" } else { there };
    match found {
        Json::Object(members) => {
            let keys: Vec<&str> = members.keys().map(String::as_str).take(12).collect();
            format!("at {at} there are {}", keys.join(", "))
        }
        Json::Array(items) => format!("at {at} there are {} items, counted from 0", items.len()),
        _ => format!("{at} is {found}"),
    }
}

/// A JSON file.
///
/// # Errors
/// It can't be read, or is no JSON.
pub fn read(path: &Path) -> Result<Json, String> {
    serde_json::from_str(unmarked(&text(path)?)).map_err(|error| no_json(&error))
}

/// The text of a JSON file.
fn text(path: &Path) -> Result<String, String> {
    let text = input::text(path, LARGEST_BYTES).map_err(|error| format!("{error:#}"))?;
    serde_json::from_str::<&RawValue>(unmarked(&text))
        .map(drop)
        .map_err(|error| no_json(&error))?;
    Ok(text)
}

/// A text without the mark of UTF-8 that editors put before it.
fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn no_json(error: &serde_json::Error) -> String {
    format!("no JSON: {error}; comments, NaN and a comma at the end are none of it")
}

/// Where in a JSON text the value at `pointer` stands: numbers may have more digits than any type.
fn place(text: &str, pointer: &str) -> Option<Range<usize>> {
    let mut found: &str = serde_json::from_str::<&RawValue>(unmarked(text)).ok()?.get();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let inner: &RawValue = if found.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(found).ok()?;
            items.get(token.parse::<usize>().ok()?)?
        } else {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(found).ok()?;
            members.get(&token)?
        };
        found = inner.get();
    }
    let begin = found.as_ptr() as usize - text.as_ptr() as usize;
    Some(begin..begin + found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_a_variable_of_ones_own_or_a_place_in_a_file() {
        for text in ["env:MY_BLOCKS", "json:a b#c.json#/x/0/y~1z"] {
            assert_eq!(text.parse::<Sink>().unwrap().to_string(), text);
        }
        for (text, says) in [
            ("env:", "is no name"),
            ("env:A B", "is no name"),
            ("env:LD_PRELOAD", "write `env NAME={knob} COMMAND`"),
            ("env:PATH", "more than your program"),
            ("env:PYTORCH_CUDA_ALLOC_CONF", "more than your program"),
            ("env:WAN22_PROFILE", "more than your program"),
            ("json:a.json", "json:FILE#/POINTER"),
            ("json:a.json#x", "begins with a slash"),
            ("file:x", "give env:VARIABLE or"),
        ] {
            let refused = text.parse::<Sink>().unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn values_are_put_into_a_copy_and_keep_the_kind_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"z\": 123456789012345678901234567890, \"nodes\":\n[{\"blocks\": 20, \"width\": \"480\", \
             \"fast\": false}],\"a\": null, \"b\": 1.50}\n";
        std::fs::write(folder.path().join("c.json"), text).unwrap();
        let sink =
            |pointer: &str| Sink::Json { file: "c.json".to_owned(), pointer: pointer.to_owned() };
        let sinks: Sinks = ["blocks", "width", "fast"]
            .map(|name| (name.to_owned(), sink(&format!("/nodes/0/{name}"))))
            .into();
        let values = Values::from([
            ("blocks".to_owned(), Value::Integer(40)),
            ("width".to_owned(), Value::Integer(832)),
            ("fast".to_owned(), Value::Switch(true)),
        ]);
        let [document] = &documents(&sinks)[..] else { panic!("one file") };
        let new = document.text(folder.path(), &values).unwrap();
        let expected = text.replace("20, ", "40, ").replace("480", "832").replace("false", "true");
        assert_eq!(new, expected, "blanks and digits stay");
        assert_eq!(std::fs::read_to_string(folder.path().join("c.json")).unwrap(), text);
        assert!(document.is_named_by("c.json") && document.is_named_by("--config=c.json"));
        assert!(!document.is_named_by("abc.json"));
        assert_eq!(document.renamed("--config=c.json", "/t/c.json"), "--config=/t/c.json");
        let today = |pointer| sink(pointer).today(folder.path());
        assert_eq!(today("/nodes/0/blocks").unwrap(), Some(Value::Integer(20)));
        assert_eq!(
            today("/nodes/0/block").unwrap_err(),
            "c.json has no /nodes/0/block; at /nodes/0 there are blocks, width, fast"
        );
        assert!(today("/nodes/7/x").unwrap_err().contains("at /nodes there are 1 items"));
        assert!(today("/a").unwrap_err().contains("is null: a knob takes the place of"));
        assert!(sink("/x").today(Path::new("/nowhere")).unwrap_err().starts_with("c.json: "));
    }
}
