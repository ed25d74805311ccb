//! Journal: what happened to a fleet, one row per event, written by its coordinator alone.

use std::fs::{File, OpenOptions};
use std::io::Write;

use anyhow::{Context, Result};

use super::Folder;
use crate::io::printable;

/// The columns.
const COLUMNS: [&str; 7] = ["time", "node", "class", "event", "job", "state", "detail"];

/// An event.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    /// The node, where it is one's.
    pub node: &'a str,
    /// The class, where it is one's.
    pub class: &'a str,
    /// What happened: `submitted`, `runs`, `done`, `failed`, …
    pub event: &'a str,
    /// The engine's number of the job.
    pub job: &'a str,
    /// The engine's word for its state.
    pub state: &'a str,
    /// What else there is to say.
    pub detail: &'a str,
}

/// The journal of a fleet.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Opens it, and begins it where there is none.
    pub fn open(folder: &Folder) -> Result<Self> {
        let path = folder.journal();
        let place = || path.display().to_string();
        let file = OpenOptions::new().create(true).append(true).open(&path).with_context(place)?;
        let is_new = file.metadata().with_context(place)?.len() == 0;
        let mut journal = Self(file);
        if is_new {
            journal.row(&COLUMNS.map(str::to_owned))?;
        }
        Ok(journal)
    }

    /// Appends an event.
    pub fn note(&mut self, event: &Event<'_>) -> Result<()> {
        let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let Event { node, class, event, job, state, detail } = *event;
        self.row(&[&now, node, class, event, job, state, detail].map(printable::cell))
    }

    fn row(&mut self, cells: &[String; 7]) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(cells)?;
        let row = writer.into_inner().context("fleet.csv")?;
        self.0.write_all(&row).context("fleet.csv")?;
        self.0.sync_data().context("fleet.csv")
    }
}
