//! Workload: the real job that is measured.

mod cost;
pub mod custom;
mod file;
mod full_job;
mod identity;
mod memory;
pub mod metric;
pub mod preprocess;
mod projection;
mod rung;
mod stage;
mod stage_unit;
mod tilings;

use serde::{Deserialize, Serialize};

use crate::architecture::Model;

pub use cost::Cost;
use custom::sizes::OwnSizes;
pub use file::{BUILT_IN, WorkloadFile};
pub use full_job::FullJob;
pub use memory::{MemoryContext, PEAK_BYTES, VOCABULARY};
pub use projection::{Projection, total_s};
pub use stage::{Stage, THREADS, batch_turns, stages};
pub use stage_unit::StageUnit;
pub use tilings::Tilings;

/// A job of Wan 2.2 at the sizes of one repetition, fixed for the whole tune.
///
/// A clip is one video of `frames` pictures of `width` x `height`, or what the stages make of one
/// picture where they make no video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Workload {
    /// The job: `i2v`, …
    pub name: String,
    /// Whose sizes the models have; a user's own weights overrule it.
    #[serde(default)]
    pub model: Model,
    /// What is done, in this order.
    pub stages: Vec<Stage>,
    /// How much of it.
    #[serde(flatten)]
    pub sizes: Sizes,
    /// The whole job, where a repetition does a slice of it; without, the sizes are the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Sizes>,
    /// What a run of the user's own job is as large as, where that has sizes.
    #[serde(default, skip_serializing_if = "OwnSizes::is_empty")]
    pub own_sizes: OwnSizes,
}

/// How much one repetition does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Clips per repetition.
    pub clips: u32,
    /// Pixels per row; the transformer works on all of them.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures per clip: 1 + 4n, since the VAE makes one latent frame of four pictures.
    pub frames: u32,
    /// Pixels per row of the part that the VAE encodes and decodes: on a machine that can't do a
    /// whole picture in seconds, the part keeps the VAE's share near that of a real job.
    pub window_width: u32,
    /// Rows of that part.
    pub window_height: u32,
    /// Pictures of that part: 1 + 4n.
    pub window_frames: u32,
    /// Transformer blocks.
    #[serde(default = "one")]
    pub layers: u32,
    /// Denoising steps.
    #[serde(default = "one")]
    pub steps: u32,
    /// Whether a step is two forwards, with the prompt and without: classifier-free guidance. Distilled
    /// models do without.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub guidance: bool,
    /// Text encoder layers; 0 leaves its embedding and last norm.
    #[serde(default = "one")]
    pub text_layers: u32,
    /// Tokens that go through the text encoder.
    #[serde(default = "one")]
    pub text_tokens: u32,
    /// Tokens of the prompt as the transformer sees it, zeros after the last one included. With few
    /// pixels those of a real job would take far longer than the pictures.
    #[serde(default = "whole_context")]
    pub context_tokens: u32,
}

/// What Wan's pipelines fill a prompt up to.
const WHOLE_CONTEXT: u32 = 512;

fn whole_context() -> u32 {
    WHOLE_CONTEXT
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Sizes {
    /// Forwards of the transformer per clip.
    pub fn forwards(&self) -> u32 {
        if self.guidance { 2 * self.steps } else { self.steps }
    }
}

impl Workload {
    /// A job that is not made of these stages: the user's own, one run of which counts as a clip.
    pub fn custom(name: &str) -> Self {
        // What a folder without the key is read as.
        let sizes =
            Sizes { clips: 1, guidance: true, context_tokens: WHOLE_CONTEXT, ..Sizes::default() };
        Self {
            name: name.to_owned(),
            model: Model::default(),
            stages: Vec::new(),
            sizes,
            job: None,
            own_sizes: OwnSizes::new(),
        }
    }

    /// The user's own job at these sizes.
    #[must_use]
    pub fn at(self, own_sizes: OwnSizes) -> Self {
        Self { own_sizes, ..self }
    }

    /// Whether it is less than the job that it stands for.
    pub fn is_slice(&self) -> bool {
        self.job.as_ref().is_some_and(|job| *job != self.sizes)
    }

    /// The job that it is a slice of.
    #[must_use]
    pub fn whole(&self) -> Self {
        let sizes = self.job.clone().unwrap_or_else(|| self.sizes.clone());
        Self { sizes, job: None, ..self.clone() }
    }

    /// Whether it is the user's own, of which only its time is known.
    pub fn is_custom(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether it is a part of making a clip: its profile says little of the whole.
    pub fn is_part_of_clip(&self) -> bool {
        let is_whole = self.has(Stage::Denoise) && self.has(Stage::Decode);
        !is_whole && !self.is_custom()
    }

    /// The folders of the models that its stages run, as diffusers names them.
    pub fn models(&self) -> Vec<&'static str> {
        self.stages.iter().filter_map(|stage| stage.model()).collect()
    }

    /// Whether `stage` is part of the job.
    pub fn has(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}

impl std::fmt::Display for Workload {
    /// Job and sizes: `i2v 2x128x128x1 window=32x32x1 layers=1 steps=1 text=0x16 context=16`;
    /// of the user's own job the name, and its sizes where it has any.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_custom() {
            f.write_str(&self.name)?;
            return self.own_sizes.iter().try_for_each(|(name, size)| write!(f, " {name}={size}"));
        }
        let Sizes { clips, width, height, frames, .. } = &self.sizes;
        write!(f, "{} {clips}x{width}x{height}x{frames}", self.name)?;
        let Sizes { window_width, window_height, window_frames, .. } = &self.sizes;
        if self.has(Stage::Encode) || self.has(Stage::Decode) {
            write!(f, " window={window_width}x{window_height}x{window_frames}")?;
        }
        if self.has(Stage::Denoise) {
            write!(f, " layers={} steps={}", self.sizes.layers, self.sizes.steps)?;
            if !self.sizes.guidance {
                f.write_str(" guidance=off")?;
            }
        }
        if self.has(Stage::Text) {
            write!(f, " text={}x{}", self.sizes.text_layers, self.sizes.text_tokens)?;
        }
        if self.has(Stage::Denoise) && self.sizes.context_tokens != WHOLE_CONTEXT {
            write!(f, " context={}", self.sizes.context_tokens)?;
        }
        if let Some(Sizes { width, height, frames, steps, .. }) = &self.job {
            write!(f, " of {width}x{height}x{frames}")?;
            if self.has(Stage::Denoise) {
                write!(f, " steps={steps}")?;
            }
        }
        Ok(())
    }
}
