//! `fleet.toml`: what a fleet was asked for, which a later call has to agree with.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Folder;
use crate::io::{atomic_write, input, shell};
use crate::runner::nodes::agents::NODE;
use crate::space::arguments;

/// The format's version.
const SCHEMA: u32 = 1;

/// More is no list of flags.
const LARGEST_BYTES: u64 = 4 << 20;

/// What a fleet was asked for. Later versions may say more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The format's version: 1.
    pub schema: u32,
    /// Name and version of the program.
    pub tool: String,
    /// When it was asked, ISO 8601.
    pub started: String,
    /// Where the paths among the words start.
    pub work_folder: PathBuf,
    /// Wall seconds of each tune.
    pub budget_s: f64,
    /// The flags of each tune, and its command; as [`arguments::written`] has them.
    pub tune: Vec<String>,
    /// The fleet's own flags as the last call had them, each with its value in one word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// A flag of the fleet's own in which a call differs from those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The flag.
    pub flag: String,
    /// Its value in the folder.
    pub then: Option<String>,
    /// Its value in the call.
    pub now: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: &Option<String>| match value {
            Some(value) => shell::text(&[format!("{}={value}", self.flag)]),
            None => format!("no {}", self.flag),
        };
        write!(f, "it says {}, the call {}", word(&self.then), word(&self.now))
    }
}

/// What begins the flag that names the engine.
const ENGINE: &str = "--engine=";

impl Request {
    /// A request of now.
    pub fn new(work_folder: PathBuf, budget_s: f64, words: &[OsString]) -> Self {
        Self {
            schema: SCHEMA,
            tool: crate::TOOL.to_owned(),
            started: jiff::Timestamp::now().to_string(),
            work_folder,
            budget_s,
            tune: words.iter().map(|word| arguments::written(word)).collect(),
            flags: Vec::new(),
        }
    }

    /// The same with the fleet's own flags, and the word for its engine.
    pub fn with(self, flags: &[OsString], engine: &str) -> Self {
        let flags = flags.iter().map(|word| arguments::written(word));
        let others = flags.filter(|flag| !flag.starts_with(ENGINE));
        Self { flags: [format!("{ENGINE}{engine}")].into_iter().chain(others).collect(), ..self }
    }

    /// The word for the engine of the last call; `None` where an older version kept none.
    pub fn engine(&self) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(ENGINE))
    }

    /// The request that a folder holds; `None` where there is none yet.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.request();
        if !path.exists() {
            return Ok(None);
        }
        let place = || path.display().to_string();
        let text = input::text(&path, LARGEST_BYTES).with_context(place)?;
        let read = toml::from_str(&text).with_context(|| {
            let cure = "put it back as it was, or take a new folder";
            format!(
                "{}: it is damaged: {cure}; `wan22-tune compare` reads {}",
                place(),
                folder.path().join("nodes").display()
            )
        });
        Ok(Some(read?))
    }

    /// Writes it. The command of an engine may hold a password, so that its owner alone reads it.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let is_command = self.engine().is_some_and(|engine| engine.contains(NODE));
        let write = if is_command { atomic_write::replace_private } else { atomic_write::replace };
        write(&folder.request(), toml::to_string(self)?.as_bytes())
    }

    /// The fleet's own flags in which another call differs, in the order of their names.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let name = |flag: &String| flag.split('=').next().unwrap_or_default().to_owned();
        let names: BTreeSet<String> = self.flags.iter().chain(&now.flags).map(name).collect();
        let value = |flags: &[String], name: &str| {
            let mut values = flags.iter().filter_map(|flag| flag.split_once('='));
            values.find(|(one, _)| *one == name).map(|(_, value)| value.to_owned())
        };
        let change = |flag: String| Change {
            then: value(&self.flags, &flag),
            now: value(&now.flags, &flag),
            flag,
        };
        names.into_iter().map(change).filter(|change| change.then != change.now).collect()
    }

    /// The words of each tune, without its budget.
    pub fn words(&self) -> Result<Vec<OsString>> {
        read(&self.tune).context("fleet.toml: tune")
    }

    /// The fleet's own flags.
    pub fn flags(&self) -> Result<Vec<OsString>> {
        read(&self.flags).context("fleet.toml: flags")
    }

    /// Refuses to go on with another request than this one.
    ///
    /// # Errors
    /// What differs.
    pub fn agree(&self, now: &Self) -> Result<()> {
        let budget = (self.budget_s - now.budget_s).abs() > 1e-6;
        if self.tool != now.tool {
            bail!(
                "fleet.toml: begun by {}, and this is {}: take a new folder",
                self.tool,
                now.tool
            );
        }
        if budget || self.tune != now.tune || self.work_folder != now.work_folder {
            bail!(
                "fleet.toml: begun in {} as `--budget {}s {}`: with other flags tunes could not be \
                 compared: type the same, or only the folder, or take a new one",
                self.work_folder.display(),
                self.budget_s,
                self.tune.join(" ")
            );
        }
        Ok(())
    }
}

fn read(words: &[String]) -> Result<Vec<OsString>> {
    let words = words.iter().map(|word| arguments::read(word)).collect::<Result<_, _>>();
    words.map_err(anyhow::Error::msg)
}
