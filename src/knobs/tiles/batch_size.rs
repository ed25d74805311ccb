//! `batch_size`: clips that go through the models together.

use crate::knobs::{Knob, Knobs, Preset, PresetTarget};

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = u32;

    fn baseline(fit: PresetTarget) -> u32 {
        match fit.preset {
            Some(Preset::Threadripper5995wx) if fit.vram_gib >= 16 => 4,
            Some(Preset::Threadripper5995wx | Preset::Rtx4080) => 2,
            Some(Preset::Generic) | None => 1,
        }
    }

    fn check_range(&self, knobs: &Knobs, _: usize) -> Result<(), String> {
        let fits = (1..=1024).contains(&knobs.batch_size);
        if fits { Ok(()) } else { Err("it takes 1 to 1024 clips".to_owned()) }
    }
}
