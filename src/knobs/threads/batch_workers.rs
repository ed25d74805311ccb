//! `batch_workers`: threads that pack batches.

use super::{count, preprocess_workers};
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::{Knob, Knobs, Migration, PresetTarget, Settings};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = usize;

    fn baseline(fit: PresetTarget) -> usize {
        (preprocess_workers::Definition::baseline(fit) / 4).clamp(1, 2)
    }

    fn check_range(&self, knobs: &Knobs, most: usize) -> Result<(), String> {
        count::check_range(knobs.batch_workers, most)
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        count::mismatch(got, "batch", asked.workers.batch)
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        count::scale(&mut knobs.batch_workers, to)
    }
}
