//! Memory: what a process of the job takes at the most, roughly, from the sizes alone.

use super::{Sizes, Stage, Workload};
use crate::architecture::Architecture;
use crate::knobs::{Knobs, Precision};

/// A process with libtorch before any model, and what activations take at the least.
const PROCESS_BYTES: f64 = 0.6e9;

/// Copies of its widest activation that a half of the VAE holds at once, im2col included.
const COPIES: f64 = 12.0;

/// Frames that the VAE works on at once, in the pictures' own rate.
const CHUNK: u32 = 4;

/// What is copied to see how fast the machine copies, by the process that makes the reference.
pub const PEAK_BYTES: u64 = 512 << 20;

/// Rows of a random token embedding. The real one has 256384, which costs 4 GB and no time: a token
/// looks up one row.
pub const VOCABULARY: i64 = 4096;

/// A side of the VAE's window that no tile cuts.
const WHOLE: u32 = u32::MAX;

/// What of a process's memory the job's sizes don't tell.
#[derive(Clone, Copy, Debug)]
pub struct MemoryContext<'a> {
    /// What it runs under.
    pub knobs: &'a Knobs,
    /// Whether it makes the reference: in float32, whole, beside its own models.
    pub makes_reference: bool,
    /// Whether the weights are the user's own, with the embeddings of all words.
    pub has_own_weights: bool,
}

impl Workload {
    /// Bytes that `context` needs at the most, roughly.
    pub fn memory_bytes(&self, parts: &Architecture, context: MemoryContext<'_>) -> u64 {
        let knobs = context.knobs;
        let batch = knobs.batch_size.min(self.sizes.clips);
        let models: f64 = self
            .model_weights(parts, context.has_own_weights)
            .map(|(stage, numbers)| numbers * knobs.precision.bytes_in(stage))
            .sum();
        let tiles = [knobs.tile_size, knobs.vae_tile_size];
        let mut working = self.activations(parts, knobs.precision, batch, tiles);
        if context.makes_reference && models > 0.0 {
            working = working.max(self.reference(parts, context)).max(PEAK_BYTES as f64);
        }
        (PROCESS_BYTES + models + working) as u64
    }

    /// Bytes that the widest stage of the whole job works on at once, roughly, whatever of it a slice does.
    pub fn working_bytes(&self, parts: &Architecture, knobs: &Knobs) -> u64 {
        let whole = self.whole();
        let batch = knobs.batch_size.min(whole.sizes.clips);
        let tiles = [knobs.tile_size, knobs.vae_tile_size];
        whole.activations(parts, knobs.precision, batch, tiles) as u64
    }

    /// Numbers in the weights of each stage's models.
    fn model_weights(
        &self,
        parts: &Architecture,
        has_own_weights: bool,
    ) -> impl Iterator<Item = (Stage, f64)> {
        let encoder = &parts.text_encoder;
        let words = if has_own_weights { encoder.vocab_size } else { VOCABULARY };
        let embedding = (words * encoder.d_model) as f64;
        self.costs(parts, None).into_iter().map(move |(stage, cost)| {
            (stage, cost.weights + if stage == Stage::Text { embedding } else { 0.0 })
        })
    }

    /// Bytes that the widest stage works on, for `batch` clips whose VAE's tiles have these sides.
    fn activations(
        &self,
        parts: &Architecture,
        precision: Precision,
        batch: u32,
        [tile, vae_tile]: [u32; 2],
    ) -> f64 {
        let vae = &parts.vae;
        let decoder = vae.decoder_base_dim.unwrap_or(vae.base_dim);
        let all = [
            (
                Stage::Encode,
                self.vae_numbers(parts, vae.base_dim, tile, self.encoded_frames(parts)),
            ),
            (Stage::Decode, self.vae_numbers(parts, decoder, vae_tile, self.sizes.window_frames)),
            (Stage::Denoise, self.denoising_numbers(parts)),
        ];
        let of_job = all.into_iter().filter(|(stage, _)| self.has(*stage));
        let sizes = of_job.map(|(stage, numbers)| numbers * precision.bytes_in(stage));
        f64::from(batch) * sizes.fold(0.0, f64::max)
    }

    /// Numbers that a half of the VAE holds for a clip, `width` channels at its widest.
    fn vae_numbers(&self, parts: &Architecture, width: i64, tile: u32, frames: u32) -> f64 {
        let Sizes { window_width, window_height, .. } = self.sizes;
        let tiled = |side: u32| f64::from(side.min(tile));
        let pixels = f64::from(frames.min(CHUNK)) * tiled(window_width) * tiled(window_height);
        let patch = (parts.vae.patch() * parts.vae.patch()) as f64;
        pixels / patch * width as f64 * COPIES
    }

    fn denoising_numbers(&self, parts: &Architecture) -> f64 {
        let tokens: f64 = self.latent(parts).iter().map(|&side| side as f64).product::<f64>() / 4.0;
        let width = parts.transformer.width();
        // A slice's tokens attend to keys and values of all.
        let keys = 2 * (self.keys(parts) - self.tokens(parts)) * width;
        tokens * (4 * width + parts.transformer.ffn_dim) as f64 + keys as f64
    }

    /// Bytes of what is computed plainly, one stage after the other, of a single clip.
    fn reference(&self, parts: &Architecture, context: MemoryContext<'_>) -> f64 {
        let (plain, numerics) = (Precision::Fp32, context.knobs.numerics());
        // What its own models compute plainly needs no others.
        let is_built = |stage: &Stage| match stage {
            Stage::Encode | Stage::Decode => !numerics.vae_is_plain(),
            _ => !numerics.is_plain(),
        };
        let numbers = self.model_weights(parts, context.has_own_weights);
        let built = numbers.filter(|(stage, _)| is_built(stage));
        let weights = built.map(|(stage, numbers)| numbers * plain.bytes_in(stage));
        weights.fold(0.0, f64::max) + self.activations(parts, plain, 1, [WHOLE; 2])
    }
}

impl Precision {
    /// Bytes of a number in the models of `stage`.
    pub fn bytes_in(self, stage: Stage) -> f64 {
        let is_vae = matches!(stage, Stage::Encode | Stage::Decode);
        match self {
            Self::Fp32 => 4.0,
            Self::Bf16 if is_vae => 4.0,
            Self::Bf16 | Self::Bf16Vae => 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Model;
    use crate::knobs::{Baseline, Preset};
    use crate::machine::Machine;
    use crate::workload::{BUILT_IN, WorkloadFile};

    fn needed(
        job: &str,
        precision: Precision,
        makes_reference: bool,
        has_own_weights: bool,
    ) -> f64 {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == job).unwrap();
        let workload = WorkloadFile::parse(text).unwrap().size(0);
        let machine = Machine::detect().unwrap();
        let knobs = Knobs { precision, ..Baseline::fit(Preset::Generic, &machine).knobs };
        let context = MemoryContext { knobs: &knobs, makes_reference, has_own_weights };
        workload.memory_bytes(&Model::Ti2v5b.architecture(), context) as f64
    }

    /// VAE 2.2's decoder has 555 million numbers, which stay in float32 under bf16.
    #[test]
    fn halves_are_smaller_where_a_stage_has_them() {
        let [whole, half, half_vae] = [Precision::Fp32, Precision::Bf16, Precision::Bf16Vae]
            .map(|precision| needed("vae-decode", precision, false, false));
        assert_eq!(whole, half);
        assert!((whole - half_vae) > 2.0 * 550e6, "{whole} {half_vae}");
        assert!(
            needed("i2v", Precision::Bf16, false, false)
                < needed("i2v", Precision::Fp32, false, false)
        );
    }

    #[test]
    fn the_first_trial_holds_the_reference_too() {
        let extra = |precision| {
            needed("vae-decode", precision, true, false)
                - needed("vae-decode", precision, false, false)
        };
        // A float32 decoder beside its own; beside one in float32 only what is copied.
        assert!(extra(Precision::Bf16Vae) > 4.0 * 550e6);
        assert!((0.0..=PEAK_BYTES as f64).contains(&extra(Precision::Fp32)));
    }

    /// Four frames of 768 x 704 pixels, two by two in one, of 256 channels in 12 copies of four bytes.
    #[test]
    fn a_tile_of_the_whole_job_is_known_before_a_slice_has_one() {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "i2v").unwrap();
        let slice = WorkloadFile::parse(text).unwrap().size(0);
        let knobs = Baseline::fit(Preset::Generic, &Machine::detect().unwrap()).knobs;
        let knobs = Knobs { vae_tile_size: 768, tile_size: 128, batch_size: 1, ..knobs };
        let bytes = slice.working_bytes(&slice.model.architecture(), &knobs);
        assert_eq!(bytes, 4 * 768 * 704 / 4 * 256 * 12 * 4);
    }

    /// 256384 words of 4096 numbers, instead of 4096.
    #[test]
    fn real_weights_hold_all_words() {
        let extra = needed("i2v", Precision::Fp32, false, true)
            - needed("i2v", Precision::Fp32, false, false);
        assert_eq!(extra, 4.0 * 4096.0 * (256_384.0 - 4096.0));
    }
}
