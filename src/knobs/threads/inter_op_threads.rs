//! `inter_op_threads`: libtorch's threads across operators.

use super::count;
use crate::knobs::effect::{Effect, Mismatch, compare_reported};
use crate::knobs::{Knob, Knobs, Migration, Preset, PresetTarget, Settings};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = usize;

    /// The presets for desktops set libtorch's other threads only: these stay at its own default.
    fn baseline(fit: PresetTarget) -> usize {
        match fit.preset {
            Some(Preset::Threadripper5995wx) => (fit.cores / 4).clamp(1, 16),
            _ => fit.cores,
        }
    }

    fn check_range(&self, knobs: &Knobs, most: usize) -> Result<(), String> {
        count::check_range(knobs.inter_op_threads, most)
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        compare_reported(&asked.inter_op_threads, got.inter_op_threads.as_ref())
            .into_iter()
            .collect()
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        count::scale(&mut knobs.inter_op_threads, to)
    }
}
