//! Parsed record: the rows of a table or a journal, before their cells are levels.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use strum::VariantArray;

use crate::knobs::{Kind, Value};
use crate::search::FAILED;
use crate::space::{KnobDomain, MOST_LEVELS, Scale};
use crate::trial::{Outcome, Phase};
use crate::workload::metric::Direction;

/// What a file says, before its cells are levels.
pub(super) struct ParsedRecord {
    /// Its knobs.
    pub knobs: Vec<KnobColumn>,
    /// Rows that measured something.
    pub rows: Vec<Row>,
}

/// Where the values of a knob stand.
pub(super) struct KnobColumn {
    name: String,
    kind: ColumnKind,
    /// The cell of a row.
    place: usize,
}

/// How the levels of a knob lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
enum ColumnKind {
    /// They are names.
    #[strum(serialize = "cat")]
    Names,
    /// They are numbers, one step from each to the next.
    #[strum(serialize = "ord")]
    Steps,
    /// They are numbers on a linear scale.
    #[strum(serialize = "lin")]
    Linear,
    /// They are numbers on a logarithmic scale.
    #[strum(serialize = "log")]
    Log,
}

impl ColumnKind {
    /// The scale of its numbers, where it says one.
    fn scale(self) -> Option<Scale> {
        match self {
            Self::Names | Self::Steps => None,
            Self::Linear => Some(Scale::Linear),
            Self::Log => Some(Scale::Log),
        }
    }
}

pub(super) struct Row {
    /// From 1, the header left out.
    pub number: usize,
    pub cells: StringRecord,
    /// `None` where it failed.
    pub cost: Option<f64>,
    /// What the cost is the median of.
    pub samples: Vec<f64>,
}

/// A knob of a record, and the level of each of its cells.
pub(super) struct Levels {
    pub knob: KnobDomain,
    /// The level of each row.
    pub of_rows: Vec<usize>,
}

impl ParsedRecord {
    /// The levels of a column.
    ///
    /// # Errors
    /// A cell that is no number in a column of numbers; too many values.
    pub fn levels(&self, column: &KnobColumn) -> Result<Levels> {
        let KnobColumn { name, kind, place } = column;
        let ordered = *kind != ColumnKind::Names;
        let odd = |row: &&Row| ordered && !is_number(&row.cells[*place], *kind);
        if let Some(Row { number, cells, .. }) = self.rows.iter().find(odd) {
            let cell = &cells[*place];
            if *kind == ColumnKind::Log && is_number(cell, ColumnKind::Steps) {
                bail!("row {number}: knob {name}: `{cell}`: a logarithm takes more than 0");
            }
            let remedy = format!("name the column `{name}:cat` if it holds words");
            bail!("row {number}: knob {name}: `{cell}` is no number: {remedy}");
        }
        let values = self.values(*place, ordered);
        let levels: Vec<Value> =
            values.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let count = levels.len();
        ensure!(count <= MOST_LEVELS, "knob {name}: {count} values, {MOST_LEVELS} at the most");
        let by_value: HashMap<&Value, usize> =
            levels.iter().enumerate().map(|(level, value)| (value, level)).collect();
        let of_rows = values.iter().map(|value| by_value[value]).collect();
        let (name, scale) = (name.clone(), kind.scale());
        let knob = KnobDomain { name, levels, ordered, scale, ..KnobDomain::default() };
        Ok(Levels { knob, of_rows })
    }

    /// The values of a column, all of one kind.
    fn values(&self, place: usize, ordered: bool) -> Vec<Value> {
        let kinds = if ordered { &[Kind::Integer, Kind::Float][..] } else { &[Kind::Switch] };
        let read =
            |kind: &Kind| self.rows.iter().map(|row| kind.read(&row.cells[place]).ok()).collect();
        let words = || self.rows.iter().map(|row| Value::Word(row.cells[place].to_owned()));
        kinds.iter().find_map(read).unwrap_or_else(|| words().collect())
    }
}

/// The rows of a table.
pub(super) fn table(header: &StringRecord, rows: Vec<StringRecord>) -> Result<ParsedRecord> {
    let last = header.len() - 1;
    ensure!(
        &header[last] == "value",
        "the last column of a table is `value`, not `{}`",
        &header[last]
    );
    let mut knobs = Vec::new();
    for (place, cell) in header.iter().enumerate().take(last) {
        let kind = cell.rsplit_once(':').and_then(|(name, kind)| Some((name, kind.parse().ok()?)));
        let (name, kind) =
            kind.with_context(|| format!("column `{cell}`: end it in :ord, :lin, :log or :cat"))?;
        knobs.push(KnobColumn { name: name.to_owned(), kind, place });
    }
    let mut kept = Vec::new();
    for (number, cells) in rows.into_iter().enumerate() {
        let (number, text) = (number + 1, &cells[last]);
        let refusal = || format!("row {number}: value `{text}` is no number, inf or nan");
        let value = if text.is_empty() { f64::NAN } else { text.parse().with_context(refusal)? };
        let cost = Some(value).filter(|cost| cost.abs() < FAILED);
        kept.push(Row { number, cost, cells, samples: Vec::new() });
    }
    Ok(ParsedRecord { knobs, rows: kept })
}

/// The columns of `trials.csv` that a replay needs: `knob.*`, `phase`, `outcome`, `score_s`, and
/// the metric and its direction where one was scored.
pub(super) fn journal(header: &StringRecord, rows: Vec<StringRecord>) -> Result<ParsedRecord> {
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
        let ordered = kept.iter().all(|row| is_number(&row.cells[place], ColumnKind::Steps));
        let kind = if ordered { ColumnKind::Steps } else { ColumnKind::Names };
        Some(KnobColumn { name: name.to_owned(), kind, place })
    });
    Ok(ParsedRecord { knobs: named.collect(), rows: kept })
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

/// Whether a cell is a number that a column of this kind can hold.
fn is_number(text: &str, kind: ColumnKind) -> bool {
    let lies = |number: f64| number.is_finite() && (kind != ColumnKind::Log || number > 0.0);
    text.parse().is_ok_and(lies)
}
