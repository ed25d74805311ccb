//! Replay: recorded measurements answer instead of a machine.

pub mod regret;
mod sheet;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use csv::StringRecord;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use self::sheet::{Levels, Sheet, journal, table};
use crate::io::input;
use crate::search::{Measure, Observation, Stop, normal};
use crate::space::{Candidate, Given, Space};
use crate::stats;
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
        Self::from_sheet(name, &journal(&header, read.records)?)
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
        let sheet = if is_journal { journal(&header, rows)? } else { table(&header, rows)? };
        Self::from_sheet(name, &sheet)
    }

    fn from_sheet(name: &str, sheet: &Sheet) -> Result<Self> {
        let levels = sheet.knobs.iter().map(|column| sheet.levels(column));
        let levels = levels.collect::<Result<Vec<Levels>>>()?;
        let mut costs: HashMap<Candidate, Vec<f64>> = HashMap::new();
        let mut samples: HashMap<Candidate, Vec<Vec<f64>>> = HashMap::new();
        for (place, row) in sheet.rows.iter().enumerate() {
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

    /// Every candidate's mean cost, the cheapest first; failures last, as infinity.
    pub fn ranked(&self) -> Vec<f64> {
        let mut costs: Vec<f64> =
            self.costs.keys().map(|c| self.cost(c).unwrap_or(f64::INFINITY)).collect();
        costs.sort_by(f64::total_cmp);
        costs
    }
}

/// Answers from a record until a number of measurements is spent.
#[derive(Debug)]
pub struct Replay<'a> {
    recorded: &'a Recorded,
    left: usize,
    noise: f64,
    rng: Xoshiro256PlusPlus,
}

impl<'a> Replay<'a> {
    /// Allows `budget` measurements. Where a candidate was recorded with its repetitions, each
    /// measurement is the median of as many, drawn from those of one of its trials; where it was
    /// recorded more than once without, one of its records; where it was recorded once, that record
    /// times a log-normal factor of standard deviation `noise` (0.05 for 5%).
    pub fn new(recorded: &'a Recorded, budget: usize, noise: f64, seed: u64) -> Self {
        Self { recorded, left: budget, noise, rng: Xoshiro256PlusPlus::seed_from_u64(!seed) }
    }
}

impl Measure for Replay<'_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        candidate.hash(&mut hasher);
        self.recorded.costs.contains_key(candidate).then(|| hasher.finish())
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        self.left = self.left.checked_sub(1).ok_or(Stop::Budget)?;
        let records = self.recorded.costs.get(candidate).map_or(&[][..], Vec::as_slice);
        let trials = self.recorded.samples.get(candidate).map_or(&[][..], Vec::as_slice);
        if !trials.is_empty() {
            let samples = &trials[self.rng.random_range(0..trials.len())];
            let drawn = samples.iter().map(|_| samples[self.rng.random_range(0..samples.len())]);
            let cost = stats::median(&drawn.collect::<Vec<_>>());
            return Ok(Observation::new(candidate.clone(), cost.into()));
        }
        let cost = match records {
            [] => None,
            [only] => Some(only * (self.noise * normal(&mut self.rng)).exp()),
            several => Some(several[self.rng.random_range(0..several.len())]),
        };
        Ok(Observation::new(candidate.clone(), cost.into()))
    }

    fn left(&self) -> Option<usize> {
        Some(self.left)
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

    #[test]
    fn a_journals_noise_is_replayed() {
        let text = "phase,outcome,score_s,sample.1_s,sample.2_s,sample.3_s,knob.a\n\
                    search,ok,2,1,2,3,1\nsearch,ok,5,5,5,5,2\nsearch,crashed,,,,,3\n";
        let recorded = Recorded::parse("made", text).unwrap();
        let mut replay = Replay::new(&recorded, 400, 0.0, 1);
        let mut draw = |level| replay.measure(&Candidate::new([level])).unwrap().cost();
        let drawn: Vec<f64> = (0..300).filter_map(|_| draw(0)).collect();
        // Of three draws the median is 2 in 13 of 27 cases, 1 and 3 in 7 each.
        let twos = drawn.iter().filter(|cost| **cost == 2.0).count();
        assert!((110..180).contains(&twos), "{twos}");
        assert_eq!(drawn.iter().filter(|cost| [1.0, 3.0].contains(*cost)).count(), 300 - twos);
        assert_eq!((draw(1), draw(2)), (Some(5.0), None));
        assert_eq!(recorded.cost(&Candidate::new([0])), Some(2.0));
    }
}
