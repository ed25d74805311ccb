//! The transformer's configuration, with the reference's field names and defaults.

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::models::expect_positive;

/// `WanTransformer3DModel`'s `config.json`. The defaults are A14B's.
#[derive(Debug, Clone, Deserialize)]
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
    /// Wan 2.1's image embedding; must be null.
    pub image_dim: Option<i64>,
    /// Wan 2.1's image keys and values; must be null.
    pub added_kv_proj_dim: Option<i64>,
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
        expect_positive(&[
            ("num_attention_heads", self.num_attention_heads),
            ("in_channels", self.in_channels),
            ("out_channels", self.outputs()),
            ("text_dim", self.text_dim),
            ("ffn_dim", self.ffn_dim),
            ("rope_max_seq_len", self.rope_max_seq_len),
            ("patch_size", self.patch_size.into_iter().min().unwrap_or(0)),
        ])?;
        ensure!(self.num_layers >= 0, "num_layers is {}: it can't be negative", self.num_layers);
        ensure!(self.freq_dim >= 2, "freq_dim is {}: it must be at least 2", self.freq_dim);
        ensure!(
            self.attention_head_dim >= 6 && self.attention_head_dim % 2 == 0,
            "attention_head_dim is {}: the rotary embedding needs an even number, at least 6",
            self.attention_head_dim
        );
        ensure!(self.eps >= 0.0, "eps is {}: it can't be negative", self.eps);
        for (key, value) in
            [("image_dim", self.image_dim), ("added_kv_proj_dim", self.added_kv_proj_dim)]
        {
            ensure!(
                value.is_none(),
                "{key} is set: that is Wan 2.1's image branch, which Wan 2.2 does not have; \
                 give a Wan 2.2 model, where it is null"
            );
        }
        Ok(())
    }
}
