//! One call of one model, as the JSON of `check` and `bench` describes it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{TextEncoderConfig, Tiling, TransformerConfig};

use crate::models::text_encoder::TextEncoder;
use crate::models::transformer::Transformer;
use crate::models::vae::{Decoder, Encoder, VaeOptions};
use crate::weights::Weights;

/// Which model, of what configuration, does what, in which kind of numbers.
#[derive(Debug, Deserialize)]
pub struct Case {
    model: Model,
    op: Option<Op>,
    #[serde(default)]
    dtype: Dtype,
    /// The reference's own fields.
    #[serde(default)]
    config: Value,
    tiling: Option<Tiling>,
    /// What else the JSON says: notes of whoever wrote it, or a key misspelt.
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the reference's own class names")]
enum Model {
    WanTransformer3DModel,
    AutoencoderKLWan,
    UMT5EncoderModel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Forward,
    Encode,
    Decode,
    EncodeTiled,
    DecodeTiled,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtype {
    #[default]
    Float32,
    BFloat16,
    Float16,
}

/// A case's model, built.
pub enum BuiltModel {
    Transformer(Transformer),
    TextEncoder(TextEncoder),
    Encoder(Encoder, Option<Tiling>),
    Decoder(Decoder, Option<Tiling>),
}

impl Case {
    /// Builds what the case's op needs of its model.
    ///
    /// # Errors
    /// Where model and op don't go together, or the weights don't fit the configuration.
    pub fn build(&self, weights: &Weights) -> Result<BuiltModel> {
        let (kind, device, options) = (self.dtype.kind(), Device::Cpu, VaeOptions::default());
        let tiled = |op| matches!(op, Op::EncodeTiled | Op::DecodeTiled);
        let tiling = |op| tiled(op).then(|| self.tiling.unwrap_or_default());
        Ok(match (self.model, self.op()?) {
            (Model::WanTransformer3DModel, Op::Forward) => {
                let config: TransformerConfig = self.config()?;
                let layers = config.num_layers;
                let model = Transformer::new(weights, &config, layers, kind, device)?;
                BuiltModel::Transformer(model)
            }
            (Model::UMT5EncoderModel, Op::Forward) => {
                let config: TextEncoderConfig = self.config()?;
                let layers = config.num_layers;
                let model = TextEncoder::new(weights, &config, layers, kind, device)?;
                BuiltModel::TextEncoder(model)
            }
            (Model::AutoencoderKLWan, op @ (Op::Encode | Op::EncodeTiled)) => BuiltModel::Encoder(
                Encoder::new(weights, &self.config()?, options, kind, device)?,
                tiling(op),
            ),
            (Model::AutoencoderKLWan, op @ (Op::Decode | Op::DecodeTiled)) => BuiltModel::Decoder(
                Decoder::new(weights, &self.config()?, options, kind, device)?,
                tiling(op),
            ),
            (model, op) => bail!("{model:?} has no op {op:?}"),
        })
    }

    /// The keys that mean nothing here.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.keys().map(String::as_str)
    }

    fn op(&self) -> Result<Op> {
        match (self.op, self.model) {
            (Some(op), _) => Ok(op),
            (None, Model::AutoencoderKLWan) => {
                bail!("op is missing: give encode, decode, encode_tiled or decode_tiled")
            }
            (None, _) => Ok(Op::Forward),
        }
    }

    fn config<T: DeserializeOwned>(&self) -> Result<T> {
        let value = if self.config.is_null() { json!({}) } else { self.config.clone() };
        serde_path_to_error::deserialize(value)
            .with_context(|| format!("config of {:?}", self.model))
    }
}

impl BuiltModel {
    /// The name of the part's output, and the output for the inputs that `input` finds by name.
    ///
    /// # Errors
    /// `input`'s, and where an input doesn't fit the model.
    pub fn run<'a>(
        &self,
        input: impl Fn(&str) -> Result<&'a Tensor>,
    ) -> Result<(&'static str, Tensor)> {
        Ok(match self {
            Self::Transformer(model) => {
                let (latent, timestep) = (input("hidden_states")?, input("timestep")?);
                let text = input("encoder_hidden_states")?;
                let image = input("encoder_hidden_states_image").ok();
                ("sample", model.forward(latent, timestep, text, image)?)
            }
            Self::TextEncoder(model) => {
                let mask = input("attention_mask").ok();
                ("last_hidden_state", model.forward(input("input_ids")?, mask)?)
            }
            Self::Encoder(model, tiling) => {
                ("moments", model.encode(input("x")?, tiling.as_ref())?)
            }
            Self::Decoder(model, tiling) => ("sample", model.decode(input("z")?, tiling.as_ref())?),
        })
    }
}

impl Dtype {
    fn kind(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::BFloat16 => Kind::BFloat16,
            Self::Float16 => Kind::Half,
        }
    }
}
