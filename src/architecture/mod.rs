//! Architecture: how the parts of Wan 2.2 are built, and what a forward through them costs.
//!
//! Configurations have the reference's own field names and defaults (diffusers 0.42, transformers
//! 5), so that a model's `config.json` can be read as it is. No tensors here: the tuner plans with
//! these numbers, the worker builds the models.

#![allow(missing_docs, reason = "fields and variants have the reference's own names")]

mod text_encoder;
mod tiling;
mod transformer;
mod vae;
mod vae_cost;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

pub use text_encoder::{Activation, TextEncoderConfig};
pub use tiling::{Grid, Tiling};
pub use transformer::TransformerConfig;
pub use vae::{Scale, VaeConfig};

/// The three parts that one job runs.
#[derive(Clone, Debug)]
pub struct Architecture {
    /// The transformer; of A14B, one of its two experts.
    pub transformer: TransformerConfig,
    /// The VAE.
    pub vae: VaeConfig,
    /// The text encoder.
    pub text_encoder: TextEncoderConfig,
}

/// A released model.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::Display,
)]
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
}

impl Model {
    /// Its parts at their true sizes.
    pub fn architecture(self) -> Architecture {
        let (transformer, vae) = match self {
            Self::Ti2v5b => (TransformerConfig::ti2v_5b(), VaeConfig::wan22()),
            Self::T2vA14b => (TransformerConfig::t2v_a14b(), VaeConfig::wan21()),
        };
        Architecture { transformer, vae, text_encoder: TextEncoderConfig::umt5_xxl() }
    }
}

impl Architecture {
    /// A pipeline's folder in diffusers layout: `transformer/`, `vae/` and `text_encoder/`, each
    /// with its `config.json`.
    ///
    /// # Errors
    /// The file that is missing or broken, or the two parts that don't go together.
    pub fn open(folder: &Path) -> Result<Self> {
        let architecture = Self {
            transformer: read(&folder.join("transformer"))?,
            vae: read(&folder.join("vae"))?,
            text_encoder: read(&folder.join("text_encoder"))?,
        };
        architecture.validate().with_context(|| folder.display().to_string())?;
        Ok(architecture)
    }

    /// # Errors
    /// Names the first value that no model can have, or that two parts don't agree on.
    pub fn validate(&self) -> Result<()> {
        let Self { transformer, vae, text_encoder } = self;
        transformer.validate().context("transformer/config.json")?;
        vae.validate().context("vae/config.json")?;
        text_encoder.validate().context("text_encoder/config.json")?;
        for (key, channels) in
            [("in_channels", transformer.in_channels), ("out_channels", transformer.outputs())]
        {
            ensure!(
                channels == vae.z_dim,
                "transformer/config.json: {key} is {channels}, but the VAE's z_dim is {}; \
                 TI2V-5B and T2V-A14B can be run",
                vae.z_dim
            );
        }
        ensure!(
            transformer.text_dim == text_encoder.d_model,
            "transformer/config.json: text_dim is {}, but the text encoder's d_model is {}",
            transformer.text_dim,
            text_encoder.d_model
        );
        Ok(())
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

fn read<T: DeserializeOwned>(part: &Path) -> Result<T> {
    let path = part.join("config.json");
    let place = || path.display().to_string();
    let cure = "give a folder in diffusers layout, with transformer/, vae/ and text_encoder/";
    let text = std::fs::read(&path).with_context(|| format!("{}: {cure}", place()))?;
    serde_json::from_slice(&text).with_context(place)
}

/// Refuses a configuration value that is not positive.
fn expect_positive(values: &[(&str, i64)]) -> Result<()> {
    for (key, value) in values {
        ensure!(*value > 0, "{key} is {value}: it must be at least 1");
    }
    Ok(())
}
