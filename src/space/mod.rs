//! Space: the knobs with their legal values on this machine, with conditions and constraints.
//!
//! A file of `search-spaces/` speaks of any machine (`max = "cores"`); [`Space::resolve`] turns
//! it into levels on one machine. A [`Candidate`] names one level per knob.

mod app;
pub mod arguments;
mod candidate;
mod custom;
mod declare;
mod expert;
mod expression;
mod file;
mod finite;
mod flag;
mod given;
mod range;
mod resolve;
mod today;

use std::collections::{BTreeMap, HashSet};

use crate::knobs::{Value, Values};

pub use app::{AppCommand, AppEntry};
pub use candidate::Candidate;
pub use declare::CommandLine;
pub use expert::ExpertEntry;
pub use expression::Expression;
pub use file::{BUILT_IN, Changes, ConstraintEntry, KnobEntry, Resumed, SpaceFile, Tune, TuneEnd};
pub use flag::KnobFlag;
pub use given::Given;
pub use range::{Range, Scale, Spacing};
pub use resolve::{MOST_LEVELS, SpaceError};

/// A knob of one space: its legal values on this machine, and how they lie to each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnobDomain {
    /// The name, as in the journal's column `knob.NAME`.
    pub name: String,
    /// What it means in the workload, and why it is worth tuning.
    pub why: String,
    /// Legal values; ascending where [`KnobDomain::ordered`].
    pub levels: Vec<Value>,
    /// Whether neighbouring levels are alike (numbers) or mere names (words and switches).
    pub ordered: bool,
    /// By what its numbers are near to each other; `None` for names, and for counts and sizes, of
    /// which it is known by experience.
    pub scale: Option<Scale>,
    /// When the knob does anything; where this is false it rests at the baseline's level.
    pub when: Option<Expression>,
    /// The baseline's level.
    pub baseline: usize,
    /// What its numbers count.
    pub unit: Option<String>,
    /// What it may change of what the job makes, where somebody said so.
    pub changes: Option<Changes>,
    /// Values of the file that this machine can't have, each with the reason.
    pub absent: BTreeMap<String, String>,
}

impl KnobDomain {
    /// The level of a word, or that nearest to a number; `None` for a word that it has not.
    pub fn nearest(&self, value: &Value) -> Option<usize> {
        match value.number() {
            Some(wanted) => self.nearest_number(wanted),
            None => self.levels.iter().position(|level| level == value),
        }
    }

    /// The level nearest to a number, by the knob's scale; `None` for a knob without numbers.
    pub fn nearest_number(&self, wanted: f64) -> Option<usize> {
        let scale = self.scale.unwrap_or_default();
        // What has no logarithm is next to the lowest.
        let place = |number: f64| scale.place(number).max(f64::MIN);
        let gap = |level: &Value| Some((place(level.number()?) - place(wanted)).abs());
        let gaps = self.levels.iter().enumerate().filter_map(|(i, level)| Some((gap(level)?, i)));
        gaps.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, position)| position)
    }
}

/// A relation between knobs that every legal candidate keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// True for legal candidates.
    pub holds: Expression,
    /// Why candidates have to keep it.
    pub why: String,
}

/// The knobs of one search with their legal values.
#[derive(Clone, Debug)]
pub struct Space {
    /// The file's name.
    pub name: String,
    /// What the space is for.
    pub why: String,
    /// The knobs, in the file's order.
    pub knobs: Vec<KnobDomain>,
    /// The relations that every legal candidate keeps.
    pub constraints: Vec<Constraint>,
    /// What the expressions may speak of besides knobs.
    pub given: Given,
    /// For recorded spaces: the only candidates that exist.
    pub listed: Option<HashSet<Candidate>>,
}

impl Space {
    /// The baseline, one level per knob.
    pub fn baseline(&self) -> Candidate {
        Candidate::new(self.knobs.iter().map(|knob| knob.baseline))
    }

    /// The knob called `name`, with its position.
    pub fn knob(&self, name: &str) -> Option<(usize, &KnobDomain)> {
        self.knobs.iter().enumerate().find(|(_, knob)| knob.name == name)
    }

    /// The candidate's value of the knob at `position`.
    pub fn value(&self, candidate: &Candidate, position: usize) -> &Value {
        &self.knobs[position].levels[candidate.level(position)]
    }

    /// The candidate with every knob that does nothing in it put back to the baseline's level.
    pub fn canonical(&self, candidate: &Candidate) -> Candidate {
        let mut canonical = candidate.clone();
        for (position, knob) in self.knobs.iter().enumerate() {
            let Some(when) = &knob.when else { continue };
            if !when.is_true(&self.given, self.all_named(&canonical)) {
                canonical = canonical.with(position, knob.baseline);
            }
        }
        canonical
    }

    /// The same space with some knobs at the baseline's value and no other.
    #[must_use]
    pub fn freeze(&self, names: impl IntoIterator<Item = String>) -> Self {
        let mut space = self.clone();
        let names: HashSet<String> = names.into_iter().collect();
        for knob in space.knobs.iter_mut().filter(|knob| names.contains(&knob.name)) {
            knob.levels = vec![knob.levels[knob.baseline].clone()];
            knob.baseline = 0;
        }
        space
    }

    /// Whether the candidate keeps every constraint and, in a recorded space, exists.
    pub fn is_legal(&self, candidate: &Candidate) -> bool {
        match &self.listed {
            Some(listed) => listed.contains(candidate),
            None => self.broken_constraint(candidate).is_none(),
        }
    }

    /// The first constraint that the candidate breaks.
    pub fn broken_constraint(&self, candidate: &Candidate) -> Option<&Constraint> {
        let broken = |c: &&Constraint| !c.holds.is_true(&self.given, self.all_named(candidate));
        self.constraints.iter().find(broken)
    }

    /// Candidates before conditions and constraints.
    pub fn raw_count(&self) -> u128 {
        let levels = self.knobs.iter().map(|knob| knob.levels.len() as u128);
        levels.fold(1, u128::saturating_mul)
    }

    /// The candidate with these values; `None` where a knob has no such level.
    pub fn candidate(&self, values: &Values) -> Option<Candidate> {
        let level = |knob: &KnobDomain| {
            let value = values.get(&knob.name)?;
            knob.levels.iter().position(|level| level == value)
        };
        self.knobs.iter().map(level).collect::<Option<Vec<_>>>().map(Candidate::new)
    }

    /// The candidate's values by knob name.
    pub fn named<'a>(
        &'a self,
        candidate: &'a Candidate,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> + 'a {
        self.knobs
            .iter()
            .enumerate()
            .map(|(i, knob)| (knob.name.as_str(), self.value(candidate, i)))
    }

    /// The same as a map.
    pub fn values(&self, candidate: &Candidate) -> Values {
        self.named(candidate).map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    /// Every candidate, legal or not, the last knob changing fastest.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        (0..self.raw_count()).map(|mut number| {
            let mut levels = vec![0; self.knobs.len()];
            for (level, knob) in levels.iter_mut().zip(&self.knobs).rev() {
                *level = (number % knob.levels.len() as u128) as usize;
                number /= knob.levels.len() as u128;
            }
            Candidate::new(levels)
        })
    }
}
