//! Reading: the rows of a journal that hold, and what is known of those that don't.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use csv::StringRecord;

use super::row::{Row, trial};
use super::{IDENTITY, RESOURCES, RESULT, checksum, header, loss};
use crate::knobs::Values;
use crate::trial::Trial;

/// What a journal says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The trials of the rows that hold, by number.
    pub trials: Vec<Trial>,
    /// What could not be used or is missing: the line or the number, and why.
    pub notes: Vec<String>,
    /// Whether its rows have checksums.
    pub is_checked: bool,
    /// Rows after the last one that holds: trials that were made, of which nothing is known.
    pub lost_at_end: u64,
    /// The header.
    pub(crate) columns: Vec<String>,
    /// The cells of each trial.
    pub(crate) records: Vec<StringRecord>,
    /// The line of each trial: of those that ran side by side the later may have ended first.
    pub(super) lines: Vec<usize>,
}

struct Line {
    number: usize,
    row: Result<(StringRecord, Trial), String>,
}

impl Reading {
    /// Reads every row that holds. Each stands on a line of its own, so that a damaged one takes
    /// no other along.
    ///
    /// # Errors
    /// The file is no journal: its header is missing or lacks a column, or no row in it holds.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        Self::named(bytes, &Values::new())
    }

    /// Reads a file under the names in its first line.
    ///
    /// # Errors
    /// As [`Reading::of`].
    pub(super) fn named(bytes: &[u8], baseline: &Values) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = lines(bytes);
        let Some((_, header, is_whole)) = lines.next() else { return Ok(Self::default()) };
        if !is_whole {
            let notes = vec!["line 1: cut off within the header".to_owned()];
            return Ok(Self { notes, ..Self::default() });
        }
        Self::rows(&columns(header)?, lines, baseline)
    }

    /// Reads a file whose first line is damaged, under the names of `columns`.
    ///
    /// # Errors
    /// As [`Reading::of`].
    pub(super) fn under(bytes: &[u8], columns: &[String], baseline: &Values) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let places = places(columns);
        // Where the header's line is gone as a whole, a row is the first.
        let is_row = |line| row(line, true, &places, baseline).is_ok();
        let begins_with_row = lines(bytes).next().is_some_and(|(_, line, _)| is_row(line));
        let lines = lines(bytes).skip(usize::from(!begins_with_row));
        let mut reading = Self::rows(columns, lines, baseline)?;
        reading.notes.insert(0, header::DAMAGED.to_owned());
        Ok(reading)
    }

    /// Reads the lines below the header.
    fn rows<'a>(
        columns: &[String],
        lines: impl Iterator<Item = (usize, &'a [u8], bool)>,
        baseline: &Values,
    ) -> Result<Self> {
        let places = places(columns);
        let read = |(number, line, is_whole)| {
            let row = row(line, is_whole, &places, baseline);
            Line { number, row }
        };
        let lines: Vec<Line> = lines.map(read).collect();
        let is_checked = places.contains_key(checksum::COLUMN);
        let reading = Self { is_checked, columns: columns.to_owned(), ..Self::default() };
        reading.with(lines)
    }

    /// Sorts the lines into trials and notes.
    fn with(mut self, lines: Vec<Line>) -> Result<Self> {
        let (mut held, made) = (Held::default(), lines.len());
        for Line { number, row } in lines {
            match row {
                Ok((record, trial)) => {
                    self.lost_at_end = 0;
                    self.notes.extend(held.add(number, record, trial));
                }
                Err(why) => {
                    self.lost_at_end += u64::from(why != CUT_OFF);
                    self.notes.push(format!("line {number}: {why}; passed over"));
                }
            }
        }
        let rows = held.rows.into_iter().filter(|(number, _)| !held.ambiguous.contains(number));
        for (_, HeldRow { line, record, trial }) in rows {
            self.lines.push(line);
            self.records.push(record);
            self.trials.push(trial);
        }
        if self.trials.is_empty() && made > 0 && self.lost_at_end > 0 {
            bail!("none of its rows can be used: {}", self.notes[0]);
        }
        loss::note(&mut self);
        let more = self.notes.len().saturating_sub(MOST_NOTES);
        if more > 0 {
            self.notes.truncate(MOST_NOTES);
            self.notes.push(format!("and {more} more rows like these"));
        }
        Ok(self)
    }

    /// Whether there is nothing in it but a header.
    pub(super) fn is_empty(&self) -> bool {
        self.trials.is_empty() && self.lost_at_end == 0
    }

    /// The number for the next trial: above that of every row, damaged ones included.
    pub fn next_number(&self) -> u64 {
        let last = self.trials.last().map_or(0, |trial| trial.number);
        last.saturating_add(self.lost_at_end).saturating_add(1)
    }
}

/// The rows that hold, by the number of their trial.
#[derive(Default)]
struct Held {
    rows: BTreeMap<u64, HeldRow>,
    /// Numbers that two different rows have.
    ambiguous: BTreeSet<u64>,
}

struct HeldRow {
    line: usize,
    record: StringRecord,
    trial: Trial,
}

impl Held {
    /// Takes the row on `line`; says so where another one has its number.
    fn add(&mut self, line: usize, record: StringRecord, trial: Trial) -> Option<String> {
        let number = trial.number;
        let Some(earlier) = self.rows.get(&number) else {
            self.rows.insert(number, HeldRow { line, record, trial });
            return None;
        };
        let before = earlier.line;
        if earlier.trial == trial {
            let again = "counted once";
            return Some(format!(
                "line {line}: trial {number} again, as on line {before}; {again}"
            ));
        }
        self.ambiguous.insert(number);
        Some(format!(
            "line {line}: trial {number} again, but not as on line {before}; neither counts"
        ))
    }
}

/// The most notes that anybody reads.
const MOST_NOTES: usize = 20;

/// What is said of a last line without its end.
const CUT_OFF: &str = "cut off before its end";

/// The lines that are not empty, from 1, without their ends; and whether each had one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], bool)> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
    let plain = lines.map(|(place, line)| {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        (place + 1, text.strip_suffix(b"\r").unwrap_or(text), text.len() < line.len())
    });
    plain.filter(|(_, line, _)| !line.is_empty())
}

/// Where each column stands; the last of two of one name counts.
fn places(columns: &[String]) -> BTreeMap<&str, usize> {
    columns.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect()
}

/// The cells of one line; `None` where it is not one record.
fn cells(line: &[u8]) -> Option<StringRecord> {
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut records = reader.into_records();
    let record = records.next()?.ok()?;
    records.next().is_none().then_some(record)
}

fn columns(header: &[u8]) -> Result<Vec<String>> {
    let Some(record) = cells(header) else {
        bail!("row 1 (the names of the columns) is damaged: it is not text");
    };
    let columns: Vec<String> = record.iter().map(str::to_owned).collect();
    for &column in IDENTITY.iter().chain(&RESULT).chain(&RESOURCES) {
        let is_there = columns.iter().any(|name| name == column);
        ensure!(
            is_there,
            "row 1 (the names of the columns): the column `{column}` is missing{}{}",
            if header.contains(&0) { ", and NUL bytes are there" } else { "" },
            separated(header)
        );
    }
    Ok(columns)
}

/// What to say of a header whose cells are separated by something else than commas.
pub(crate) fn separated(header: &[u8]) -> String {
    let count = |separator: u8| header.iter().filter(|&&byte| byte == separator).count();
    let other = [(b';', "semicolons"), (b'\t', "tabs")];
    let found = other.into_iter().find(|(byte, _)| count(*byte) > count(b','));
    found.map_or(String::new(), |(_, word)| {
        format!(": its cells are separated by {word}; save it with commas")
    })
}

/// What one line says, or why it says nothing.
fn row(
    line: &[u8],
    is_whole: bool,
    places: &BTreeMap<&str, usize>,
    baseline: &Values,
) -> Result<(StringRecord, Trial), String> {
    let sum = places.get(checksum::COLUMN);
    // Only a checksum tells that nothing but the line's end is missing.
    if !is_whole && sum.is_none() {
        return Err(CUT_OFF.to_owned());
    }
    let cut = |why: String| if is_whole { why } else { CUT_OFF.to_owned() };
    if line.contains(&0) {
        return Err(cut("NUL bytes".to_owned()));
    }
    let record = cells(line).ok_or_else(|| cut("not a row of text".to_owned()))?;
    let width = places.values().max().map_or(0, |last| last + 1);
    if record.len() != width {
        return Err(cut(format!("{} cells instead of {width}", record.len())));
    }
    if let Some(&place) = sum {
        let named = places.iter().filter_map(|(name, at)| Some((*name, record.get(*at)?)));
        if record[place] != checksum::of(named) {
            return Err(cut("its cells do not match its checksum".to_owned()));
        }
    }
    let trial = trial(&Row { places, cells: &record, baseline })
        .map_err(|error| cut(format!("{error:#}")))?;
    Ok((record, trial))
}
