//! Full job: what the user's job makes, whatever of it a trial runs.

use serde::Deserialize;

use super::{Sizes, WHOLE_CONTEXT};

/// The whole job, as its user has it: `[job]` of a workload file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullJob {
    /// Clips that are made at once, or one after the other.
    #[serde(default = "super::one")]
    clips: u32,
    /// Pixels per row.
    width: u32,
    /// Rows.
    height: u32,
    /// Pictures per clip: 1 + 4n.
    #[serde(default = "super::one")]
    frames: u32,
    /// Transformer blocks; of a model with two experts, of each.
    #[serde(default = "super::one")]
    layers: u32,
    /// Denoising steps, each of two forwards (guidance).
    #[serde(default = "super::one")]
    steps: u32,
    /// Text encoder layers.
    #[serde(default = "super::one")]
    text_layers: u32,
    /// Tokens of the prompt, filled up as Wan's pipelines do it.
    #[serde(default = "super::whole_context")]
    text_tokens: u32,
}

impl FullJob {
    /// The same job at another size of its clips.
    #[must_use]
    pub fn shaped(self, [width, height, frames]: [u32; 3]) -> Self {
        Self { width, height, frames, ..self }
    }

    /// The same job with another number of steps.
    #[must_use]
    pub fn with_steps(self, steps: u32) -> Self {
        Self { steps, ..self }
    }

    /// The same job one clip at a time.
    #[must_use]
    pub(super) fn one_clip(self) -> Self {
        Self { clips: 1, ..self }
    }

    /// The same job, no deeper than this many blocks and layers of the text encoder.
    #[must_use]
    pub(super) fn cut(self, blocks: u32, text: u32) -> Self {
        let (layers, text_layers) = (self.layers.min(blocks), self.text_layers.min(text));
        Self { layers, text_layers, ..self }
    }

    /// All of it.
    pub fn sizes(self) -> Sizes {
        let Self { clips, width, height, frames, layers, steps, text_layers, text_tokens } = self;
        Sizes {
            clips,
            width,
            height,
            frames,
            window_width: width,
            window_height: height,
            window_frames: frames,
            layers,
            steps,
            text_layers,
            text_tokens,
            context_tokens: WHOLE_CONTEXT,
        }
    }
}
