//! Recorded: a space whose candidates were all measured, read from a table or a journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use strum::VariantArray;

use crate::io::input;
use crate::knobs::Value;
use crate::search::FAILED;
use crate::space::{Candidate, Given, Knob, MOST_LEVELS, Space};
use crate::trial::journal::{LARGEST_BYTES, Reading, separated};
use crate::trial::{Outcome, Phase};
use crate::workload::custom::metric::Direction;

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

/// What a file says, before its cells are levels.
struct Sheet {
    /// Name, whether its levels are ordered, and place in the row.
    knobs: Vec<(String, bool, usize)>,
    /// Rows that measured something.
    rows: Vec<Row>,
}

struct Row {
    /// From 1, the header left out.
    number: usize,
    cells: StringRecord,
    /// `None` where it failed.
    cost: Option<f64>,
    /// What the cost is the median of.
    samples: Vec<f64>,
}

impl Recorded {
    /// Reads a table (`knob:kind,…,value`; kind `ord` or `cat`; a failed candidate's value is
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
        let mut knobs = Vec::new();
        let mut levels = Vec::new();
        for (name, ordered, place) in &sheet.knobs {
            let odd = sheet.rows.iter().find(|row| *ordered && !is_number(&row.cells[*place]));
            if let Some(Row { number, cells, .. }) = odd {
                let cell = &cells[*place];
                let remedy = format!("name the column `{name}:cat` if it holds words");
                bail!("row {number}: knob {name}: `{cell}` is no number: {remedy}");
            }
            let texts = distinct(sheet.rows.iter().map(|row| &row.cells[*place]), *ordered);
            let count = texts.len();
            ensure!(count <= MOST_LEVELS, "knob {name}: {count} values, {MOST_LEVELS} at the most");
            knobs.push(knob(name, *ordered, &texts));
            let level = texts.into_iter().enumerate().map(|(level, text)| (text, level));
            levels.push(level.collect::<HashMap<String, usize>>());
        }
        let mut costs: HashMap<Candidate, Vec<f64>> = HashMap::new();
        let mut samples: HashMap<Candidate, Vec<Vec<f64>>> = HashMap::new();
        for row in &sheet.rows {
            let level =
                |(knob, levels): (&(_, _, usize), &HashMap<_, _>)| levels[&row.cells[knob.2]];
            let candidate = Candidate::new(sheet.knobs.iter().zip(&levels).map(level));
            if row.cost.is_some() && row.samples.len() > 1 {
                samples.entry(candidate.clone()).or_default().push(row.samples.clone());
            }
            costs.entry(candidate).or_default().extend(row.cost);
        }
        ensure!(costs.values().any(|costs| !costs.is_empty()), "no trial in it succeeded");
        let listed: HashSet<Candidate> = costs.keys().cloned().collect();
        let (name, why) = (name.to_owned(), "recorded".to_owned());
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

fn table(header: &StringRecord, rows: Vec<StringRecord>) -> Result<Sheet> {
    let last = header.len() - 1;
    ensure!(
        &header[last] == "value",
        "the last column of a table is `value`, not `{}`",
        &header[last]
    );
    let mut knobs = Vec::new();
    for (place, cell) in header.iter().enumerate().take(last) {
        let kind = cell.rsplit_once(':').filter(|(_, kind)| ["ord", "cat"].contains(kind));
        let (name, kind) =
            kind.with_context(|| format!("column `{cell}`: end it in :ord or :cat"))?;
        knobs.push((name.to_owned(), kind == "ord", place));
    }
    let mut kept = Vec::new();
    for (number, cells) in rows.into_iter().enumerate() {
        let (number, text) = (number + 1, &cells[last]);
        let refusal = || format!("row {number}: value `{text}` is no number, inf or nan");
        let value = if text.is_empty() { f64::NAN } else { text.parse().with_context(refusal)? };
        let cost = Some(value).filter(|cost| cost.abs() < FAILED);
        kept.push(Row { number, cost, cells, samples: Vec::new() });
    }
    Ok(Sheet { knobs, rows: kept })
}

/// The columns of `trials.csv` that a replay needs: `knob.*`, `phase`, `outcome`, `score_s`, and
/// the metric and its direction where one was scored.
fn journal(header: &StringRecord, rows: Vec<StringRecord>) -> Result<Sheet> {
    let column = |name: &str| {
        let place = header.iter().position(|cell| cell == name);
        place.with_context(|| format!("a journal has a column `{name}`"))
    };
    let (phase, outcome, score) = (column("phase")?, column("outcome")?, column("score_s")?);
    let place = |name: &str| header.iter().position(|cell| cell == name);
    let metric = place("metric").zip(place("goal"));
    let cost = |row: &StringRecord| match metric {
        Some((metric, goal)) if !row[metric].is_empty() => {
            let goal =
                row[goal].parse::<Direction>().with_context(|| format!("goal `{}`", &row[goal]));
            Ok(goal?.cost(row[metric].parse()?))
        }
        _ => Ok::<f64, anyhow::Error>(row[score].parse()?),
    };
    let samples: Vec<usize> = header.iter().enumerate().filter_map(sample_column).collect();
    let mut kept = Vec::new();
    for (number, row) in (1..).zip(rows) {
        let place = || format!("row {number}");
        let phase: Phase = one_of(&row[phase], "phase").with_context(place)?;
        let how: Outcome = one_of(&row[outcome], "outcome").with_context(place)?;
        let says_nothing = matches!(how, Outcome::Interrupted | Outcome::Illegal);
        if phase != Phase::Calibration && !says_nothing {
            let scored = || cost(&row).with_context(|| format!("row {number}: its score"));
            let cost = (how == Outcome::Ok).then(scored).transpose()?;
            let cost = cost.filter(|cost| cost.abs() < FAILED);
            let own = metric.is_none_or(|(metric, _)| row[metric].is_empty());
            let cells = samples.iter().filter(|_| own).filter_map(|&at| row[at].parse().ok());
            let samples = cells.filter(|sample: &f64| sample.is_finite()).collect();
            kept.push(Row { number, cost, samples, cells: row });
        }
    }
    let named = header.iter().enumerate().filter_map(|(place, cell)| {
        let name = cell.strip_prefix("knob.")?;
        let ordered = kept.iter().all(|row| is_number(&row.cells[place]));
        Some((name.to_owned(), ordered, place))
    });
    Ok(Sheet { knobs: named.collect(), rows: kept })
}

/// The place of a repetition's column, `sample.N_s`.
fn sample_column((place, cell): (usize, &str)) -> Option<usize> {
    cell.starts_with("sample.").then_some(place)
}

/// What a cell of a journal says, of the words for it.
fn one_of<T>(cell: &str, what: &str) -> Result<T>
where
    T: FromStr + VariantArray + Copy + Into<&'static str>,
{
    let words = || T::VARIANTS.iter().map(|&word| word.into()).collect::<Vec<&str>>().join(", ");
    cell.parse().ok().with_context(|| format!("{what} `{cell}`: none of {}", words()))
}

fn is_number(text: &str) -> bool {
    text.parse().is_ok_and(f64::is_finite)
}

/// The different texts of a column, in the order of their levels.
fn distinct<'a>(cells: impl Iterator<Item = &'a str>, ordered: bool) -> Vec<String> {
    let different: HashSet<&str> = cells.collect();
    let mut texts: Vec<String> = different.into_iter().map(str::to_owned).collect();
    texts.sort();
    if ordered {
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        texts.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    texts
}

fn knob(name: &str, ordered: bool, texts: &[String]) -> Knob {
    let whole: Option<Vec<i64>> = texts.iter().map(|text| text.parse().ok()).collect();
    let levels = match whole.filter(|_| ordered) {
        Some(numbers) => numbers.into_iter().map(Value::Number).collect(),
        None => texts.iter().cloned().map(Value::Word).collect(),
    };
    Knob {
        name: name.to_owned(),
        why: String::new(),
        levels,
        ordered,
        scale: None,
        when: None,
        baseline: 0,
        absent: BTreeMap::new(),
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
            ("a:ord,b,value\n1,2,3\n", "column `b`: end it in :ord or :cat"),
            ("a:ord,value\n1,2\nx,3\n", "row 2: knob a: `x` is no number: name the column `a:cat`"),
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
