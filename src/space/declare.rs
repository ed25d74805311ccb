//! Declaring: the knobs that a command line gives, put into a space file and held against the words
//! of the command.

use std::path::Path;

use serde::Deserialize;

use super::today::complete;
use super::{KnobEntry, KnobFlag, SpaceFile};
use crate::knobs::{Value, program_environment};
use crate::workload::custom::sink::{Sink, Sinks, documents};
use crate::workload::custom::template::{self, Placeholder};

/// A command that reads knobs.
#[derive(Clone, Copy, Debug)]
pub struct CommandLine<'a> {
    /// Its words; empty where there is none.
    pub words: &'a [String],
    /// The folder in which it runs.
    pub folder: &'a Path,
}

impl SpaceFile {
    /// Takes in `flags`: knobs of the command's own, and names of knobs that the tool has, beside
    /// which the others are left out, as all are with `no_built_in`. What the command runs today
    /// follows from its words, the variables and the files that it reads; returns the knobs of which
    /// it is only guessed, with what was. Without words [`SpaceFile::guessed`] has their names.
    ///
    /// # Errors
    /// The flag, the knob or the word, what is wrong with it, and the cure.
    pub fn declare(
        &mut self,
        flags: &[KnobFlag],
        no_built_in: bool,
        reader: CommandLine<'_>,
    ) -> Result<Vec<(String, Value)>, String> {
        self.keep_built_in(flags, no_built_in)?;
        for flag in flags {
            let place = |problem| format!("--knob '{}': {problem}", flag.text);
            self.add(flag).map_err(place)?;
        }
        let mut guessed = Vec::new();
        for name in self.own_knobs() {
            let flag = flags.iter().find(|flag| flag.name == name);
            let place = |problem| match flag {
                Some(flag) => format!("--knob '{}': {problem}", flag.text),
                None => format!("knob.{name}: {problem}"),
            };
            let mut entry = self.entry(&name).map_err(place)?;
            let is_given = flag.is_some();
            let guess = complete(&name, &mut entry, (reader, is_given)).map_err(place)?;
            guessed.extend(guess.map(|value| (name.clone(), value)));
            self.put(&name, &entry);
        }
        self.check_words(flags, reader)?;
        if reader.words.is_empty() {
            self.guessed = guessed.drain(..).map(|(name, _)| name).collect();
        }
        Ok(guessed)
    }

    /// Where values go besides the command's words.
    pub fn sinks(&self) -> Sinks {
        let sink = |name: &String| Some((name.clone(), self.entry(name).ok()?.sink?));
        self.knob.keys().filter_map(sink).collect()
    }

    pub(super) fn own_knobs(&self) -> Vec<String> {
        self.knob.keys().filter(|name| !is_built_in(name)).cloned().collect()
    }

    /// What the file says of knob `name`.
    pub(crate) fn entry(&self, name: &str) -> Result<KnobEntry, String> {
        let table = self.knob.get(name).cloned().ok_or("there is no such knob")?;
        KnobEntry::deserialize(table).map_err(|error| error.message().to_owned())
    }

    pub(super) fn put(&mut self, name: &str, entry: &KnobEntry) {
        let table = toml::Value::try_from(entry).expect("an entry is a table");
        self.knob.insert(name.to_owned(), table);
    }

    /// Leaves out what of the tool's own knobs was not asked for.
    fn keep_built_in(&mut self, flags: &[KnobFlag], no_built_in: bool) -> Result<(), String> {
        let named: Vec<&str> = flags
            .iter()
            .filter(|flag| flag.entry.is_none())
            .map(|flag| flag.name.as_str())
            .collect();
        if let Some(name) = named.iter().find(|name| !self.knob.contains_key(**name)) {
            let known: Vec<&str> = self.knob.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let cure = format!("give its values, as in --knob '{name}=0..40', or one of {known}");
            return Err(format!("--knob {name}: there is no such knob here: {cure}"));
        }
        if no_built_in && let Some(name) = named.first() {
            return Err(format!("--no-built-in leaves out {name}, which --knob {name} asks for"));
        }
        let is_kept = |name: &str| named.contains(&name) || (named.is_empty() && !no_built_in);
        self.knob.retain(|name, _| !is_built_in(name) || is_kept(name));
        // Whoever names an expert's knob wants it.
        for name in named {
            self.knob
                .get_mut(name)
                .and_then(toml::Value::as_table_mut)
                .map(|knob| knob.remove("expert"));
        }
        Ok(())
    }

    fn add(&mut self, flag: &KnobFlag) -> Result<(), String> {
        let name = &flag.name;
        match &flag.entry {
            Some(_) if is_built_in(name) => Err(format!(
                "{name} is a knob that the tool has: give its name alone, or call yours otherwise"
            )),
            Some(_) if self.knob.contains_key(name) => {
                Err(format!("{name} is declared twice: leave one of them out"))
            }
            Some(entry) => {
                self.put(name, &KnobEntry { sink: flag.sink.clone(), ..entry.clone() });
                Ok(())
            }
            None => {
                let entry = self.entry(name)?;
                let sink = flag.sink.clone().or(entry.sink.clone());
                self.put(name, &KnobEntry { sink, ..entry });
                Ok(())
            }
        }
    }

    fn check_words(&self, flags: &[KnobFlag], reader: CommandLine<'_>) -> Result<(), String> {
        let own = self.own_knobs();
        let is_known = |name: &str| is_built_in(name) || own.iter().any(|own| own == name);
        let is_own = |name: &str| own.iter().any(|own| own == name);
        if let Some(torn) = template::torn(reader.words, &is_own) {
            return Err(format!(
                "the command has `{torn}`, which is no placeholder: close it, quote it where it has \
                 blanks, and give it a value or words that have no braces"
            ));
        }
        let meant = template::meant(reader.words, &is_own);
        let has_knobs = !own.is_empty() || meant.iter().any(|(_, one)| is_built_in(one.name));
        let stranger = meant.iter().find(|(_, one)| {
            !is_known(one.name) && (has_knobs || one.today.is_some() || one.is_option())
        });
        if let Some((number, Placeholder { whole, name, .. })) = stranger {
            return Err(format!(
                "word {} of the command has `{whole}`, and no knob is called {name}: declare it, as \
                 in --knob '{name}=1..8', or write {{{whole}}} for the text {whole}",
                number + 1
            ));
        }
        let is_used = |flag: &&KnobFlag| meant.iter().any(|(_, one)| one.name == flag.name);
        let own = flags.iter().filter(|flag| flag.entry.is_some() && flag.sink.is_none());
        match own.filter(|_| !reader.words.is_empty()).find(|flag| !is_used(flag)) {
            None => self.check_sinks(reader),
            Some(KnobFlag { text, name, .. }) => Err(format!(
                "--knob '{text}': no word of the command has {{{name}}}: write it where the value \
                 belongs, or name a variable that the program reads, as in env:MY_{}",
                name.to_ascii_uppercase()
            )),
        }
    }

    fn check_sinks(&self, reader: CommandLine<'_>) -> Result<(), String> {
        let sinks = self.sinks();
        let mut places: Vec<&Sink> = sinks.values().collect();
        places.sort_by_key(ToString::to_string);
        if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{}: two knobs have it: give one of them another", twice[0]));
        }
        let is_named = |file: &crate::workload::custom::sink::Document<'_>| {
            reader.words.is_empty() || reader.words.iter().any(|word| file.is_named_by(word))
        };
        match documents(&sinks).iter().find(|file| !is_named(file)) {
            None => Ok(()),
            Some(file) => Err(format!(
                "json:{0}: no word of the command is {0}, so that nobody would read its copy: give \
                 the file as the command names it",
                file.file
            )),
        }
    }
}

fn is_built_in(name: &str) -> bool {
    !program_environment::is_own(name)
}
