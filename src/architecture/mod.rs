//! Architecture: how the parts of Wan 2.2 are built, and what a forward through them costs.
//!
//! Configurations have the reference's own field names and defaults (diffusers 0.42, transformers
//! 5), so that a model's `config.json` can be read as it is. No tensors here: the tuner plans with
//! these numbers, the worker builds the models.

#![allow(missing_docs, reason = "fields and variants have the reference's own names")]

mod bounds;
pub mod checkpoint;
mod config;
mod sampling;
mod tensors;
mod text_encoder;
mod tiling;
mod transformer;
mod vae;
mod vae_cost;

use std::path::Path;

use anyhow::{Context, Result, ensure};

pub use sampling::{Sampling, sigmas};
pub use tensors::Tensors;
pub use text_encoder::{Activation, TextEncoderConfig};
pub use tiling::{Grid, Tiling, tile_and_stride};
pub use transformer::TransformerConfig;
pub use vae::{VaeConfig, VaeStage};

/// The three parts that one job runs.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// The transformer; of A14B, one of its two experts.
    pub transformer: TransformerConfig,
    /// The VAE.
    pub vae: VaeConfig,
    /// The text encoder.
    pub text_encoder: TextEncoderConfig,
    /// How they denoise.
    pub sampling: Sampling,
}

/// Channels of a mask: one for each picture of a latent frame.
pub const MASK_CHANNELS: i64 = 4;

/// The folders of the experts' weights, in diffusers layout: of high noise, and of low.
pub const EXPERTS: [&str; 2] = ["transformer", "transformer_2"];

/// The folder of the VAE's weights.
pub const VAE: &str = "vae";

/// The folder of the text encoder's.
pub const TEXT_ENCODER: &str = "text_encoder";

/// The folder of the scheduler's configuration.
pub const SCHEDULER: &str = "scheduler";

/// A released model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[derive(strum::Display, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Model {
    /// Text or an image to video, with VAE 2.2.
    #[default]
    #[serde(rename = "ti2v-5b")]
    #[strum(serialize = "ti2v-5b")]
    Ti2v5b,
    /// Text to video, two experts, with VAE 2.1.
    #[serde(rename = "t2v-a14b")]
    #[strum(serialize = "t2v-a14b")]
    T2vA14b,
    /// An image to video: the same, with the image's latents beside the noise.
    #[serde(rename = "i2v-a14b")]
    #[strum(serialize = "i2v-a14b")]
    I2vA14b,
}

impl Model {
    /// Its parts at their true sizes.
    pub fn architecture(self) -> Architecture {
        let text_encoder = TextEncoderConfig::umt5_xxl();
        let (transformer, vae, sampling) = match self {
            Self::Ti2v5b => (TransformerConfig::ti2v_5b(), VaeConfig::wan22(), Sampling::ti2v_5b()),
            Self::T2vA14b => {
                (TransformerConfig::t2v_a14b(), VaeConfig::wan21(), Sampling::t2v_a14b())
            }
            Self::I2vA14b => {
                (TransformerConfig::i2v_a14b(), VaeConfig::wan21(), Sampling::i2v_a14b())
            }
        };
        Architecture { transformer, vae, text_encoder, sampling }
    }

    /// The released model that is built as `parts` are, whatever their sizes.
    pub fn of(parts: &Architecture) -> Self {
        match (parts.expands_timesteps(), parts.takes_condition()) {
            (true, _) => Self::Ti2v5b,
            (false, true) => Self::I2vA14b,
            (false, false) => Self::T2vA14b,
        }
    }
}

impl Architecture {
    /// A pipeline's folder in diffusers layout: `transformer/`, `vae/` and `text_encoder/`, each
    /// with its `config.json`, and `transformer_2/` where `model_index.json` has a boundary. Of the
    /// transformer and the text encoder those may be missing that are not `wanted`: one of `model`'s
    /// that fits the others stands in.
    ///
    /// # Errors
    /// The file that is missing or broken, or the two parts that don't go together.
    pub fn open(folder: &Path, wanted: &[&str], model: Model) -> Result<Self> {
        let is_there = |part: &str| wanted.contains(&part) || folder.join(part).exists();
        let vae: VaeConfig = config::part(folder, VAE)?;
        vae.validate().with_context(|| config::place(folder, VAE))?;
        let text_encoder = is_there(TEXT_ENCODER).then(|| config::part(folder, TEXT_ENCODER));
        let text_encoder: Option<TextEncoderConfig> = text_encoder.transpose()?;
        let transformer = match is_there(EXPERTS[0]) {
            true => config::part(folder, EXPERTS[0])?,
            false => model.architecture().beside(&vae, text_encoder.as_ref()),
        };
        let text_encoder = text_encoder.unwrap_or_else(|| TextEncoderConfig {
            d_model: transformer.text_dim,
            ..TextEncoderConfig::umt5_xxl()
        });
        let usual = match (vae.ratio(), transformer.in_channels == vae.z_dim) {
            (16, _) => Sampling::ti2v_5b(),
            (_, true) => Sampling::t2v_a14b(),
            (_, false) => Sampling::i2v_a14b(),
        };
        let sampling = Sampling::open(folder, wanted, &usual)?;
        let architecture = Self { sampling, transformer, vae, text_encoder };
        if architecture.sampling.boundary_ratio.is_some() && wanted.contains(&EXPERTS[0]) {
            let second: TransformerConfig = config::part(folder, EXPERTS[1])?;
            ensure!(
                second == architecture.transformer,
                "{}: its two experts, {} and {}, have different configurations",
                folder.display(),
                EXPERTS[0],
                EXPERTS[1]
            );
        }
        architecture.validate().with_context(|| folder.display().to_string())?;
        Ok(architecture)
    }

    /// # Errors
    /// Names the first value that no model can have, or that two parts don't agree on.
    pub fn validate(&self) -> Result<()> {
        let Self { transformer, vae, text_encoder, .. } = self;
        transformer.validate().context("transformer/config.json")?;
        vae.validate().context("vae/config.json")?;
        text_encoder.validate().context("text_encoder/config.json")?;
        vae.validate_statistics().context("vae/config.json")?;
        let z = vae.z_dim;
        ensure!(
            transformer.outputs() == z,
            "transformer/config.json: out_channels is {}, but the VAE's z_dim is {z}",
            transformer.outputs()
        );
        ensure!(
            transformer.in_channels == z || self.takes_condition(),
            "transformer/config.json: in_channels is {}: with the VAE's z_dim of {z} it is {z}, or \
             {} where mask and image stand beside the noise",
            transformer.in_channels,
            2 * z + MASK_CHANNELS
        );
        ensure!(
            transformer.image_dim.is_none() && transformer.added_kv_proj_dim.is_none(),
            "transformer/config.json: image_dim and added_kv_proj_dim are Wan 2.1's image \
             condition, for which no job here has an encoder; TI2V-5B and both A14B can be run"
        );
        ensure!(
            transformer.text_dim == text_encoder.d_model,
            "transformer/config.json: text_dim is {}, but the text encoder's d_model is {}",
            transformer.text_dim,
            text_encoder.d_model
        );
        Ok(())
    }

    /// A transformer like this one's that goes with these other parts, for a job that runs none: how
    /// pictures are encoded and cut depends on it all the same.
    fn beside(
        &self,
        vae: &VaeConfig,
        text_encoder: Option<&TextEncoderConfig>,
    ) -> TransformerConfig {
        let z = vae.z_dim;
        TransformerConfig {
            in_channels: if self.takes_condition() { 2 * z + MASK_CHANNELS } else { z },
            out_channels: Some(z),
            text_dim: text_encoder.map_or(self.transformer.text_dim, |encoder| encoder.d_model),
            ..self.transformer.clone()
        }
    }

    /// Whether a mask and the image's latents stand beside the noise, as in I2V-A14B.
    pub fn takes_condition(&self) -> bool {
        self.transformer.in_channels == 2 * self.vae.z_dim + MASK_CHANNELS
    }

    /// Whether each token has a timestep of its own: the image's tokens are never noise. So it is
    /// in TI2V-5B, whose VAE makes 16 pixels one.
    pub fn expands_timesteps(&self) -> bool {
        self.vae.ratio() == 16
    }

    /// Pixels of a side that every picture's must be a multiple of: latent pixels to a token.
    pub fn pixel_step(&self) -> u32 {
        let [_, h, w] = self.transformer.patch_size;
        (self.vae.ratio() * h.max(w)).try_into().unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The goldens' folder with some of its parts only.
    fn folder(parts: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan");
        for part in parts {
            let file = format!("{part}/config.json");
            std::fs::create_dir(folder.path().join(part)).unwrap();
            std::fs::copy(goldens.join(&file), folder.path().join(&file)).unwrap();
        }
        folder
    }

    #[test]
    fn a_job_needs_the_parts_that_it_runs() {
        let whole = folder(&[VAE, TEXT_ENCODER, EXPERTS[0]]);
        let all = Architecture::open(whole.path(), &[VAE], Model::Ti2v5b).unwrap();
        let vae_alone = folder(&[VAE]);
        let alone = Architecture::open(vae_alone.path(), &[VAE], Model::Ti2v5b).unwrap();
        assert_eq!((alone.vae.z_dim, alone.pixel_step()), (all.vae.z_dim, all.pixel_step()));
        assert!(!alone.takes_condition());
        let condition = Architecture::open(vae_alone.path(), &[VAE], Model::I2vA14b).unwrap();
        assert!(condition.takes_condition());
        let without = folder(&[VAE, EXPERTS[0]]);
        let error = Architecture::open(without.path(), &[VAE, TEXT_ENCODER], Model::Ti2v5b);
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("text_encoder/config.json: give a folder in diffusers layout"),
            "{error}"
        );
    }
}
