//! Repair: a journal as this program would have left it, from what another one or a crash left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Reading, checksum, line, sealed};
use crate::io::atomic_write;

impl Reading {
    /// Whether all that it says has a place in a journal of these columns.
    pub(super) fn fits(&self, columns: &[String]) -> bool {
        let knobs = |columns: &[String]| {
            let mut knobs: Vec<String> =
                columns.iter().filter(|name| name.starts_with("knob.")).cloned().collect();
            knobs.sort();
            knobs
        };
        let lost = |(place, name): (usize, &String)| {
            let is_own = name.starts_with("sample.") || name.starts_with("metric.");
            let is_filled =
                |record: &csv::StringRecord| record.get(place).is_some_and(|c| !c.is_empty());
            is_own && !columns.contains(name) && self.records.iter().any(is_filled)
        };
        knobs(&self.columns) == knobs(columns) && !self.columns.iter().enumerate().any(lost)
    }

    /// The file that this program would have written.
    fn file(&self, columns: &[String]) -> Result<Vec<u8>> {
        let places: BTreeMap<&str, usize> =
            self.columns.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let mut file = line(columns)?;
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.sort_by_key(|place| self.lines[*place]);
        for record in order.into_iter().map(|place| &self.records[place]) {
            let cell = |name: &String| match places.get(name.as_str()) {
                Some(&place) if name != checksum::COLUMN => record.get(place).unwrap_or_default(),
                _ => "",
            };
            let cells = columns.iter().map(|name| cell(name).to_owned()).collect();
            file.extend(line(&sealed(columns, cells))?);
        }
        Ok(file)
    }
}

/// Makes the file at `path`, which holds `bytes`, what it should be. More than a torn end is kept
/// in a copy.
///
/// # Errors
/// Something can't be written; the file is as it was then.
pub(super) fn repair(
    path: &Path,
    bytes: &[u8],
    reading: &Reading,
    columns: &[String],
) -> Result<()> {
    let file = reading.file(columns)?;
    if bytes == file {
        return Ok(());
    }
    // What a crash in mid-write leaves says nothing.
    let is_torn = file.len() > bytes.len() && file.starts_with(bytes)
        || bytes.starts_with(&file) && !bytes[file.len()..].contains(&b'\n');
    if !is_torn {
        atomic_write::replace(&copy(path)?, bytes).context("keeping a copy of it")?;
    }
    atomic_write::replace(path, &file)
}

/// A name that is free for the copy: `trials.old.csv`, `trials.old-2.csv`, …
fn copy(path: &Path) -> Result<PathBuf> {
    for number in 1..1000 {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let copy = path.with_extension(format!("old{suffix}.csv"));
        if copy.symlink_metadata().is_err() {
            return Ok(copy);
        }
    }
    bail!("a thousand copies of {} are there already", path.display())
}
