//! `conv_backend`: kernels of the VAE's convolutions.

use crate::knobs::effect::{Effect, Mismatch, compare};
use crate::knobs::knob::words;
use crate::knobs::{Knob, Settings};

words! {
    /// Which of libtorch's kernels a VAE's convolutions use. ATen's own choice is a cliff: in fp32 at
    /// batch 1 it depends on the padded size, and is up to twice as slow as the other.
    pub enum ConvBackend {
        /// ATen's choice.
        #[default]
        Auto,
        /// im2col and a matrix product, for 3-D convolutions.
        SlowConv3d,
        /// oneDNN.
        Onednn,
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = ConvBackend;

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let wrong =
            got.numerics.and_then(|got| compare(&asked.numerics.conv_backend, &got.conv_backend));
        wrong.into_iter().collect()
    }
}
