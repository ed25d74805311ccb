//! Journal: what happened to a fleet, one row per event, written by its coordinator alone.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

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
    /// What happened: `submitted`, `running`, `done`, `failed`, …
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
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path).with_context(place)?;
        let bytes = file.metadata().with_context(place)?.len();
        let mut journal = Self(file);
        if bytes == 0 {
            journal.row(&COLUMNS.map(str::to_owned))?;
        } else if !journal.ends_with_a_row(bytes).with_context(place)? {
            journal.0.write_all(b"\n").with_context(place)?;
        }
        Ok(journal)
    }

    /// Whether its last row is whole; a host that goes down in the middle of one leaves the rest out.
    fn ends_with_a_row(&self, bytes: u64) -> std::io::Result<bool> {
        let mut last = [0];
        self.0.read_exact_at(&mut last, bytes - 1)?;
        Ok(last == *b"\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_cut_off_takes_no_other_along() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        let note = |event| {
            let mut journal = Journal::open(&folder).unwrap();
            journal.note(&Event { event, ..Event::default() }).unwrap();
            std::fs::read_to_string(folder.journal()).unwrap()
        };
        let first = note("one");
        std::fs::write(folder.journal(), &first[..first.len() - 4]).unwrap();
        let rows = note("two");
        let events: Vec<&str> = rows.lines().map(|row| row.split(',').nth(3).unwrap()).collect();
        assert_eq!(events, ["event", "one", "two"], "{rows}");
    }
}
