//! Recorded: a space whose candidates were all measured, read from a table or a journal.

mod parsed_record;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use csv::StringRecord;

use self::parsed_record::{Levels, ParsedRecord, journal, table};
use crate::io::input;
use crate::space::{Candidate, Given, Space};
use crate::trial::journal::{LARGEST_BYTES, Reading, separated};

/// A space of which every candidate was measured.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The knobs, and the candidates that exist.
    pub space: Space,
    /// Each candidate's recorded costs; empty where every trial of it failed.
    pub costs: HashMap<Candidate, Vec<f64>>,
    /// What of a journal could not be used, and why.
    pub lost: Vec<String>,
    /// The repetitions of each of its trials, where the record has them.
    samples: HashMap<Candidate, Vec<Vec<f64>>>,
}

impl Recorded {
    /// Reads a table (`knob:kind,…,value`; kind `ord`, `lin` or `log` for numbers whose levels,
    /// differences or ratios say how near they are, `cat` for names; a failed candidate's value is
    /// `inf`, `nan`, empty or beyond 1e100) or a journal (`trials.csv`).
    ///
    /// # Errors
    /// The file, the line and what is wrong there, or that nothing in the file succeeded.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("reading {}", path.display());
        let bytes = input::bytes(path, LARGEST_BYTES).with_context(place)?;
        let mut named = path.with_extension("");
        if named.ends_with("trials") && named.parent().is_some_and(|folder| folder != "") {
            named.pop();
        }
        let name = named.file_name().unwrap_or_default().to_string_lossy();
        // A journal that lacks columns is a table of one's own making.
        if let Ok(journal) = Reading::of(&bytes)
            && journal.columns.iter().any(|column| column.starts_with("knob."))
        {
            let lost = journal.notes.clone();
            return Ok(Self { lost, ..Self::of(&name, journal).with_context(place)? });
        }
        let text = String::from_utf8(bytes).context("not a text in UTF-8").with_context(place)?;
        Self::parse(&name, &text).with_context(place)
    }

    fn of(name: &str, read: Reading) -> Result<Self> {
        let header = StringRecord::from(read.columns);
        Self::from_parsed(name, &journal(&header, read.records)?)
    }

    /// Reads the text of a table or a journal, for a space called `name`.
    ///
    /// # Errors
    /// As [`Recorded::read`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.flexible(true).trim(csv::Trim::All);
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = reader.from_reader(text.as_bytes());
        let header = reader.headers()?.clone();
        let first = text.lines().next().unwrap_or_default().as_bytes();
        let other = separated(first);
        ensure!(other.is_empty(), "neither a table nor a journal{other}");
        let mut rows = reader.records().collect::<Result<Vec<_>, _>>()?;
        let is_cut = rows.last().is_some_and(|last| last.len() < header.len());
        if is_cut && !text.ends_with('\n') {
            rows.pop(); // the torn end of a file that was being written
        }
        let odd = rows.iter().position(|row| row.len() != header.len());
        ensure!(odd.is_none(), "row {}: not {} cells", odd.unwrap_or(0) + 1, header.len());
        ensure!(header.len() > 1, "neither a table nor a journal: it has no knobs");
        let is_journal = header.iter().any(|cell| cell.starts_with("knob."));
        let parsed = if is_journal { journal(&header, rows)? } else { table(&header, rows)? };
        Self::from_parsed(name, &parsed)
    }

    fn from_parsed(name: &str, parsed: &ParsedRecord) -> Result<Self> {
        let levels = parsed.knobs.iter().map(|column| parsed.levels(column));
        let levels = levels.collect::<Result<Vec<Levels>>>()?;
        let mut costs: HashMap<Candidate, Vec<f64>> = HashMap::new();
        let mut samples: HashMap<Candidate, Vec<Vec<f64>>> = HashMap::new();
        for (place, row) in parsed.rows.iter().enumerate() {
            let candidate = Candidate::new(levels.iter().map(|levels| levels.of_rows[place]));
            if row.cost.is_some() && row.samples.len() > 1 {
                samples.entry(candidate.clone()).or_default().push(row.samples.clone());
            }
            costs.entry(candidate).or_default().extend(row.cost);
        }
        ensure!(costs.values().any(|costs| !costs.is_empty()), "no trial in it succeeded");
        let listed: HashSet<Candidate> = costs.keys().cloned().collect();
        let (name, why) = (name.to_owned(), "recorded".to_owned());
        let knobs = levels.into_iter().map(|levels| levels.knob).collect();
        let (constraints, given) = (Vec::new(), Given::default());
        let space = Space { name, why, knobs, constraints, given, listed: Some(listed) };
        Ok(Self { space, costs, lost: Vec::new(), samples })
    }

    /// The candidate's mean recorded cost; `None` where it failed or does not exist.
    pub fn cost(&self, candidate: &Candidate) -> Option<f64> {
        let costs = self.costs.get(candidate).filter(|costs| !costs.is_empty())?;
        Some(costs.iter().sum::<f64>() / costs.len() as f64)
    }

    /// The repetitions of each trial of the candidate, where the record has them.
    pub fn samples(&self, candidate: &Candidate) -> &[Vec<f64>] {
        self.samples.get(candidate).map_or(&[], Vec::as_slice)
    }

    /// The candidates that succeeded, in the order of their levels.
    pub fn succeeded(&self) -> Vec<&Candidate> {
        let measured = self.costs.iter().filter(|(_, costs)| !costs.is_empty());
        let mut succeeded: Vec<&Candidate> = measured.map(|(candidate, _)| candidate).collect();
        succeeded.sort_unstable();
        succeeded
    }

    /// Every candidate's mean cost, the cheapest first; failures last, as infinity.
    pub fn ranked(&self) -> Vec<f64> {
        let mut costs: Vec<f64> =
            self.costs.keys().map(|c| self.cost(c).unwrap_or(f64::INFINITY)).collect();
        costs.sort_by(f64::total_cmp);
        costs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "no knobs"),
            ("value\n3\n", "no knobs"),
            ("a:ord,b,value\n1,2,3\n", "column `b`: end it in :ord, :lin, :log or :cat"),
            ("a:ord,value\n1,2\nx,3\n", "row 2: knob a: `x` is no number: name the column `a:cat`"),
            ("a:log,value\n1,2\n0,3\n", "row 2: knob a: `0`: a logarithm takes more than 0"),
            ("a:ord,value\n1,2\n2,1,3", "row 2: not 2 cells"),
            ("a:ord,value\n1,2\n2\n", "row 2: not 2 cells"),
            ("a:ord,value\n1,inf\n", "no trial in it succeeded"),
            ("a:ord,value\n1,2\n2,abc\n", "row 2: value `abc` is no number"),
            ("a:ord,value\n1,2,3\n1,2\n", "row 1: not 2 cells"),
            ("phase,outcome,score_s,knob.a\nsearch,ok,,1\n", "row 1: its score"),
            (
                "phase,outcome,score_s,knob.a\nlunch,ok,3,1\n",
                "row 1: phase `lunch`: none of calibration, ",
            ),
            ("phase,outcome,score_s,knob.a\nsearch,error,,1\n", "outcome `error`: none of ok, "),
            ("phase,outcome,score_s,knob.a\nsearch,ok,nan,1\n", "no trial in it succeeded"),
        ] {
            let error = format!("{:#}", Recorded::parse("made", text).unwrap_err());
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
