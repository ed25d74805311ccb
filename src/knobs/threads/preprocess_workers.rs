//! `preprocess_workers`: threads that decode, resize and normalise pictures.

use super::count;
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::{Knob, Knobs, Migration, PresetTarget, Settings};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = usize;

    /// The WAN22 optimizer splits its workers so under every preset, and so are the other two.
    fn baseline(fit: PresetTarget) -> usize {
        (fit.cores / 8).clamp(2, 8)
    }

    fn check_range(&self, knobs: &Knobs, most: usize) -> Result<(), String> {
        count::check_range(knobs.preprocess_workers, most)
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        count::mismatch(got, "preprocess", asked.workers.preprocess)
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        count::scale(&mut knobs.preprocess_workers, to)
    }
}
