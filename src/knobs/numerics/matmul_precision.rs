//! `matmul_precision`: how exactly float32 matrices are multiplied.

use crate::knobs::effect::{Effect, Mismatch, compare_reported};
use crate::knobs::knob::words;
use crate::knobs::{Knob, Settings};

words! {
    /// How exactly libtorch multiplies float32 matrices (`torch.set_float32_matmul_precision`).
    pub enum MatmulPrecision {
        /// float32 throughout, by MKL on a CPU.
        #[default]
        Highest,
        /// TF32 where the hardware has it; no effect on a CPU.
        High,
        /// bfloat16 products where the hardware has them; on a CPU the product moves to oneDNN.
        Medium,
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = MatmulPrecision;

    fn changes_picture(&self) -> bool {
        true
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        // A worker reports no numerics where libtorch has a level of products that is none of these.
        let got = got.numerics.map(|numerics| numerics.matmul_precision);
        compare_reported(&asked.numerics.matmul_precision, got.as_ref()).into_iter().collect()
    }
}
