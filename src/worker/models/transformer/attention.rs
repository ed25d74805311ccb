//! The transformer's attention (`WanAttention`), for self and cross attention alike.

use tch::Tensor;

use super::keys::JobKeys;
use super::rope::rotate;
use crate::models::linear::Linear;
use crate::models::unit_clock::timed;
use crate::weights::{Init, Scope};
use wan22_tune::architecture::TransformerConfig;
use wan22_tune::workload::StageUnit;

/// Multi-head attention with queries and keys RMS-normed over the whole width.
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    norm_q: Tensor,
    norm_k: Tensor,
    image: Option<ImageKeys>,
    /// Of self attention in a slice of a job.
    keys: JobKeys,
    heads: i64,
    eps: f64,
}

/// Keys and values that the image's tokens have of their own (Wan 2.1).
struct ImageKeys {
    to_k: Linear,
    to_v: Linear,
    norm_k: Tensor,
}

/// Tokens of text at the end of a context, as the reference counts them; before them are the image's.
const TEXT_TOKENS: i64 = 512;

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
            image: None,
            keys: JobKeys::default(),
            heads: config.num_attention_heads,
            eps: config.eps,
        }
    }

    /// The same, with keys and values for an image where the configuration has them.
    pub fn cross(scope: &Scope, config: &TransformerConfig) -> Self {
        let keys = |dim| {
            let linear = |name| Linear::new(&scope.sub(name), dim, config.width());
            let norm_k = scope.sub("norm_added_k").tensor("weight", &[config.width()], Init::Gain);
            ImageKeys { to_k: linear("add_k_proj"), to_v: linear("add_v_proj"), norm_k }
        };
        Self { image: config.added_kv_proj_dim.map(keys), ..Self::new(scope, config) }
    }

    /// The same, among this many keys.
    pub fn among(self, keys: i64) -> Self {
        Self { keys: JobKeys::of(keys), ..self }
    }

    /// Queries from `x`, keys and values from `context`, both `[batch, tokens, width]`; `rope`
    /// turns queries and keys.
    pub fn forward(&self, x: &Tensor, context: &Tensor, rope: Option<&Tensor>) -> Tensor {
        let query = self.placed(&self.to_q.forward(x), &self.norm_q, rope);
        let Some(image) = &self.image else {
            return self.to_out.forward(&self.seen(&query, context, rope));
        };
        let [pictures, text] = parted(context);
        let key = self.placed(&image.to_k.forward(&pictures), &image.norm_k, None);
        let shown = attend(&query, &key, &self.split(&image.to_v.forward(&pictures)));
        self.to_out.forward(&(self.seen(&query, &text, rope) + shown))
    }

    fn seen(&self, query: &Tensor, context: &Tensor, rope: Option<&Tensor>) -> Tensor {
        let key = self.placed(&self.to_k.forward(context), &self.norm_k, rope);
        let value = self.split(&self.to_v.forward(context));
        if rope.is_none() {
            return attend(query, &key, &value);
        }
        let [key, value] = self.keys.among(key, value);
        let (size, width) = (query.size(), query.size()[3]);
        let [heads, queries] = self.keys.shape(size[1], self.heads);
        let query = query.reshape([size[0], queries, heads, width]);
        let [key, value] = [key, value].map(|all| all.narrow(2, 0, heads));
        let seen = timed(StageUnit::Attention, || attend(&query, &key, &value));
        seen.reshape([size[0], size[1], -1])
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

/// Attention of `[batch, tokens, heads, head width]` each.
fn attend(query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
    let [query, key, value] = [query, key, value].map(|tensor| tensor.transpose(1, 2));
    let none = None::<&Tensor>;
    let heads =
        Tensor::scaled_dot_product_attention(&query, &key, &value, none, 0.0, false, None, false);
    heads.transpose(1, 2).flatten(2, 3)
}

/// The image's tokens and the text's. A context shorter than [`TEXT_TOKENS`] is parted where the
/// reference's slices part it, counted from its end.
fn parted(context: &Tensor) -> [Tensor; 2] {
    let tokens = context.size()[1];
    let image = tokens - TEXT_TOKENS;
    let image = if image < 0 { (tokens + image).max(0) } else { image };
    [context.narrow(1, 0, image), context.narrow(1, image, tokens - image)]
}
