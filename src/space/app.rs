//! App: how a program that a space is for takes its knobs, so that a user's own command line becomes
//! one with placeholders.

use serde::{Deserialize, Serialize};

use super::declare::Reader;
use super::{KnobEntry, SpaceFile};
use crate::knobs::{Kind, Value};
use crate::workload::custom::sink::Sink;
use crate::workload::custom::template;

/// `[app]` of a space file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppEntry {
    /// How a word of the command ends that starts the program.
    pub program: String,
    /// A whole command line, for whoever types another.
    pub example: String,
    /// The knobs that the tool has and that are tuned beside the program's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// The flag before the folder or file that the program writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the pictures in that folder are called, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<String>,
    /// The flag before the JSON file into which `pointer`s of knobs lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
}

/// A user's command with the placeholders of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCommand {
    /// Its words.
    pub words: Vec<String>,
    /// The pictures that it writes, where that can be told.
    pub output: Option<String>,
    /// What was left out, and why, a line each.
    pub notes: Vec<String>,
}

impl SpaceFile {
    /// A user's command with a placeholder for each knob that the program takes as a flag: in the place
    /// of the flag's value where the user gave one, which is what runs today, and at the end otherwise.
    ///
    /// # Errors
    /// The command does not start the program, or a knob's entry makes no sense.
    pub fn app_command(&self, app: &AppEntry, words: &[String]) -> Result<AppCommand, String> {
        if !words.iter().any(|word| word.ends_with(&app.program)) {
            let AppEntry { program, example, .. } = app;
            return Err(format!("no word of the command ends with {program}: type {example}"));
        }
        let mut command = AppCommand { words: words.to_vec(), output: None, notes: Vec::new() };
        for name in self.knob.keys() {
            let entry = self.entry(name)?;
            let Some(flag) = &entry.flag else { continue };
            if template::meant(words, &|known| known == name)
                .iter()
                .any(|(_, one)| one.name == name)
            {
                continue;
            }
            match is_switch(&entry) {
                true => command.switch(name, flag),
                false => command.value(name, flag),
            }
        }
        let target = app.output.as_ref().and_then(|flag| after(words, flag));
        if let (Some(flag), None) = (&app.output, target) {
            let note = format!("pictures are not compared: the command has no {flag}");
            command.notes.push(note);
        }
        let target = target.map(glob::Pattern::escape);
        command.output = target.map(|target| match &app.pictures {
            Some(pictures) => format!("{}/{pictures}", target.trim_end_matches('/')),
            None => target,
        });
        Ok(command)
    }

    /// Takes in what the program of an app reads: the knobs of the tool beside its own, from `command`,
    /// the places in its JSON file, and of the flags those that stand in the words.
    ///
    /// # Errors
    /// A knob's entry makes no sense.
    pub fn settle_app(&mut self, command: &Self, reader: Reader<'_>) -> Result<(), String> {
        let Some(app) = self.app.take() else { return Ok(()) };
        let file = app.json.as_ref().and_then(|flag| after(reader.words, flag));
        for name in self.own_knobs() {
            let mut entry = self.entry(&name)?;
            let meant = template::meant(reader.words, &|known| *known == *name);
            let stands = meant.iter().any(|(_, one)| one.name == name);
            entry.sink = entry.pointer.as_ref().zip(file).and_then(|(pointer, file)| {
                let sink = Sink::Json { file: file.to_owned(), pointer: pointer.clone() };
                sink.today(reader.folder).ok().flatten().map(|_| sink)
            });
            (entry.flag, entry.pointer) = (None, None);
            // The file says what runs today.
            entry.default = entry.default.filter(|_| entry.sink.is_none());
            match stands || entry.sink.is_some() {
                true => self.put(&name, &entry),
                false => drop(self.knob.remove(&name)),
            }
        }
        for name in &app.beside {
            let entry =
                command.knob.get(name).ok_or_else(|| format!("app.beside: no knob {name}"))?;
            self.knob.insert(name.clone(), entry.clone());
        }
        self.expert.retain(|expert| expert.knobs.keys().all(|name| self.knob.contains_key(name)));
        Ok(())
    }
}

impl AppCommand {
    /// Puts in words that are there while a switch is on.
    fn switch(&mut self, name: &str, flag: &str) {
        let all: Vec<&str> = flag.split_whitespace().collect();
        let is_there = |at: &usize| {
            self.words[*at..].iter().map(String::as_str).take(all.len()).eq(all.iter().copied())
        };
        if let Some(at) = (0..self.words.len()).find(is_there) {
            let placeholder = format!("{{{name}=on:{flag}}}");
            self.words.splice(at..at + all.len(), [placeholder]);
        } else if self.words.iter().any(|word| word.split('=').next() == Some(all[0])) {
            self.is_given(name, all[0]);
        } else {
            self.words.push(format!("{{{name}:{flag}}}"));
        }
    }

    /// Puts in a flag's value, which may be a part of its word: `--size {}x{}`.
    fn value(&mut self, name: &str, flag: &str) {
        let (flag, form) = flag.split_once(' ').unwrap_or((flag, "{}"));
        let with = |value: &str| form.replace("{}", value);
        let begin = format!("{flag}=");
        let joined = self.words.iter().position(|word| word.starts_with(&begin));
        let alone = self.words.iter().position(|word| word == flag).map(|at| at + 1);
        match (joined, alone.filter(|at| *at < self.words.len())) {
            (Some(_), _) | (_, Some(_)) if form != "{}" => self.is_given(name, flag),
            (Some(at), _) => {
                let today = &self.words[at][begin.len()..];
                self.words[at] = format!("{begin}{{{name}={today}}}");
            }
            (None, Some(at)) => self.words[at] = format!("{{{name}={}}}", self.words[at]),
            (None, None) => self.words.extend([flag.to_owned(), with(&format!("{{{name}}}"))]),
        }
    }

    fn is_given(&mut self, name: &str, flag: &str) {
        self.notes.push(format!("{name} is left out: your command gives {flag} itself"));
    }
}

fn is_switch(entry: &KnobEntry) -> bool {
    let mut values = entry.values.iter().flatten().map(Value::kind);
    values.next() == Some(Kind::Switch)
}

/// The word behind a flag, or behind its `=`.
fn after<'w>(words: &'w [String], flag: &str) -> Option<&'w str> {
    let begin = format!("{flag}=");
    let joined = words.iter().find_map(|word| word.strip_prefix(&begin));
    let alone = || words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
    joined.or_else(|| alone().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "schema = 1
name = 'x'
why = ''
[app]
program = 'gen.py'
example = 'python gen.py'
output = '--out'
pictures = '*.mp4'
json = '--config'
[knob.level]
why = ''
flag = '--level'
default = 4
values = [1, 2, 4]
[knob.fast]
why = ''
flag = '--mode fast'
default = false
values = [false, true]
[knob.tile]
why = ''
flag = '--tile {}x{}'
default = 32
values = [32, 64]
[knob.offload]
why = ''
pointer = '/offload'
default = false
values = [false, true]
";

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn fitted(text: &str) -> Result<AppCommand, String> {
        let file = SpaceFile::parse(FILE).unwrap();
        file.app_command(file.app.as_ref().unwrap(), &words(text))
    }

    #[test]
    fn flags_become_placeholders_where_they_stand_or_at_the_end() {
        let of = |text| fitted(text).unwrap().words.join(" ");
        let end = "{fast:--mode fast} --tile {tile}x{tile}";
        assert_eq!(of("python gen.py"), format!("python gen.py --level {{level}} {end}"));
        assert_eq!(of("./gen.py --level 2 x"), format!("./gen.py --level {{level=2}} x {end}"));
        assert_eq!(of("./gen.py --level=2"), format!("./gen.py --level={{level=2}} {end}"));
        let on = of("./gen.py --mode fast --level {level=1}");
        assert_eq!(on, "./gen.py {fast=on:--mode fast} --level {level=1} --tile {tile}x{tile}");
        let own = fitted("gen.py --mode=slow --tile 8x8 --level 1").unwrap();
        assert_eq!(own.words.join(" "), "gen.py --mode=slow --tile 8x8 --level {level=1}");
        assert_eq!(own.notes[0], "fast is left out: your command gives --mode itself");
        assert_eq!(own.notes[2], "pictures are not compared: the command has no --out");
        assert_eq!(own.notes.len(), 3);
        assert!(fitted("python other.py").unwrap_err().ends_with("type python gen.py"));
        assert_eq!(fitted("gen.py --out=a/").unwrap().output.as_deref(), Some("a/*.mp4"));
        assert_eq!(fitted("gen.py --out a[1]").unwrap().output.as_deref(), Some("a[[]1[]]/*.mp4"));
        assert_eq!(fitted("gen.py").unwrap().output, None);
    }

    #[test]
    fn what_a_command_does_not_take_is_no_knob() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.json"), r#"{"offload": true}"#).unwrap();
        let knobs = |words: &[String]| {
            let mut file = SpaceFile::parse(FILE).unwrap();
            let none = SpaceFile::parse("schema = 1\nname = ''\nwhy = ''").unwrap();
            file.settle_app(&none, Reader { words, folder: folder.path() }).unwrap();
            let sinks: Vec<String> = file.sinks().values().map(ToString::to_string).collect();
            let names: Vec<&str> = file.knob.keys().map(String::as_str).collect();
            (names.join(" "), sinks.join(" "))
        };
        let (names, sinks) = knobs(&words("gen.py --level {level} --config c.json"));
        assert_eq!((&*names, &*sinks), ("level offload", "json:c.json#/offload"));
        let switch = ["gen.py", "{fast:--mode fast}", "--config", "none.json"].map(str::to_owned);
        assert_eq!(knobs(&switch).0, "fast");
    }
}
