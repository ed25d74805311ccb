//! One block of the transformer (`WanTransformerBlock`).

use tch::{Kind, Tensor};

use super::attention::Attention;
use super::condition::Condition;
use wan22_tune::architecture::TransformerConfig;

use super::modulated;
use crate::models::linear::Linear;
use crate::weights::{Init, Scope};

/// Self attention, cross attention and feed-forward, modulated in float32.
pub struct Block {
    self_attention: Attention,
    cross_attention: Attention,
    /// Weight and bias of the norm before the cross attention.
    cross_norm: Option<(Tensor, Tensor)>,
    ffn_in: Linear,
    ffn_out: Linear,
    /// What is added to the timestep's modulation, `[1, 6, width]`, float32.
    table: Tensor,
    eps: f64,
}

impl Block {
    pub fn new(scope: &Scope, config: &TransformerConfig) -> Self {
        let width = config.width();
        let norm = scope.sub("norm2").float();
        let affine = || {
            (norm.tensor("weight", &[width], Init::Gain), norm.tensor("bias", &[width], Init::Bias))
        };
        let spread = Init::Spread(1.0 / (width as f64).sqrt());
        Self {
            self_attention: Attention::new(&scope.sub("attn1"), config),
            cross_attention: Attention::cross(&scope.sub("attn2"), config),
            cross_norm: config.cross_attn_norm.then(affine),
            ffn_in: Linear::new(&scope.sub("ffn.net.0.proj"), width, config.ffn_dim),
            ffn_out: Linear::new(&scope.sub("ffn.net.2"), config.ffn_dim, width),
            table: scope.float().tensor("scale_shift_table", &[1, 6, width], spread),
            eps: config.eps,
        }
    }

    /// The same, whose tokens attend to this many.
    pub fn among(self, keys: i64) -> Self {
        Self { self_attention: self.self_attention.among(keys), ..self }
    }

    /// `x` is `[batch, tokens, width]`; it may be changed in place.
    #[expect(clippy::needless_pass_by_value, reason = "the caller's is no longer what it was")]
    pub fn forward(&self, x: Tensor, condition: &Condition, rope: &Tensor) -> Tensor {
        let part = |index| &condition.modulation.select(2, index) + self.table.select(1, index);
        let normed = modulated(&x, &part(0), &part(1), self.eps);
        let update = self.self_attention.forward(&normed, &normed, Some(rope));
        let mut x = gated(&x, &update, &part(2));

        let update = match &self.cross_norm {
            Some((weight, bias)) => {
                let wide = x.to_kind(Kind::Float);
                let normed =
                    wide.layer_norm(weight.size(), Some(weight), Some(bias), self.eps, false);
                self.cross_attention.forward(&normed.to_kind(x.kind()), &condition.context, None)
            }
            None => self.cross_attention.forward(&x, &condition.context, None),
        };
        let x = x.g_add_(&update);

        let normed = modulated(&x, &part(3), &part(4), self.eps);
        let update = self.ffn_out.forward(&self.ffn_in.forward(&normed).gelu_("tanh"));
        gated(&x, &update, &part(5))
    }
}

/// `x + update * gate` in float32, in `x`'s kind, in place where that is float32 already.
fn gated(x: &Tensor, update: &Tensor, gate: &Tensor) -> Tensor {
    x.to_kind(Kind::Float).addcmul_(update, gate).to_kind(x.kind())
}
