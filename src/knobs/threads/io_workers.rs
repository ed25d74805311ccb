//! `io_workers`: threads that read files and write frames.

use super::{count, preprocess_workers};
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::{Knob, Knobs, Migration, PresetTarget, Settings};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = usize;

    fn baseline(fit: PresetTarget) -> usize {
        (preprocess_workers::Definition::baseline(fit) / 2).clamp(1, 4)
    }

    fn check_range(&self, knobs: &Knobs, most: usize) -> Result<(), String> {
        count::check_range(knobs.io_workers, most)
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        count::mismatch(got, "io", asked.workers.io)
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        count::scale(&mut knobs.io_workers, to)
    }
}
