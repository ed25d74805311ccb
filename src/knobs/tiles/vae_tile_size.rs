//! `vae_tile_size`: side of the tiles in which the VAE decodes.

use super::side;
use crate::knobs::{Knob, Knobs, Preset, PresetTarget, Value};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = u32;

    fn baseline(fit: PresetTarget) -> u32 {
        match fit.preset {
            Some(Preset::Rtx4080) => 256,
            Some(Preset::Generic) => 192,
            _ => 384,
        }
    }

    fn check_range(&self, knobs: &Knobs, _: usize) -> Result<(), String> {
        side::check_range(knobs, knobs.vae_tile_size)
    }

    fn changes_picture(&self) -> bool {
        true
    }

    fn handed_beside(&self, value: &Value, ratio: i64) -> Option<(&'static str, i64)> {
        Some(("vae_tile_stride", side::stride(value, ratio)?))
    }
}
