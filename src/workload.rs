//! Workload: the real job that is measured.

use serde::{Deserialize, Serialize};

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

/// The parts of a clip's work that are timed, in the order of the pipeline.
pub const STAGES: [&str; 8] =
    ["read", "preprocess", "pack", "text", "encode", "denoise", "decode", "write"];
