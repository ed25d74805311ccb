//! Winner: the user's own command with the values that a tune ships in its words, its variables and
//! its files.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::tables::usage::{command_line, quoted};
use crate::knobs::Values;
use crate::profile::build::profile;
use crate::results::{Folder, Results};
use crate::runner::command::copies;
use crate::workload::custom::sink::{Sink, documents};
use crate::workload::custom::{CommandJob, CustomJob};

/// A command that reads knobs, and what it is to read.
#[derive(Clone, Debug)]
pub struct Winner {
    command: CommandJob,
    values: Values,
}

/// What comes after `exec --profile FILE` to run the user's own command or worker with what a tune
/// ships; `None` of another job.
pub fn after_exec(results: &Results, folder: &Path) -> Option<String> {
    if let Some(winner) = Winner::of(results) {
        return Some(winner.after_exec(folder));
    }
    let words = match results.tune.custom_job.as_ref()? {
        CustomJob::Command(command) => &command.words,
        CustomJob::Worker(worker) => &worker.words,
        CustomJob::Module(_) => return None,
    };
    let words: Vec<String> = words.iter().map(quoted).collect();
    Some(format!("-- {}", words.join(" ")))
}

impl Winner {
    /// What a tune ships for the user's own command; `None` where that is run as it is.
    pub fn of(results: &Results) -> Option<Self> {
        let Some(CustomJob::Command(command)) = &results.tune.custom_job else { return None };
        let command = &command.whole();
        let values = profile(results).ok()?.values();
        let line = command_line(command, &values, &command.words).ok()?;
        let typed: Vec<String> = command.words.iter().map(quoted).collect();
        let reads = !command.sinks.is_empty() || line != typed.join(" ");
        reads.then(|| Self { command: command.clone(), values })
    }

    /// The folder of the patched files of a results folder.
    fn files(folder: &Path) -> PathBuf {
        folder.join("json")
    }

    /// The command's words, with the patched files of the results folder at `folder`.
    fn words(&self, folder: &Path) -> Vec<String> {
        let places = copies::places(&self.command, &Self::files(folder));
        let mut words = self.command.words.clone();
        for (document, place) in documents(&self.command.sinks).iter().zip(places) {
            for word in words.iter_mut().filter(|word| document.is_named_by(word)) {
                *word = document.renamed(word, &place.display().to_string());
            }
        }
        words
    }

    /// The line that runs it as it stands, without the launch.
    pub fn line(&self, folder: &Path) -> Option<String> {
        command_line(&self.command, &self.values, &self.words(folder)).ok()
    }

    /// Its words after `exec --profile FILE`, with the flags that belong to them.
    fn after_exec(&self, folder: &Path) -> String {
        let is_variable = |(_, sink): &(&String, &Sink)| matches!(sink, Sink::Env(_));
        let flags = self.command.sinks.iter().filter(is_variable);
        let mut words: Vec<String> = flags
            .flat_map(|(knob, sink)| ["--knob".to_owned(), quoted(format!("{knob} {sink}"))])
            .collect();
        words.push("--".to_owned());
        words.extend(self.words(folder).iter().map(quoted));
        words.join(" ")
    }

    /// Writes the patched files into the results folder.
    ///
    /// # Errors
    /// A file that can't be read or written.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let written = copies::write(&self.command, &self.values, &Self::files(&folder.now()));
        written.map(drop).map_err(anyhow::Error::msg)
    }
}
