//! From a space file to a space: bounds worked out, values that the machine lacks left out.

use super::file::{KnobEntry, SCHEMA};
use super::{
    Candidate, Constraint, Expression, Given, KnobDomain, Scale, Space, SpaceFile, finite, range,
};
use crate::knobs::{Kind, Value};

/// Values of a knob at the most: models keep how alike any two of them are.
pub const MOST_LEVELS: usize = 2_000;

/// Constraints of a space at the most, and expert candidates: each is worked out, constraints for
/// every candidate that is looked at.
const MOST_CONSTRAINTS: usize = 200;
const MOST_EXPERTS: usize = 1_000;

/// What is wrong with a space file, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {problem}")]
pub struct SpaceError {
    /// The key, as in `knob.batch_size.range.max`.
    pub place: String,
    /// The problem and its cure.
    pub problem: String,
}

/// Names the place of a problem.
pub(super) fn at<T>(place: &str, result: Result<T, String>) -> Result<T, SpaceError> {
    result.map_err(|problem| SpaceError { place: place.to_owned(), problem })
}

impl SpaceFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// The parser's message with line and column, an unknown version of the format, or a number
    /// that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != SCHEMA {
            return Err(format!(
                "schema: this program reads version {SCHEMA}, the file has {}",
                file.schema
            ));
        }
        finite::check(&toml::from_str(text).map_err(|error| error.to_string())?)?;
        file.check_counts()?;
        Ok(file)
    }

    /// Refuses more of anything than a space or a job can have.
    fn check_counts(&self) -> Result<(), String> {
        let lists = [
            ("constraint", self.constraint.len(), MOST_CONSTRAINTS),
            ("expert", self.expert.len(), MOST_EXPERTS),
        ];
        if let Some((key, count, most)) = lists.into_iter().find(|(_, count, most)| count > most) {
            return Err(format!("{key}: {count} of them, give {most} at the most"));
        }
        let full = self.tune.as_ref().and_then(|tune| tune.full.as_ref());
        let jobs = [("workload", self.workload.as_ref()), ("tune.full", full)];
        jobs.into_iter().try_for_each(|(key, job)| {
            let checked = job.map_or(Ok(()), |job| job.sizes.check_largest());
            checked.map_err(|problem| format!("{key}.{problem}"))
        })
    }

    /// TOML that [`SpaceFile::parse`] reads back as the same file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("plain tables are TOML")
    }
}

impl Space {
    /// Works the file out for the machine and the baseline that `given` describes.
    ///
    /// # Errors
    /// The key and what is wrong with it: an unknown knob, an expression that does not parse or
    /// has no value, a bound below another, no value left, a baseline that breaks a constraint.
    pub fn resolve(file: &SpaceFile, given: Given, experts: bool) -> Result<Self, SpaceError> {
        let mut knobs = Vec::new();
        for name in file.knob.keys() {
            let place = format!("knob.{name}");
            let entry = at(&place, file.entry(name))?;
            if !entry.expert || experts {
                knobs.push(knob(name, &entry, &given, &place)?);
            }
        }
        let mut space = Self {
            name: file.name.clone(),
            why: file.why.clone(),
            knobs,
            constraints: Vec::new(),
            given,
            listed: None,
        };
        space.constraints = space.read_constraints(file)?;
        space.try_conditions()?;
        Ok(space)
    }

    /// The space of a results folder, worked out when it was written.
    ///
    /// # Errors
    /// As [`Space::resolve`].
    pub fn reopen(file: &SpaceFile) -> Result<Self, SpaceError> {
        let given = Given { facts: file.given.clone(), baseline: file.baseline.clone() };
        Self::resolve(file, given, true)
    }

    /// The file that [`Space::reopen`] reads back as this space.
    pub fn to_file(&self) -> SpaceFile {
        let entry = |knob: &KnobDomain| KnobEntry {
            why: knob.why.clone(),
            values: Some(knob.levels.clone()),
            scale: knob.scale,
            unit: knob.unit.clone(),
            changes: knob.changes,
            when: knob.when.as_ref().map(|when| when.text().to_owned()),
            absent: knob.absent.clone(),
            ..KnobEntry::default()
        };
        let table = |knob| toml::Value::try_from(entry(knob)).expect("an entry is a table");
        let constraint = |c: &Constraint| super::ConstraintEntry {
            holds: c.holds.text().to_owned(),
            why: c.why.clone(),
        };
        SpaceFile {
            schema: SCHEMA,
            name: self.name.clone(),
            why: self.why.clone(),
            given: self.given.facts.clone(),
            baseline: self.given.baseline.clone(),
            knob: self.knobs.iter().map(|knob| (knob.name.clone(), table(knob))).collect(),
            constraint: self.constraints.iter().map(constraint).collect(),
            ..SpaceFile::default()
        }
    }

    /// Works every condition out for the baseline: one that has no value anywhere would never hold.
    fn try_conditions(&self) -> Result<(), SpaceError> {
        let baseline = self.baseline();
        self.knobs.iter().try_for_each(|knob| {
            let tried =
                knob.when.as_ref().map(|when| when.truth(&self.given, self.all_named(&baseline)));
            at(&format!("knob.{}.when", knob.name), tried.transpose()).map(drop)
        })
    }

    fn read_constraints(&self, file: &SpaceFile) -> Result<Vec<Constraint>, SpaceError> {
        let baseline = self.baseline();
        let mut constraints = Vec::new();
        for (number, entry) in file.constraint.iter().enumerate() {
            let place = format!("constraint[{number}].holds");
            let holds = at(&place, Expression::new(&entry.holds))?;
            if !at(&place, holds.truth(&self.given, self.all_named(&baseline)))? {
                let problem =
                    format!("the baseline itself breaks `{}`: {}", entry.holds, entry.why);
                return Err(SpaceError { place, problem });
            }
            constraints.push(Constraint { holds, why: entry.why.clone() });
        }
        Ok(constraints)
    }
}

fn knob(
    name: &str,
    entry: &KnobEntry,
    given: &Given,
    place: &str,
) -> Result<KnobDomain, SpaceError> {
    let Some(usual) = given.baseline.get(name) else {
        let known: Vec<&str> = given.baseline.keys().map(String::as_str).collect();
        let known = known.join(", ");
        let cure = "one of a command's own takes its `default`, and the command after `--`";
        return at(place, Err(format!("no such knob; there are {known}; {cure}")));
    };
    let kind = usual.kind();
    let ordered = matches!(kind, Kind::Integer | Kind::Float);
    if entry.scale.is_some() && !ordered {
        return at(&format!("{place}.scale"), Err("only numbers have one".to_owned()));
    }
    let mut levels = levels(entry, kind, given, place)?;
    if !levels.contains(usual) {
        levels.push(usual.clone());
    }
    let off = levels.iter().find(|level| level.number().is_some_and(|number| number <= 0.0));
    if let (Some(Scale::Log), Some(off)) = (entry.scale, off) {
        let problem = format!("`{off}` is none of its values: log takes more than 0");
        return at(&format!("{place}.scale"), Err(problem));
    }
    if ordered {
        levels.sort();
    }
    let mut seen = std::collections::HashSet::new();
    levels.retain(|level| seen.insert(level.clone()));
    let baseline = levels.iter().position(|level| level == usual).unwrap_or(0);
    let when = entry.when.as_deref().map(Expression::new).transpose();
    let when = at(&format!("{place}.when"), when)?;
    Ok(KnobDomain {
        name: name.to_owned(),
        why: entry.why.clone(),
        levels,
        ordered,
        scale: entry.scale.or((kind == Kind::Float).then(Scale::default)),
        when,
        baseline,
        unit: entry.unit.clone(),
        changes: entry.changes,
        absent: entry.absent.clone(),
    })
}

fn levels(
    entry: &KnobEntry,
    kind: Kind,
    given: &Given,
    place: &str,
) -> Result<Vec<Value>, SpaceError> {
    let scale = entry.scale.unwrap_or_default();
    let levels = match (&entry.values, &entry.range) {
        (Some(values), None) => at(place, listed(values, kind))?,
        (None, Some(range)) if matches!(kind, Kind::Integer | Kind::Float) => {
            range::levels(range, kind, scale, given, &format!("{place}.range"))?
        }
        (None, Some(_)) => {
            let problem = format!("`range` does not fit: each value is {kind}");
            return at(place, Err(problem));
        }
        _ => return at(place, Err("give either `values` or `range`".to_owned())),
    };
    let mut kept = Vec::new();
    for level in levels {
        let Some(condition) = entry.only_if.get(&level.to_string()) else {
            kept.push(level);
            continue;
        };
        let place = format!("{place}.only_if.{level}");
        let condition = at(&place, Expression::new(condition))?;
        if at(&place, condition.truth(given, std::iter::empty()))? {
            kept.push(level);
        }
    }
    if kept.is_empty() {
        return at(place, Err("no value is left on this machine".to_owned()));
    }
    if kept.len() > MOST_LEVELS {
        let problem = format!(
            "{} values: {MOST_LEVELS} at the most, as with `spacing = \"geometric\"` of a range",
            kept.len()
        );
        return at(place, Err(problem));
    }
    Ok(kept)
}

/// The values of a list, as those of a knob of `kind`.
fn listed(values: &[Value], kind: Kind) -> Result<Vec<Value>, String> {
    let fit = |value: &Value| {
        kind.fit(value).map_err(|_| format!("`{value}` does not fit: each of its values is {kind}"))
    };
    values.iter().map(fit).collect()
}

impl Space {
    /// Every knob that the tool has: the candidate's value, or the baseline's for a knob that
    /// this space does not tune.
    pub fn all_named<'a>(
        &'a self,
        candidate: &'a Candidate,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> + 'a {
        let fixed = self.given.baseline.iter().filter(|(name, _)| self.knob(name).is_none());
        fixed.map(|(name, value)| (name.as_str(), value)).chain(self.named(candidate))
    }
}
