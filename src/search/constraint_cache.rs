//! Constraint cache: a space's conditions and constraints, each worked out once for the levels it speaks of.
//!
//! Choosing a proposal looks at a thousand candidates, and an interpreted expression costs
//! microseconds; but each speaks of a few knobs, so its few answers are soon all known.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::space::{Candidate, Expression, Space};

/// Remembers the answers to a space's expressions.
pub(super) struct ConstraintCache<'a> {
    space: &'a Space,
    /// For every knob with a condition, its position.
    conditions: Vec<(usize, Rule<'a>)>,
    constraints: Vec<Rule<'a>>,
}

struct Rule<'a> {
    holds: &'a Expression,
    /// Positions of the knobs that it names.
    knobs: Vec<usize>,
    known: RefCell<HashMap<u64, bool>>,
}

impl<'a> ConstraintCache<'a> {
    pub fn new(space: &'a Space) -> Self {
        let condition = |(position, knob): (usize, &'a crate::space::KnobDomain)| {
            Some((position, Rule::new(space, knob.when.as_ref()?)))
        };
        let conditions = space.knobs.iter().enumerate().filter_map(condition).collect();
        let constraints = space.constraints.iter().map(|c| Rule::new(space, &c.holds)).collect();
        Self { space, conditions, constraints }
    }

    /// As [`Space::canonical`].
    pub fn canonical(&self, candidate: &Candidate) -> Candidate {
        let mut canonical = candidate.clone();
        for (position, rule) in &self.conditions {
            let baseline = self.space.knobs[*position].baseline;
            if canonical.level(*position) != baseline && !rule.holds(self.space, &canonical) {
                canonical = canonical.with(*position, baseline);
            }
        }
        canonical
    }

    /// As [`Space::is_legal`].
    pub fn is_legal(&self, candidate: &Candidate) -> bool {
        match &self.space.listed {
            Some(listed) => listed.contains(candidate),
            None => self.constraints.iter().all(|rule| rule.holds(self.space, candidate)),
        }
    }
}

impl<'a> Rule<'a> {
    fn new(space: &Space, holds: &'a Expression) -> Self {
        let other = |c: char| !(c.is_alphanumeric() || c == '_');
        let words: Vec<&str> = holds.text().split(other).collect();
        let named =
            space.knobs.iter().enumerate().filter(|(_, k)| words.contains(&k.name.as_str()));
        Self {
            holds,
            knobs: named.map(|(position, _)| position).collect(),
            known: RefCell::default(),
        }
    }

    fn holds(&self, space: &Space, candidate: &Candidate) -> bool {
        let of = |key: u64, &position: &usize| {
            let levels = space.knobs[position].levels.len() as u64;
            key.wrapping_mul(levels).wrapping_add(candidate.level(position) as u64)
        };
        let combinations: u128 =
            self.knobs.iter().map(|&position| space.knobs[position].levels.len() as u128).product();
        let work_out = || self.holds.is_true(&space.given, space.all_named(candidate));
        if combinations > MOST_KNOWN {
            return work_out();
        }
        let key = self.knobs.iter().fold(0, of);
        *self.known.borrow_mut().entry(key).or_insert_with(work_out)
    }
}

/// Answers remembered an expression; one with more is worked out each time.
const MOST_KNOWN: u128 = 1 << 18;
