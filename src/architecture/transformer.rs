//! The transformer's configuration, with the reference's field names and defaults.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::bounds::{expect_layers, expect_number, expect_sizes};

/// `WanTransformer3DModel`'s `config.json`. The defaults are A14B's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TransformerConfig {
    /// Latent frames, rows and columns that make one token.
    pub patch_size: [i64; 3],
    pub num_attention_heads: i64,
    pub attention_head_dim: i64,
    pub in_channels: i64,
    /// `None` or 0: as many as `in_channels`.
    pub out_channels: Option<i64>,
    /// Width of the text embedding.
    pub text_dim: i64,
    /// Width of the timestep's sinusoid.
    pub freq_dim: i64,
    pub ffn_dim: i64,
    pub num_layers: i64,
    /// Whether the cross attention's input is normed.
    pub cross_attn_norm: bool,
    /// Not looked at, as in the reference: queries and keys are always RMS-normed across heads.
    pub qk_norm: Option<String>,
    pub eps: f64,
    /// Width of an image's embedding: Wan 2.1 and Animate condition on CLIP's, Wan 2.2 does not.
    pub image_dim: Option<i64>,
    /// Width of what the image's own keys and values are made of.
    pub added_kv_proj_dim: Option<i64>,
    /// Image tokens that have a learned place: those of a first and a last frame together.
    pub pos_embed_seq_len: Option<i64>,
    /// The longest axis, in tokens, that the rotary embedding covers.
    pub rope_max_seq_len: i64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            patch_size: [1, 2, 2],
            num_attention_heads: 40,
            attention_head_dim: 128,
            in_channels: 16,
            out_channels: Some(16),
            text_dim: 4096,
            freq_dim: 256,
            ffn_dim: 13_824,
            num_layers: 40,
            cross_attn_norm: true,
            qk_norm: Some("rms_norm_across_heads".to_owned()),
            eps: 1e-6,
            image_dim: None,
            added_kv_proj_dim: None,
            pos_embed_seq_len: None,
            rope_max_seq_len: 1024,
        }
    }
}

impl TransformerConfig {
    /// Wan 2.2 TI2V-5B.
    pub fn ti2v_5b() -> Self {
        Self {
            num_attention_heads: 24,
            in_channels: 48,
            out_channels: Some(48),
            ffn_dim: 14_336,
            num_layers: 30,
            ..Self::default()
        }
    }

    /// One of Wan 2.2 T2V-A14B's two experts.
    pub fn t2v_a14b() -> Self {
        Self::default()
    }

    /// One of Wan 2.2 I2V-A14B's two experts: 16 channels of noise, 4 of mask, 16 of the image.
    pub fn i2v_a14b() -> Self {
        Self { in_channels: 36, ..Self::default() }
    }

    /// The model's width.
    pub fn width(&self) -> i64 {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Channels of the output.
    pub fn outputs(&self) -> i64 {
        self.out_channels.filter(|&channels| channels != 0).unwrap_or(self.in_channels)
    }

    /// The grid of tokens of a latent of these frames, rows and columns; what is left over of a
    /// patch is dropped, as in the reference.
    pub fn grid(&self, frames: i64, height: i64, width: i64) -> [i64; 3] {
        let [t, h, w] = self.patch_size;
        [frames / t, height / h, width / w]
    }

    /// # Errors
    /// Names the first value that no model can have.
    pub fn validate(&self) -> Result<()> {
        let [t, h, w] = self.patch_size;
        expect_sizes(&[
            ("num_attention_heads", self.num_attention_heads, 40),
            ("attention_head_dim", self.attention_head_dim, 128),
            ("in_channels", self.in_channels, 48),
            ("out_channels", self.outputs(), 48),
            ("text_dim", self.text_dim, 4096),
            ("freq_dim", self.freq_dim, 256),
            ("ffn_dim", self.ffn_dim, 14_336),
            ("rope_max_seq_len", self.rope_max_seq_len, 1024),
            ("patch_size", t, 1),
            ("patch_size", h, 2),
            ("patch_size", w, 2),
        ])?;
        expect_layers("num_layers", self.num_layers, 40)?;
        ensure!(self.freq_dim >= 2, "freq_dim is {}: it must be at least 2", self.freq_dim);
        ensure!(
            self.attention_head_dim >= 6 && self.attention_head_dim % 2 == 0,
            "attention_head_dim is {}: the rotary embedding needs an even number, at least 6",
            self.attention_head_dim
        );
        expect_number("eps", self.eps, 0.0, 1.0)?;
        let optional = [
            ("image_dim", self.image_dim, 1280),
            ("added_kv_proj_dim", self.added_kv_proj_dim, 5120),
            ("pos_embed_seq_len", self.pos_embed_seq_len, 514),
        ];
        let given = optional.into_iter().filter_map(|(key, value, most)| Some((key, value?, most)));
        expect_sizes(&given.collect::<Vec<_>>())
    }

    /// Floating-point operations (two a multiply-add) of the matrix products, attention and patch
    /// convolution of one forward through `layers` blocks.
    ///
    /// `latent` is `[frames, height, width]`, `text` the number of text tokens, `steps` the
    /// timesteps of one batch item: 1, or one per token.
    pub fn flops(&self, layers: i64, batch: i64, latent: [i64; 3], text: i64, steps: i64) -> f64 {
        let [frames, height, width] = latent;
        let tokens = self.grid(frames, height, width).iter().product::<i64>() as f64;
        let (dim, text, steps) = (self.width() as f64, text as f64, steps as f64);
        let patch = self.patch_size.iter().product::<i64>() as f64;
        let ends = tokens * patch * dim * (self.in_channels + self.outputs()) as f64;
        let time = steps * dim * (self.freq_dim as f64 + 7.0 * dim);
        let words = text * dim * (self.text_dim as f64 + dim);
        let one = batch as f64 * (ends + time + words + layers as f64 * self.block(tokens, text));
        2.0 * one
    }

    /// Operations of one block's self attention: `tokens` queries, `keys` keys.
    pub fn attention_flops(&self, tokens: i64, keys: i64) -> f64 {
        4.0 * tokens as f64 * keys as f64 * self.width() as f64
    }

    /// Operations of one block without its self attention.
    pub fn block_flops(&self, tokens: i64, text: i64) -> f64 {
        2.0 * self.block(tokens as f64, text as f64) - self.attention_flops(tokens, tokens)
    }

    /// Multiply-adds of one block.
    fn block(&self, tokens: f64, text: f64) -> f64 {
        let dim = self.width() as f64;
        let projections = (6.0 * tokens + 2.0 * text) * dim * dim;
        let attention = 2.0 * tokens * (tokens + text) * dim;
        let feed_forward = 2.0 * tokens * dim * self.ffn_dim as f64;
        projections + attention + feed_forward
    }

    /// Numbers in the weights of `layers` blocks and both ends; biases and norms, a thousandth of
    /// that, left out.
    pub fn weights(&self, layers: i64) -> f64 {
        let dim = self.width();
        let block = 8 * dim * dim + 2 * dim * self.ffn_dim;
        let patch = self.patch_size.iter().product::<i64>();
        let ends = dim * patch * (self.in_channels + self.outputs());
        let time = dim * (self.freq_dim + 7 * dim);
        let text = dim * (self.text_dim + dim);
        (layers * block + ends + time + text) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.utils.flop_counter's count for the golden transformer at batch 2, plus attention,
    /// which it leaves out on a CPU: 2 layers of 4 * 72 * (72 + 20) * 48 an item.
    #[test]
    fn counts_what_the_reference_counts() {
        let config = TransformerConfig {
            num_attention_heads: 3,
            attention_head_dim: 16,
            in_channels: 6,
            out_channels: Some(6),
            text_dim: 40,
            freq_dim: 32,
            ffn_dim: 112,
            num_layers: 2,
            ..TransformerConfig::default()
        };
        let attention = 2.0 * 2.0 * 1_271_808.0;
        assert_eq!(config.flops(2, 2, [3, 8, 12], 20, 1), 15_965_184.0 + attention);
        assert_eq!(config.flops(2, 2, [3, 8, 12], 20, 72), 20_981_760.0 + attention);
    }

    /// The numbers that diffusers counts: 4999.8 and 14288.5 million.
    #[test]
    fn weighs_what_the_reference_weighs() {
        let close = |weights: f64, millions: f64| (weights / 1e6 / millions - 1.0).abs() < 2e-3;
        assert!(close(TransformerConfig::ti2v_5b().weights(30), 4999.8));
        assert!(close(TransformerConfig::t2v_a14b().weights(40), 14288.5));
    }
}
