//! `precision`: numbers of weights and activations.

use crate::knobs::effect::{Effect, Mismatch, compare};
use crate::knobs::knob::words;
use crate::knobs::{Knob, Knobs, Migration, Settings};

words! {
    /// Which numbers the models hold and compute in. What the reference keeps in float32 (norms,
    /// modulation, timesteps) stays so in all of them.
    #[derive(clap::ValueEnum)]
    pub enum Precision {
        /// float32 everywhere.
        #[default]
        Fp32,
        /// bfloat16 in transformer and text encoder, float32 in the VAE: as Wan's pipeline has it.
        Bf16,
        /// bfloat16 in the VAE too.
        Bf16Vae,
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = Precision;

    fn changes_picture(&self) -> bool {
        true
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let wrong = got.numerics.and_then(|got| compare(&asked.numerics.precision, &got.precision));
        wrong.into_iter().collect()
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        if to.here.machine.cpu.multiplies_bf16() {
            return None;
        }
        knobs.precision = Precision::Fp32;
        let reason = "this processor has no instructions for bfloat16, which is far slower without";
        Some(reason.to_owned())
    }
}
