//! Grid: every candidate in turn, from a start that the seed decides.

use crate::search::objective::Objective;
use crate::search::propose::{Proposal, Propose};
use crate::search::sampler::Sampler;
use crate::space::{Candidate, Space};

/// Raw candidates that are counted one by one.
const COUNTED: u128 = 20_000;

/// Goes through a space in the order of its levels.
pub(in crate::search) struct Grid {
    /// How many candidates were passed: what lies before needs no second look.
    passed: u128,
}

impl Grid {
    pub fn new() -> Self {
        Self { passed: 0 }
    }
}

/// Says why a grid over `space` makes no sense with `budget` trials, where it does not: it
/// would look at one corner and never at the rest.
///
/// # Errors
/// The sizes, and what to do instead.
pub fn fits(space: &Space, budget: usize) -> Result<(), String> {
    let size = space.listed.as_ref().map_or_else(|| legal_count(space), |l| l.len() as u128);
    if size <= budget as u128 {
        return Ok(());
    }
    Err(format!(
        "a grid over `{}` has up to {size} candidates and the budget is about {budget} trials: \
         give more time, a smaller space, or another strategy",
        space.name
    ))
}

/// Legal candidates, counted one by one where a space is small; else those before constraints.
fn legal_count(space: &Space) -> u128 {
    if space.raw_count() > COUNTED {
        return space.raw_count();
    }
    let legal = |c: &Candidate| space.canonical(c) == *c && space.is_legal(c);
    space.candidates().filter(legal).count() as u128
}

impl Propose for Grid {
    const NAME: &'static str = "grid";

    fn propose(&mut self, objective: &Objective<'_>, draw: &Sampler<'_>, count: usize) -> Proposal {
        let length = draw.len();
        let start = u128::from(objective.seed()) % length.max(1);
        let mut batch = Vec::new();
        while self.passed < length && batch.len() < count {
            let found = draw.nth((start + self.passed) % length);
            self.passed += 1;
            batch.extend(found.filter(|found| objective.is_new(found) && !batch.contains(found)));
        }
        Proposal::New(batch)
    }
}
