//! Full job: what the user's job makes, whatever of it a trial runs.

use serde::Deserialize;

use super::{Sizes, WHOLE_CONTEXT};
use crate::architecture::Model;

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
    /// Transformer blocks; of a model with two experts, of each. All of the model's where nothing is said.
    #[serde(default)]
    layers: Option<u32>,
    /// Denoising steps; Wan's own number where nothing is said.
    #[serde(default)]
    steps: Option<u32>,
    /// Whether a step is two forwards, with the prompt and without.
    #[serde(default = "super::yes")]
    guidance: bool,
    /// Text encoder layers; all of the model's where nothing is said.
    #[serde(default)]
    text_layers: Option<u32>,
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
        Self { steps: Some(steps), ..self }
    }

    /// The same job of one forward per step.
    #[must_use]
    pub fn without_guidance(self) -> Self {
        Self { guidance: false, ..self }
    }

    /// The same job one clip at a time.
    #[must_use]
    pub(super) fn one_clip(self) -> Self {
        Self { clips: 1, ..self }
    }

    /// The same job, no deeper than this many blocks and layers of the text encoder.
    #[must_use]
    pub(super) fn cut(self, blocks: u32, text: u32) -> Self {
        let cut = |own: Option<u32>, most: u32| Some(own.map_or(most, |own| own.min(most)));
        let (layers, text_layers) = (cut(self.layers, blocks), cut(self.text_layers, text));
        Self { layers, text_layers, ..self }
    }

    /// All of it, by `model` where it says nothing.
    pub fn sizes(self, model: Model) -> Sizes {
        let Self { clips, width, height, frames, guidance, text_tokens, .. } = self;
        let parts = model.architecture();
        let depth = |own: Option<u32>, whole: i64| own.unwrap_or(u32::try_from(whole).unwrap_or(1));
        Sizes {
            clips,
            width,
            height,
            frames,
            window_width: width,
            window_height: height,
            window_frames: frames,
            layers: depth(self.layers, parts.transformer.num_layers),
            steps: self.steps.unwrap_or(parts.sampling.steps),
            guidance,
            text_layers: depth(self.text_layers, parts.text_encoder.num_layers),
            text_tokens,
            context_tokens: WHOLE_CONTEXT,
        }
    }
}
