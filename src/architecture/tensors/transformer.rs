//! The transformer's tensors.

use super::{Scope, Tensors};
use crate::architecture::TransformerConfig;

impl TransformerConfig {
    /// What its first `layers` blocks and both ends are built from. A transformer with an
    /// `image_dim`, which no job runs, has more.
    pub fn tensors(&self, layers: i64) -> Tensors {
        let mut tensors = Tensors::new();
        let mut root = Scope::root(&mut tensors);
        let (width, patch) = (self.width(), self.patch_size);
        let [t, h, w] = patch;
        root.tensor("scale_shift_table", &[1, 2, width]);
        root.kernel("patch_embedding", &[width, self.in_channels, t, h, w]);
        let outputs = self.outputs() * patch.iter().product::<i64>();
        root.kernel("proj_out", &[outputs, width]);
        let mut condition = root.sub("condition_embedder");
        condition.kernel("time_embedder.linear_1", &[width, self.freq_dim]);
        condition.kernel("time_embedder.linear_2", &[width, width]);
        condition.kernel("time_proj", &[6 * width, width]);
        condition.kernel("text_embedder.linear_1", &[width, self.text_dim]);
        condition.kernel("text_embedder.linear_2", &[width, width]);
        for layer in 0..layers {
            self.block_tensors(&mut root.sub("blocks").sub(layer));
        }
        tensors
    }

    fn block_tensors(&self, block: &mut Scope<'_>) {
        let width = self.width();
        block.tensor("scale_shift_table", &[1, 6, width]);
        for attention in ["attn1", "attn2"] {
            let mut attention = block.sub(attention);
            for linear in ["to_q", "to_k", "to_v", "to_out.0"] {
                attention.kernel(linear, &[width, width]);
            }
            attention.tensor("norm_q.weight", &[width]);
            attention.tensor("norm_k.weight", &[width]);
        }
        if self.cross_attn_norm {
            block.tensor("norm2.weight", &[width]);
            block.tensor("norm2.bias", &[width]);
        }
        block.kernel("ffn.net.0.proj", &[self.ffn_dim, width]);
        block.kernel("ffn.net.2", &[width, self.ffn_dim]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// diffusers counts 825 tensors of 4999.8 million numbers, and 1095 of 14288.5 million.
    #[test]
    fn there_are_as_many_as_the_reference_has() {
        let counted = |config: TransformerConfig| {
            let tensors = config.tensors(config.num_layers);
            let numbers: i64 = tensors.values().map(|shape| shape.iter().product::<i64>()).sum();
            (tensors.len(), (numbers as f64 / 1e5).round() / 10.0)
        };
        assert_eq!(counted(TransformerConfig::ti2v_5b()), (825, 4999.8));
        assert_eq!(counted(TransformerConfig::t2v_a14b()), (1095, 14288.5));
    }
}
