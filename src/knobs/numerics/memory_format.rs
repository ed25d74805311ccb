//! `memory_format`: order of the VAE's tensors in memory.

use crate::knobs::effect::{Effect, Mismatch, compare};
use crate::knobs::knob::words;
use crate::knobs::{Knob, Settings};

words! {
    /// Where the channels of the VAE's tensors lie in memory.
    pub enum MemoryFormat {
        /// A plane a channel (`torch.contiguous_format`).
        #[default]
        Contiguous,
        /// All channels of a pixel side by side (`torch.channels_last_3d`).
        ChannelsLast,
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = MemoryFormat;

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let wrong =
            got.numerics.and_then(|got| compare(&asked.numerics.memory_format, &got.memory_format));
        wrong.into_iter().collect()
    }
}
