//! Stage: what a clip goes through, and who does it.

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::architecture::{EXPERTS, TEXT_ENCODER, VAE};

/// A named part of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[derive(strum::Display, strum::IntoStaticStr, strum::VariantArray, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
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

impl Stage {
    /// The folder of the model that it runs, as diffusers names it.
    pub fn model(self) -> Option<&'static str> {
        match self {
            Self::Text => Some(TEXT_ENCODER),
            Self::Encode | Self::Decode => Some(VAE),
            Self::Denoise => Some(EXPERTS[0]),
            Self::Read | Self::Preprocess | Self::Pack | Self::Write => None,
        }
    }
}

/// The words of all stages, in the order in which a clip goes through them.
pub fn stages() -> impl Iterator<Item = &'static str> {
    Stage::VARIANTS.iter().map(Into::into)
}

/// The knob that gives a stage its threads, and whether they are a pool of which each takes a
/// clip of its own.
pub const THREADS: [(&str, &str, bool); 8] = [
    ("read", "io_workers", true),
    ("preprocess", "preprocess_workers", true),
    ("pack", "batch_workers", true),
    ("text", "intra_op_threads", false),
    ("encode", "intra_op_threads", false),
    ("denoise", "intra_op_threads", false),
    ("decode", "intra_op_threads", false),
    ("write", "io_workers", true),
];

/// How many clips in turn a pool of `workers` takes for its `stage` of one batch of `batch` clips: each
/// worker has a clip of its own, but to pack a batch, and all share the frames that are written.
pub fn batch_turns(stage: &str, batch: f64, workers: f64) -> f64 {
    match stage {
        "pack" => batch,
        "write" => batch / workers,
        _ => (batch / workers).max(1.0),
    }
}
