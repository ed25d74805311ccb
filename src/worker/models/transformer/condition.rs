//! What the transformer is told besides the latent: when, and what to show
//! (`WanTimeTextImageEmbedding` without the image).

use tch::{Device, Kind, Tensor};

use crate::models::linear::Linear;
use crate::weights::Scope;
use wan22_tune::architecture::TransformerConfig;

const MAX_PERIOD: f64 = 10_000.0;

/// Embeds timesteps and text.
pub struct ConditionEmbedder {
    time_1: Linear,
    time_2: Linear,
    time_proj: Linear,
    text_1: Linear,
    text_2: Linear,
    freq_dim: i64,
}

/// The embedded condition. `steps` is 1 for a timestep per batch item, else one per token.
pub struct Condition {
    /// `[batch, steps, width]`.
    pub time: Tensor,
    /// Shift, scale and gate of both halves of a block, `[batch, steps, 6, width]`.
    pub modulation: Tensor,
    /// `[batch, text tokens, width]`.
    pub text: Tensor,
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
            freq_dim: config.freq_dim,
        }
    }

    /// `timestep` is `[batch]` or `[batch, tokens]` of any kind, `text` `[batch, tokens, text_dim]`.
    pub fn forward(&self, timestep: &Tensor, text: &Tensor) -> Condition {
        let steps =
            if timestep.dim() == 1 { timestep.unsqueeze(1) } else { timestep.shallow_clone() };
        let hidden = self.time_1.forward(&sinusoid(&steps, self.freq_dim)).silu_();
        let time = self.time_2.forward(&hidden).to_kind(text.kind());
        let modulation = self.time_proj.forward(&time.silu()).unflatten(2, [6, -1]);
        let text = self.text_2.forward(&self.text_1.forward(text).gelu_("tanh"));
        Condition { time, modulation, text }
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
