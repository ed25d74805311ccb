//! The transformer's attention (`WanAttention`), for self and cross attention alike.

use tch::Tensor;

use super::rope::rotate;
use crate::models::linear::Linear;
use crate::weights::{Init, Scope};
use wan22_tune::architecture::TransformerConfig;

/// Multi-head attention with queries and keys RMS-normed over the whole width.
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    norm_q: Tensor,
    norm_k: Tensor,
    heads: i64,
    eps: f64,
}

impl Attention {
    pub fn new(scope: &Scope, config: &TransformerConfig) -> Self {
        let width = config.width();
        let linear = |name| Linear::new(&scope.sub(name), width, width);
        let norm = |name| scope.sub(name).tensor("weight", &[width], Init::Gain);
        Self {
            to_q: linear("to_q"),
            to_k: linear("to_k"),
            to_v: linear("to_v"),
            to_out: linear("to_out.0"),
            norm_q: norm("norm_q"),
            norm_k: norm("norm_k"),
            heads: config.num_attention_heads,
            eps: config.eps,
        }
    }

    /// Queries from `x`, keys and values from `context`, both `[batch, tokens, width]`; `rope`
    /// turns queries and keys.
    pub fn forward(&self, x: &Tensor, context: &Tensor, rope: Option<&Tensor>) -> Tensor {
        let query = self.placed(&self.to_q.forward(x), &self.norm_q, rope);
        let key = self.placed(&self.to_k.forward(context), &self.norm_k, rope);
        let value = self.split(&self.to_v.forward(context));
        let none = None::<&Tensor>;
        let heads = Tensor::scaled_dot_product_attention(
            &query.transpose(1, 2),
            &key.transpose(1, 2),
            &value.transpose(1, 2),
            none,
            0.0,
            false,
            None,
            false,
        );
        self.to_out.forward(&heads.transpose(1, 2).flatten(2, 3))
    }

    fn placed(&self, projected: &Tensor, gain: &Tensor, rope: Option<&Tensor>) -> Tensor {
        let normed = self.split(&projected.rms_norm(gain.size(), Some(gain), self.eps));
        match rope {
            Some(rope) => rotate(&normed, rope),
            None => normed,
        }
    }

    fn split(&self, x: &Tensor) -> Tensor {
        x.unflatten(2, [self.heads, -1])
    }
}
