//! App: how a program that a space is for takes its knobs, so that a user's own command line becomes
//! one with placeholders.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::declare::CommandLine;
use super::{KnobEntry, SpaceFile};
use crate::knobs::{Kind, Value};
use crate::workload::custom::sink::{self, Sink};
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
    pub output: Option<String>,
    /// What it writes to without that flag.
    pub target: Option<String>,
    /// What the pictures in that folder are called; of a file that the program names otherwise than it was
    /// told, patterns with `{}` for its name and `{stem}` for that without its ending.
    pub pictures: Option<String>,
    /// The flag before the JSON file into which `pointer`s of knobs lead.
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
        let entries = self.knob.keys().map(|name| Ok((name, self.entry(name)?)));
        let mut entries: Vec<(&String, KnobEntry)> = entries.collect::<Result<_, String>>()?;
        // Whether a knob is left out decides of those that depend on it.
        entries.sort_by_key(|(_, entry)| entry.when.is_some());
        let mut left_out = BTreeSet::new();
        for (name, entry) in entries {
            let Some(flag) = &entry.flag else { continue };
            let meant = template::meant(words, &|known| known == name);
            if meant.iter().any(|(_, one)| one.name == name) {
                continue;
            }
            let notes = command.notes.len();
            match entry.unless.as_ref().filter(|flag| place(words, flag).is_some()) {
                Some(other) => command.is_given(name, other),
                _ if entry.when.as_ref().is_some_and(|when| left_out.contains(when)) => {
                    command.notes.push(format!("{name} is left out, too"));
                }
                None if is_switch(&entry) => command.switch(name, flag),
                None => command.value(name, flag)?,
            }
            left_out.extend((command.notes.len() > notes).then(|| name.clone()));
        }
        if let Some(flag) = app.json.as_ref().filter(|flag| after(words, flag).is_none()) {
            let note = format!("what a JSON file says is left out: the command has no {flag}");
            command.notes.push(note);
        }
        command.output = app.written(words);
        if let (Some(flag), None) = (&app.output, &command.output) {
            let flag = spellings(flag).next().unwrap_or_default();
            let note = format!("pictures are not compared: the command has no {flag}");
            command.notes.push(note);
        }
        Ok(command)
    }

    /// Takes in what the program of an app reads: the knobs of the tool beside its own, from `command`,
    /// the places in its JSON file, and of the flags those that stand in the words.
    ///
    /// # Errors
    /// A knob's entry makes no sense.
    pub fn settle_app(&mut self, command: &Self, reader: CommandLine<'_>) -> Result<(), String> {
        let Some(app) = self.app.take() else { return Ok(()) };
        let file = app.json.as_ref().and_then(|flag| after(reader.words, flag));
        if let Some((flag, file)) = app.json.as_ref().zip(file) {
            sink::read(&reader.folder.join(file))
                .map_err(|problem| format!("{flag} {file}: {problem}"))?;
        }
        let own = self.own_knobs();
        for name in &own {
            let mut entry = self.entry(name)?;
            let meant = template::meant(reader.words, &|known| known == name);
            let stands = meant.iter().any(|(_, one)| one.name == *name);
            entry.sink = entry.pointer.as_ref().zip(file).and_then(|(pointer, file)| {
                let sink = Sink::Json { file: file.to_owned(), pointer: pointer.clone() };
                sink.today(reader.folder).ok().flatten().map(|_| sink)
            });
            (entry.flag, entry.unless, entry.pointer) = (None, None, None);
            // The file says what runs today.
            entry.default = entry.default.filter(|_| entry.sink.is_none());
            match stands || entry.sink.is_some() {
                true => self.put(name, &entry),
                false => drop(self.knob.remove(name)),
            }
        }
        for name in &app.beside {
            let entry =
                command.knob.get(name).ok_or_else(|| format!("app.beside: no knob {name}"))?;
            self.knob.insert(name.clone(), entry.clone());
        }
        for name in &own {
            let Some(_) = self.knob.get(name) else { continue };
            if self.entry(name)?.when.is_some_and(|when| names_gone(&self.knob, &own, &when)) {
                self.knob.remove(name);
            }
        }
        self.expert.retain(|expert| expert.knobs.keys().all(|name| self.knob.contains_key(name)));
        self.constraint.retain(|one| !names_gone(&self.knob, &own, &one.holds));
        Ok(())
    }
}

/// Whether an expression speaks of one of `own` that is no longer among the `knobs`.
fn names_gone(knobs: &toml::Table, own: &[String], expression: &str) -> bool {
    let mut words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| own.iter().any(|one| one == word) && !knobs.contains_key(word))
}

impl AppEntry {
    /// The pictures that the command writes, as patterns.
    fn written(&self, words: &[String]) -> Option<String> {
        let target = self.output.as_ref().and_then(|flag| after(words, flag));
        let target = glob::Pattern::escape(target.or(self.target.as_deref())?);
        let Some(pictures) = &self.pictures else { return Some(target) };
        if !pictures.contains("{}") {
            return Some(format!("{}/{pictures}", target.trim_end_matches('/')));
        }
        // The number of a picture, as printf counts.
        let count = Regex::new("%[0-9]*d").expect("a pattern");
        let target = count.replace_all(&target, "*");
        let name = target.rfind('/').map_or(0, |slash| slash + 1);
        let end = target[name..].rfind('.').map_or(target.len(), |dot| name + dot);
        Some(pictures.replace("{}", &target).replace("{stem}", &target[..end]))
    }
}

impl AppCommand {
    /// Puts in words that are there while a switch is on.
    fn switch(&mut self, name: &str, flag: &str) {
        let all = flag.split('|').map(|words| words.split_whitespace().collect::<Vec<_>>());
        let there = all.flat_map(|all| {
            let begins = |at: &usize| {
                self.words[*at..].iter().map(String::as_str).take(all.len()).eq(all.iter().copied())
            };
            (0..self.words.len()).filter(begins).map(|at| (at, all.len())).collect::<Vec<_>>()
        });
        let is_value = |at: usize| {
            self.words.get(at).is_some_and(|word| ["true", "false"].contains(&word.as_str()))
        };
        match there.collect::<Vec<_>>()[..] {
            [(at, length)] if !is_value(at + length) => {
                let words = self.words[at..at + length].join(" ");
                self.words.splice(at..at + length, [format!("{{{name}=on:{words}}}")]);
            }
            _ if place(&self.words, flag).is_some() => self.is_given(name, flag),
            _ => {
                let words = flag.split('|').next().unwrap_or_default();
                self.words.push(format!("{{{name}:{words}}}"));
            }
        }
    }

    /// Puts in a flag's value, which may be a part of its word: `--size {}x{}`.
    ///
    /// # Errors
    /// The flag is there without a value.
    fn value(&mut self, name: &str, flag: &str) -> Result<(), String> {
        let form = flag.split_once(' ').map_or("{}", |(_, form)| form);
        let Some((at, begin)) = place(&self.words, flag) else {
            let flag = spellings(flag).next().unwrap_or_default().to_owned();
            self.words.extend([flag, form.replace("{}", &format!("{{{name}}}"))]);
            return Ok(());
        };
        let word = self.words.get(at).filter(|word| begin > 0 || !word.starts_with("--")).cloned();
        let Some(word) = word else {
            let flag = &self.words[at - 1];
            return Err(format!("{flag} has no value behind it: type one, or leave {flag} out"));
        };
        match today(form, &word[begin..]) {
            Some(today) => {
                let today = form.replace("{}", &format!("{{{name}={today}}}"));
                self.words[at].replace_range(begin.., &today);
            }
            None => self.is_given(name, flag),
        }
        Ok(())
    }

    fn is_given(&mut self, name: &str, flag: &str) {
        let given = spellings(flag).find(|one| place(&self.words, one).is_some()).unwrap_or(flag);
        self.notes.push(format!("{name} is left out: your command gives {given} itself"));
    }
}

/// The spellings of a flag: `-t|--threads`, of a switch the first word of each.
fn spellings(flag: &str) -> impl Iterator<Item = &str> {
    flag.split('|').filter_map(|words| words.split_whitespace().next())
}

/// The word of a flag's value, and where in it that begins.
fn place(words: &[String], flag: &str) -> Option<(usize, usize)> {
    let is_it = |word: &str| spellings(flag).any(|one| one == word);
    words.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some((before, _)) if is_it(before) => Some((at, before.len() + 1)),
        _ => is_it(word).then_some((at + 1, 0)),
    })
}

/// The value that stands in all places of `form`.
fn today<'w>(form: &str, word: &'w str) -> Option<&'w str> {
    let (before, rest) = form.split_once("{}")?;
    let end = rest.find("{}").map_or(rest, |next| &rest[..next]);
    let word = word.strip_prefix(before)?;
    let value = if end.is_empty() { word } else { &word[..word.find(end)?] };
    let is_one = form == "{}" || value.chars().all(|c| c.is_alphanumeric() || c == '.');
    let is_whole = is_one && form[before.len()..].replace("{}", value) == word;
    is_whole.then_some(value).filter(|value| !value.is_empty())
}

fn is_switch(entry: &KnobEntry) -> bool {
    let mut values = entry.values.iter().flatten().map(Value::kind);
    values.next() == Some(Kind::Switch)
}

/// The word behind a flag, or behind its `=`.
fn after<'w>(words: &'w [String], flag: &str) -> Option<&'w str> {
    let (at, begin) = place(words, flag)?;
    words.get(at).map(|word| &word[begin..])
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
output = '-o|--out'
pictures = '*.mp4'
json = '--config'
[knob.level]
why = ''
flag = '--level|-l'
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
unless = '--tiles'
default = 32
values = [32, 64]
when = 'fast'
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
        assert_eq!(of("gen.py -l 2"), format!("gen.py -l {{level=2}} {end}"));
        assert_eq!(
            of("gen.py --tile 8x8 -l 2 --mode fast"),
            "gen.py --tile {tile=8}x{tile=8} -l {level=2} {fast=on:--mode fast}"
        );
        for text in ["gen.py --level", "gen.py --level --mode fast"] {
            assert!(fitted(text).unwrap_err().starts_with("--level has no value behind it"));
        }
        assert!(fitted("python other.py").unwrap_err().ends_with("type python gen.py"));
        assert_eq!(fitted("gen.py --out=a/").unwrap().output.as_deref(), Some("a/*.mp4"));
        assert_eq!(fitted("gen.py -o a[1]").unwrap().output.as_deref(), Some("a[[]1[]]/*.mp4"));
        assert_eq!(fitted("gen.py").unwrap().output, None);
    }

    #[test]
    fn what_a_command_says_in_another_way_is_left_to_it() {
        for (text, words, notes) in [
            (
                "gen.py --mode=slow --tile 8x8 --level 1",
                "gen.py --mode=slow --tile 8x8 --level {level=1}",
                &["fast is left out: your command gives --mode itself", "tile is left out, too"][..],
            ),
            (
                "gen.py --mode fast false -l 1",
                "gen.py --mode fast false -l {level=1}",
                &["fast is left out: your command gives --mode itself", "tile is left out, too"],
            ),
            (
                "gen.py --tile 8x16 -l 1",
                "gen.py --tile 8x16 -l {level=1} {fast:--mode fast}",
                &["tile is left out: your command gives --tile itself"],
            ),
            (
                "gen.py --tiles 3 -l 1 --mode fast --mode fast",
                "gen.py --tiles 3 -l {level=1} --mode fast --mode fast",
                &[
                    "fast is left out: your command gives --mode itself",
                    "tile is left out: your command gives --tiles itself",
                ],
            ),
        ] {
            let own = fitted(text).unwrap();
            assert_eq!(own.words.join(" "), words);
            let [others @ .., file, pictures] = &own.notes[..] else { panic!("{:?}", own.notes) };
            assert_eq!(others, notes);
            assert_eq!(file, "what a JSON file says is left out: the command has no --config");
            assert_eq!(pictures, "pictures are not compared: the command has no -o");
        }
    }

    #[test]
    fn a_file_that_the_program_names_otherwise_is_known_by_its_names() {
        let text = FILE.replace("'*.mp4'", "'{}|{stem}.avi|{stem}_*.png'\ntarget = './out.png'");
        let file = SpaceFile::parse(&text).unwrap();
        let written = |text: &str| {
            let command = file.app_command(file.app.as_ref().unwrap(), &words(text));
            command.unwrap().output.unwrap()
        };
        assert_eq!(written("gen.py"), "./out.png|./out.avi|./out_*.png");
        assert_eq!(written("gen.py -o a.b/c"), "a.b/c|a.b/c.avi|a.b/c_*.png");
        assert_eq!(written("gen.py -o f/%03d.png"), "f/*.png|f/*.avi|f/*_*.png");
    }

    #[test]
    fn what_a_command_does_not_take_is_no_knob() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.json"), r#"{"offload": true}"#).unwrap();
        let settled = |words: &[String]| {
            let mut file = SpaceFile::parse(FILE).unwrap();
            let none = SpaceFile::parse("schema = 1\nname = ''\nwhy = ''").unwrap();
            file.settle_app(&none, CommandLine { words, folder: folder.path() }).map(|()| file)
        };
        let knobs = |words: &[String]| {
            let file = settled(words).unwrap();
            let sinks: Vec<String> = file.sinks().values().map(ToString::to_string).collect();
            let names: Vec<&str> = file.knob.keys().map(String::as_str).collect();
            (names.join(" "), sinks.join(" "))
        };
        let (names, sinks) = knobs(&words("gen.py --level {level} --config c.json"));
        assert_eq!((&*names, &*sinks), ("level offload", "json:c.json#/offload"));
        assert_eq!(knobs(&["gen.py", "{fast:--mode fast}"].map(str::to_owned)).0, "fast");
        let missing = settled(&words("gen.py --config none.json")).unwrap_err();
        assert!(missing.starts_with("--config none.json: "), "{missing}");
    }
}
