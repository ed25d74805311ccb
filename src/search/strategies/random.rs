//! Random: legal candidates drawn evenly, none twice. What every other strategy must beat.

use super::Strategy;
use crate::search::history::History;
use crate::space::Candidate;

pub(super) struct Random;

impl Strategy for Random {
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        history.sampler().wanted(&mut history.rng(), |found| history.is_new(found))
    }
}
