//! The text encoder's configuration, with the reference's field names and defaults.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::bounds::{expect_layers, expect_number, expect_sizes};

/// `UMT5EncoderModel`'s `config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct TextEncoderConfig {
    pub vocab_size: i64,
    pub d_model: i64,
    /// Width of a head.
    pub d_kv: i64,
    pub d_ff: i64,
    pub num_layers: i64,
    pub num_heads: i64,
    pub relative_attention_num_buckets: i64,
    /// From this distance on all positions share a bucket.
    pub relative_attention_max_distance: i64,
    pub layer_norm_epsilon: f64,
    /// `gated-gelu`, `relu` or another of the reference's `[gated-]activation`.
    pub feed_forward_proj: String,
    /// Must be false: this is an encoder.
    pub is_decoder: bool,
}

impl Default for TextEncoderConfig {
    fn default() -> Self {
        Self {
            vocab_size: 250_112,
            d_model: 512,
            d_kv: 64,
            d_ff: 1024,
            num_layers: 8,
            num_heads: 6,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "gated-gelu".to_owned(),
            is_decoder: false,
        }
    }
}

/// The feed-forward's non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Tanh,
    Sigmoid,
    Mish,
    Relu6,
    QuickGelu,
}

impl TextEncoderConfig {
    /// umT5-XXL, the text encoder of Wan 2.1 and 2.2.
    pub fn umt5_xxl() -> Self {
        Self {
            vocab_size: 256_384,
            d_model: 4096,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            ..Self::default()
        }
    }

    /// Width of all heads together.
    pub fn inner(&self) -> i64 {
        self.num_heads * self.d_kv
    }

    /// The activation, and whether a second projection gates it.
    ///
    /// # Errors
    /// Where `feed_forward_proj` is no activation known here.
    pub fn feed_forward(&self) -> Result<(Activation, bool)> {
        let (name, gated) = match self.feed_forward_proj.strip_prefix("gated-") {
            Some("gelu") => return Ok((Activation::GeluTanh, true)),
            Some(name) => (name, true),
            None => (self.feed_forward_proj.as_str(), false),
        };
        let activation = match name {
            "relu" => Activation::Relu,
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "mish" => Activation::Mish,
            "relu6" => Activation::Relu6,
            "quick_gelu" => Activation::QuickGelu,
            _ => bail!(
                "feed_forward_proj is {:?}: known are relu, gelu, gelu_new, quick_gelu, silu, \
                 tanh, sigmoid, mish and relu6, and each with gated- before",
                self.feed_forward_proj
            ),
        };
        Ok((activation, gated))
    }

    /// # Errors
    /// Names the first value that no model can have.
    pub fn validate(&self) -> Result<()> {
        let buckets = self.relative_attention_num_buckets;
        expect_sizes(&[
            ("vocab_size", self.vocab_size, 256_384),
            ("d_model", self.d_model, 4096),
            ("d_kv", self.d_kv, 64),
            ("d_ff", self.d_ff, 10_240),
            ("num_heads", self.num_heads, 64),
            ("relative_attention_num_buckets", buckets, 32),
            ("relative_attention_max_distance", self.relative_attention_max_distance, 128),
        ])?;
        expect_layers("num_layers", self.num_layers, 24)?;
        expect_number("layer_norm_epsilon", self.layer_norm_epsilon, 0.0, 1.0)?;
        ensure!(buckets >= 4, "relative_attention_num_buckets is {buckets}: it must be at least 4");
        let exact = buckets / 4;
        ensure!(
            self.relative_attention_max_distance > exact,
            "relative_attention_max_distance is {}: with {buckets} buckets it must be more than {exact}",
            self.relative_attention_max_distance
        );
        ensure!(
            !self.is_decoder,
            "is_decoder is true: the text encoder's configuration has it false"
        );
        self.feed_forward().map(drop).context("the feed-forward")
    }

    /// Operations (two a multiply-add) of the matrix products and attention of one forward through
    /// `layers` layers, for `tokens` tokens an item.
    pub fn flops(&self, layers: i64, batch: i64, tokens: i64) -> f64 {
        let projections = match self.feed_forward() {
            Ok((_, true)) => 3.0,
            _ => 2.0,
        };
        let (tokens, inner, model) = (tokens as f64, self.inner() as f64, self.d_model as f64);
        let attention = 4.0 * model * inner + 2.0 * tokens * inner;
        let one = tokens * (attention + projections * model * self.d_ff as f64);
        2.0 * (batch * layers) as f64 * one
    }

    /// Numbers in the weights of `layers` layers and the token embedding.
    pub fn weights(&self, layers: i64) -> f64 {
        let projections = if matches!(self.feed_forward(), Ok((_, true))) { 3 } else { 2 };
        let layer = 4 * self.d_model * self.inner() + projections * self.d_model * self.d_ff;
        (layers * layer + self.vocab_size * self.d_model) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.utils.flop_counter's count for the golden encoder, 2 x 160 tokens, plus attention,
    /// which it leaves out on a CPU: 2 layers of 4 * 160 * 160 * 32 an item.
    #[test]
    fn counts_what_the_reference_counts() {
        let config = TextEncoderConfig {
            d_model: 40,
            d_kv: 8,
            d_ff: 64,
            num_heads: 4,
            num_layers: 2,
            ..TextEncoderConfig::default()
        };
        assert_eq!(config.flops(2, 2, 160), 16_384_000.0 + 4.0 * 3_276_800.0);
    }
}
