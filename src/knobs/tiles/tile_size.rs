//! `tile_size`: side of the tiles in which the VAE encodes.

use super::side;
use crate::knobs::{Knob, Knobs, Preset, PresetTarget, Value};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = u32;

    fn baseline(fit: PresetTarget) -> u32 {
        match fit.preset {
            Some(Preset::Generic) => 384,
            _ => 512,
        }
    }

    fn check_range(&self, knobs: &Knobs, _: usize) -> Result<(), String> {
        side::check_range(knobs, knobs.tile_size)
    }

    fn changes_picture(&self) -> bool {
        true
    }

    fn handed_beside(&self, value: &Value, ratio: i64) -> Option<(&'static str, i64)> {
        Some(("tile_stride", side::stride(value, ratio)?))
    }
}
