//! Workload: the real job that is measured.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// The sizes of one repetition, fixed for the whole tune.
///
/// A clip is one image turned into `frames` pictures of `width` x `height`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The scenario: `i2v`, …
    pub name: String,
    /// Clips a repetition; a multiple of every batch size that is tried.
    pub clips: u32,
    /// Pixels; a multiple of 32 (VAE 16 x patch 2).
    pub width: u32,
    /// Pixels; a multiple of 32.
    pub height: u32,
    /// Pictures a clip: 1 + 4n, since the VAE makes one latent frame of four pictures.
    pub frames: u32,
    /// Transformer blocks; the real TI2V-5B has 30.
    pub layers: u32,
    /// Denoising steps, each of two forwards (guidance); a real job has 50.
    pub steps: u32,
    /// Text encoder layers; the real one has 24. 0 leaves the text encoder out.
    pub text_layers: u32,
}

impl std::fmt::Display for Workload {
    /// Name and sizes: `i2v 2x64x64x1 layers=1 steps=1` (clips, width, height, frames).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, clips, width, height, frames, layers, steps, .. } = self;
        write!(f, "{name} {clips}x{width}x{height}x{frames} layers={layers} steps={steps}")
    }
}

/// A named part of the workload.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// An image file into memory.
    Read,
    /// Decoded, resized, normalised.
    Preprocess,
    /// Pictures into one batch.
    Pack,
    /// The prompt through the text encoder.
    Text,
    /// The conditioning picture through the VAE encoder.
    Encode,
    /// The transformer's steps.
    Denoise,
    /// Latents through the VAE decoder.
    Decode,
    /// Frames into picture files.
    Write,
}

/// The words of all stages, in the order in which a clip goes through them.
pub fn stages() -> impl Iterator<Item = &'static str> {
    Stage::VARIANTS.iter().map(Into::into)
}
