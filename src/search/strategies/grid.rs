//! Grid: every candidate in turn, from a start that the seed decides.

use super::Strategy;
use crate::search::history::History;
use crate::space::{Candidate, Space};

/// Raw candidates that are counted one by one.
const COUNTED: u128 = 20_000;

/// Goes through a space in the order of its levels.
#[derive(Default)]
pub(super) struct Grid {
    /// How many candidates lie before the first that may be new: those need no second look.
    passed: u128,
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

impl Strategy for Grid {
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        let sampler = history.sampler();
        let length = sampler.len();
        let start = u128::from(history.seed()) % length.max(1);
        let at = |place: u128| sampler.nth((start + place) % length);
        let is_over = |place: &u128| at(*place).is_none_or(|found| history.is_known(&found));
        self.passed += (self.passed..length).take_while(is_over).count() as u128;
        (self.passed..length).filter_map(at).find(|found| history.is_new(found))
    }
}
