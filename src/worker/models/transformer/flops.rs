//! The arithmetic of one forward, from the configuration alone.

use super::TransformerConfig;

impl TransformerConfig {
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

    /// Multiply-adds of one block.
    fn block(&self, tokens: f64, text: f64) -> f64 {
        let dim = self.width() as f64;
        let projections = (6.0 * tokens + 2.0 * text) * dim * dim;
        let attention = 2.0 * tokens * (tokens + text) * dim;
        let feed_forward = 2.0 * tokens * dim * self.ffn_dim as f64;
        projections + attention + feed_forward
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
}
