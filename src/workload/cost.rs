//! What a clip takes: the arithmetic and the weights of every stage, from the sizes alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Sizes, Stage, Tilings, Workload};
use crate::architecture::Architecture;

/// Operations that a machine does in the time in which it reads a byte: of weights that are read
/// for few tokens, reading decides. Between 10 (2 cores) and 13 (64) on machines that were measured.
const FLOPS_PER_BYTE: f64 = 12.0;

/// Operations that stand for a pixel of a picture read, decoded, resized or written: some 20 ns of
/// one core.
const FLOPS_PER_PIXEL: f64 = 2000.0;

/// What one stage takes for one clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Floating-point operations (two a multiply-add) of products, convolutions and attention.
    pub flops: f64,
    /// Numbers in the weights that one pass reads.
    pub weights: f64,
    /// Passes over the weights.
    pub passes: f64,
}

impl Workload {
    /// The models' stages, for one clip.
    pub fn costs(&self, parts: &Architecture, tilings: Option<Tilings>) -> BTreeMap<Stage, Cost> {
        let units = self.units(parts, tilings.unwrap_or_default());
        let flops = |stage: &Stage| -> f64 {
            let own = units.iter().filter(|(unit, _)| unit.stage() == *stage);
            own.map(|(_, flops)| flops).sum()
        };
        let cost = |stage: &Stage| match stage {
            Stage::Text => Some(self.text(parts)),
            Stage::Encode => Some(self.encode(parts, flops(stage))),
            Stage::Denoise => Some(self.denoise(parts, flops(stage))),
            Stage::Decode => Some(self.decode(parts, flops(stage))),
            _ => None,
        };
        self.stages.iter().filter_map(|stage| Some((*stage, cost(stage)?))).collect()
    }

    /// Work of one clip in operations, reading of weights and pixels counted as what could be
    /// computed meanwhile: what calibration scales times by.
    pub fn work(&self, parts: &Architecture) -> f64 {
        let models = self.costs(parts, None).into_values().map(|cost| {
            // Weights are counted as float32.
            cost.flops.max(4.0 * cost.weights * cost.passes * FLOPS_PER_BYTE)
        });
        let Sizes { width, height, window_width, window_height, window_frames, .. } = self.sizes;
        let area = |width, height| f64::from(width) * f64::from(height) * FLOPS_PER_PIXEL;
        let read = if self.has(Stage::Read) { area(width, height) } else { 0.0 };
        let written = f64::from(window_frames) * area(window_width, window_height);
        let written = if self.has(Stage::Decode) { written } else { 0.0 };
        models.sum::<f64>() + read + written
    }

    /// Pictures that the VAE encodes: the image, or where the transformer takes a condition, a video
    /// whose first picture is the image and whose others are grey.
    pub fn encoded_frames(&self, parts: &Architecture) -> u32 {
        if parts.takes_condition() { self.sizes.window_frames } else { 1 }
    }

    /// Latent frames, rows and columns of the whole clip.
    pub fn latent(&self, parts: &Architecture) -> [i64; 3] {
        latent(parts, [self.sizes.frames, self.sizes.height, self.sizes.width])
    }

    /// The same of the window that the VAE works on.
    pub fn window(&self, parts: &Architecture) -> [i64; 3] {
        let Sizes { window_width, window_height, window_frames, .. } = self.sizes;
        latent(parts, [window_frames, window_height, window_width])
    }

    /// Tokens that the transformer works on.
    pub fn tokens(&self, parts: &Architecture) -> i64 {
        let [frames, height, width] = self.latent(parts);
        parts.transformer.grid(frames, height, width).iter().product()
    }

    /// Tokens of the whole job, which each of them attends to.
    pub fn keys(&self, parts: &Architecture) -> i64 {
        self.whole().tokens(parts)
    }

    /// Parts in which libtorch shares out self attention among its threads: blocks of 256 queries of a head.
    /// As many as it takes where the job has none.
    pub fn attention_tasks(&self, parts: &Architecture) -> u64 {
        let blocks = self.tokens(parts) * parts.transformer.num_attention_heads / 256;
        if self.has(Stage::Denoise) { blocks.unsigned_abs() } else { u64::MAX }
    }

    /// Prompts that a clip takes through the text encoder: its own and, as diffusers' pipelines do it for
    /// each call, the one that guidance leads away from.
    pub fn prompts(&self) -> u32 {
        if self.has(Stage::Denoise) && self.sizes.guidance { 2 } else { 1 }
    }

    /// Timesteps of one forward: one, or one per token.
    pub(super) fn times(&self, parts: &Architecture) -> i64 {
        if parts.expands_timesteps() { self.tokens(parts) } else { 1 }
    }

    fn text(&self, parts: &Architecture) -> Cost {
        let (layers, tokens) = (self.sizes.text_layers.into(), self.sizes.text_tokens.into());
        let encoder = &parts.text_encoder;
        // A token looks up one row of the embedding.
        let embedding = (encoder.vocab_size * encoder.d_model) as f64;
        let weights = encoder.weights(layers) - embedding;
        let passes = f64::from(self.prompts());
        Cost { flops: passes * encoder.flops(layers, 1, tokens), weights, passes }
    }

    fn encode(&self, parts: &Architecture, flops: f64) -> Cost {
        let passes = ((self.encoded_frames(parts) - 1) / 4 + 1).into();
        Cost { flops, weights: parts.vae.encoder_weights(), passes }
    }

    fn denoise(&self, parts: &Architecture, flops: f64) -> Cost {
        let forwards = f64::from(self.sizes.forwards());
        let experts = parts.sampling.experts(self.sizes.steps).len() as f64;
        let weights = experts * parts.transformer.weights(self.sizes.layers.into());
        // Each forward reads the weights of one expert.
        Cost { flops, weights, passes: forwards / experts }
    }

    fn decode(&self, parts: &Architecture, flops: f64) -> Cost {
        // One latent frame at a time.
        let passes = self.window(parts)[0] as f64;
        Cost { flops, weights: parts.vae.decoder_weights(), passes }
    }
}

fn latent(parts: &Architecture, [frames, height, width]: [u32; 3]) -> [i64; 3] {
    let ratio = parts.vae.ratio();
    [(i64::from(frames) - 1) / 4 + 1, i64::from(height) / ratio, i64::from(width) / ratio]
}
