//! Sampler: legal candidates by chance, beside a given one, or in turn, without listing a space.

use rand::Rng;

use super::constraint_cache::ConstraintCache;
use crate::space::{Candidate, Space};

/// Draws this many at random before looking for the last few in turn.
const RANDOM_TRIES: usize = 2_000;
/// Candidates looked at in turn at most, where each has to be resolved on the machine to be told
/// from others: a second or two of the budget.
const MOST_IN_TURN: u128 = 20_000;

/// Draws canonical, legal candidates of a space.
pub(super) struct Sampler<'a> {
    space: &'a Space,
    rules: ConstraintCache<'a>,
    /// The candidates of a recorded space, in order.
    listed: Option<Vec<&'a Candidate>>,
}

impl<'a> Sampler<'a> {
    pub fn new(space: &'a Space) -> Self {
        let listed = space.listed.as_ref().map(|listed| {
            let mut listed: Vec<&Candidate> = listed.iter().collect();
            listed.sort_unstable();
            listed
        });
        Self { space, rules: ConstraintCache::new(space), listed }
    }

    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Candidates before conditions and constraints.
    pub fn len(&self) -> u128 {
        self.listed.as_ref().map_or_else(|| self.space.raw_count(), |listed| listed.len() as u128)
    }

    /// The canonical form of the candidate with this number, if it is legal.
    pub fn nth(&self, number: u128) -> Option<Candidate> {
        if let Some(listed) = &self.listed {
            return Some(listed[number as usize].clone());
        }
        let mut rest = number;
        let candidate = Candidate::new(self.space.knobs.iter().map(|knob| {
            let level = rest % knob.levels.len() as u128;
            rest /= knob.levels.len() as u128;
            level as usize
        }));
        self.legal(&candidate)
    }

    /// The canonical form of `candidate`, if it is legal.
    pub fn legal(&self, candidate: &Candidate) -> Option<Candidate> {
        let canonical = self.rules.canonical(candidate);
        self.rules.is_legal(&canonical).then_some(canonical)
    }

    /// A legal candidate by chance; `None` where chance finds none.
    pub fn any(&self, rng: &mut impl Rng) -> Option<Candidate> {
        (0..RANDOM_TRIES).find_map(|_| self.nth(rng.random_range(0..self.len())))
    }

    /// A legal candidate that `wanted` accepts: by chance, else in turn from a random start.
    /// `None` means that there is none, as far as [`MOST_IN_TURN`] candidates can tell.
    pub fn wanted(
        &self,
        rng: &mut impl Rng,
        wanted: impl Fn(&Candidate) -> bool,
    ) -> Option<Candidate> {
        let length = self.len();
        let tries = RANDOM_TRIES.min(length as usize);
        let by_chance = (0..tries)
            .find_map(|_| self.nth(rng.random_range(0..length)).filter(|found| wanted(found)));
        let start = rng.random_range(0..length.max(1));
        let most = if self.listed.is_some() { length } else { length.min(MOST_IN_TURN) };
        by_chance.or_else(|| {
            (0..most)
                .find_map(|step| self.nth((start + step) % length).filter(|found| wanted(found)))
        })
    }

    /// Legal candidates that differ from `candidate` in one knob: by one level where the knob
    /// is ordered (`reach` levels at most), by any where it is not.
    pub fn neighbours(&self, candidate: &Candidate, reach: usize) -> Vec<Candidate> {
        let mut found = Vec::new();
        for (position, knob) in self.space.knobs.iter().enumerate() {
            let level = candidate.level(position);
            for other in 0..knob.levels.len() {
                let near = !knob.ordered || level.abs_diff(other) <= reach;
                if other != level && near {
                    found.extend(self.legal(&candidate.with(position, other)));
                }
            }
        }
        found.retain(|neighbour| neighbour != candidate);
        found
    }
}
