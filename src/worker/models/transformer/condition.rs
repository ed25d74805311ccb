//! What the transformer is told besides the latent: when, and what to show
//! (`WanTimeTextImageEmbedding`).

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};

use super::image::ImageEmbedder;
use crate::models::linear::Linear;
use crate::weights::Scope;
use wan22_tune::architecture::TransformerConfig;

const MAX_PERIOD: f64 = 10_000.0;

/// Embeds timesteps, text and images.
pub struct ConditionEmbedder {
    time_1: Linear,
    time_2: Linear,
    time_proj: Linear,
    text_1: Linear,
    text_2: Linear,
    image: Option<ImageEmbedder>,
    freq_dim: i64,
}

/// The embedded condition. `steps` is 1 for a timestep per batch item, else one per token.
pub struct Condition {
    /// `[batch, steps, width]`.
    pub time: Tensor,
    /// Shift, scale and gate of both halves of a block, `[batch, steps, 6, width]`.
    pub modulation: Tensor,
    /// The image's tokens, where there is one, then the text's: `[batch, tokens, width]`.
    pub context: Tensor,
}

impl ConditionEmbedder {
    pub fn new(scope: &Scope, config: &TransformerConfig) -> Self {
        let width = config.width();
        let time = scope.sub("time_embedder").float();
        let text = scope.sub("text_embedder");
        Self {
            time_1: Linear::new(&time.sub("linear_1"), config.freq_dim, width),
            time_2: Linear::new(&time.sub("linear_2"), width, width),
            time_proj: Linear::new(&scope.sub("time_proj"), width, 6 * width),
            text_1: Linear::new(&text.sub("linear_1"), config.text_dim, width),
            text_2: Linear::new(&text.sub("linear_2"), width, width),
            image: config
                .image_dim
                .map(|dim| ImageEmbedder::new(&scope.sub("image_embedder"), dim, config)),
            freq_dim: config.freq_dim,
        }
    }

    /// `timestep` is `[batch]` or `[batch, tokens]` of any kind, `text` `[batch, tokens, text_dim]`,
    /// `image` `[batch, tokens, image_dim]`.
    ///
    /// # Errors
    /// An image that the model has no use for, or whose shape doesn't fit.
    pub fn forward(
        &self,
        timestep: &Tensor,
        text: &Tensor,
        image: Option<&Tensor>,
    ) -> Result<Condition> {
        let steps =
            if timestep.dim() == 1 { timestep.unsqueeze(1) } else { timestep.shallow_clone() };
        let hidden = self.time_1.forward(&sinusoid(&steps, self.freq_dim)).silu_();
        let time = self.time_2.forward(&hidden).to_kind(text.kind());
        let modulation = self.time_proj.forward(&time.silu()).unflatten(2, [6, -1]);
        let text = self.text_2.forward(&self.text_1.forward(text).gelu_("tanh"));
        let context = match image {
            Some(image) => self.with_image(image, &text)?,
            None => text,
        };
        Ok(Condition { time, modulation, context })
    }

    fn with_image(&self, image: &Tensor, text: &Tensor) -> Result<Tensor> {
        let embedder = self.image.as_ref().context(
            "encoder_hidden_states_image is given, but the config has no image_dim to embed it",
        )?;
        let image = embedder.forward(image)?;
        let [images, texts] = [&image, text].map(|tokens| tokens.size()[0]);
        ensure!(
            images == texts,
            "encoder_hidden_states_image makes a batch of {images}, encoder_hidden_states {texts}"
        );
        Ok(Tensor::cat(&[&image, text], 1))
    }
}

/// Cosines, then sines, of the timestep at falling frequencies, and a zero where `dim` is odd.
fn sinusoid(timestep: &Tensor, dim: i64) -> Tensor {
    let half = dim / 2;
    let exponents =
        Tensor::arange(half, (Kind::Float, Device::Cpu)) * -MAX_PERIOD.ln() / half as f64;
    let frequencies = exponents.exp().to_device(timestep.device());
    let angles = timestep.to_kind(Kind::Float).unsqueeze(-1) * frequencies;
    Tensor::cat(&[angles.cos(), angles.sin()], -1).constant_pad_nd([0, dim % 2])
}
