//! The text encoder's tensors.

use super::{Scope, Tensors};
use crate::architecture::TextEncoderConfig;

impl TextEncoderConfig {
    /// The two names under which files hold the token embedding; they share their memory.
    pub const EMBEDDINGS: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

    /// What its first `layers` layers, the embedding and the last norm are built from. `embedding`
    /// is one of [`Self::EMBEDDINGS`].
    pub fn tensors(&self, layers: i64, embedding: &str) -> Tensors {
        let mut tensors = Tensors::new();
        let mut root = Scope::root(&mut tensors);
        root.tensor(embedding, &[self.vocab_size, self.d_model]);
        root.tensor("encoder.final_layer_norm.weight", &[self.d_model]);
        for layer in 0..layers {
            self.layer(&mut root.sub("encoder.block").sub(layer).sub("layer"));
        }
        tensors
    }

    fn layer(&self, layer: &mut Scope<'_>) {
        let (model, inner, wide) = (self.d_model, self.inner(), self.d_ff);
        layer.tensor("0.layer_norm.weight", &[model]);
        layer.tensor("1.layer_norm.weight", &[model]);
        let mut attention = layer.sub("0.SelfAttention");
        for linear in ["q", "k", "v"] {
            attention.tensor(&format!("{linear}.weight"), &[inner, model]);
        }
        attention.tensor("o.weight", &[model, inner]);
        let buckets = self.relative_attention_num_buckets;
        attention.tensor("relative_attention_bias.weight", &[buckets, self.num_heads]);
        let mut forward = layer.sub("1.DenseReluDense");
        let is_gated = matches!(self.feed_forward(), Ok((_, true)));
        let inputs = if is_gated { &["wi_0", "wi_1"][..] } else { &["wi"] };
        for linear in inputs {
            forward.tensor(&format!("{linear}.weight"), &[wide, model]);
        }
        forward.tensor("wo.weight", &[model, wide]);
    }
}
