//! Self attention with a learned bias for each distance (`UMT5Attention`).

use tch::{Device, Kind, Tensor};

use crate::models::linear::Linear;
use crate::weights::{Init, Scope};
use wan22_tune::architecture::TextEncoderConfig;

/// Unscaled attention; every layer has its own bias table.
pub struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// `[heads, buckets]`.
    bias: Tensor,
    heads: i64,
}

/// Which distances and which tokens a forward's attention sees; the same in every layer.
pub struct AttentionContext {
    /// The bucket of each distance, `[2 tokens - 1]`, the farthest behind first.
    buckets: Tensor,
    /// True where a token is padding, `[batch, 1, 1, tokens]`; none where nothing is.
    padding: Option<Tensor>,
    tokens: i64,
}

impl Attention {
    pub fn new(scope: &Scope, config: &TextEncoderConfig) -> Self {
        let (model, inner) = (config.d_model, config.inner());
        // Without a scale the queries are small, as the reference initialises them.
        let small = Init::Spread(1.0 / ((model * config.d_kv) as f64).sqrt());
        let shape = [config.relative_attention_num_buckets, config.num_heads];
        let bias = scope.sub("relative_attention_bias").tensor("weight", &shape, Init::Spread(0.5));
        Self {
            q: Linear::spread(&scope.sub("q"), model, inner, small),
            k: Linear::without_bias(&scope.sub("k"), model, inner),
            v: Linear::without_bias(&scope.sub("v"), model, inner),
            o: Linear::without_bias(&scope.sub("o"), inner, model),
            bias: bias.transpose(0, 1).contiguous(),
            heads: config.num_heads,
        }
    }

    /// `x` is `[batch, tokens, d_model]`.
    pub fn forward(&self, x: &Tensor, sight: &AttentionContext) -> Tensor {
        let split = |x: Tensor| x.unflatten(2, [self.heads, -1]).transpose(1, 2);
        let heads = Tensor::scaled_dot_product_attention(
            &split(self.q.forward(x)),
            &split(self.k.forward(x)),
            &split(self.v.forward(x)),
            Some(self.mask(sight)),
            0.0,
            false,
            1.0,
            false,
        );
        self.o.forward(&heads.transpose(1, 2).flatten(2, 3))
    }

    /// What is added to the scores, `[1 or batch, heads, tokens, tokens]`.
    fn mask(&self, sight: &AttentionContext) -> Tensor {
        let line = self.bias.index_select(1, &sight.buckets);
        // The row of token q holds the distances from -q on: windows of the line, the last one first.
        let mut bias = line.unfold(1, sight.tokens, 1).flip([1]).unsqueeze(0);
        match &sight.padding {
            // Of one text the copy can be spared.
            Some(one) if one.size()[0] == 1 => bias.masked_fill_(one, lowest(bias.kind())),
            Some(padding) => bias.masked_fill(padding, lowest(bias.kind())),
            None => bias,
        }
    }
}

impl AttentionContext {
    /// `mask` is `[batch, tokens]` of any kind, not 0 where a token counts.
    pub fn new(
        config: &TextEncoderConfig,
        tokens: i64,
        mask: Option<&Tensor>,
        device: Device,
    ) -> Self {
        let padding = mask.map(|mask| mask.to_device(device).eq(0).unsqueeze(1).unsqueeze(1));
        Self {
            buckets: buckets(config, tokens).to_device(device),
            padding: padding.filter(|padding| padding.any().int64_value(&[]) != 0),
            tokens,
        }
    }
}

/// The bucket of each distance from `1 - tokens` to `tokens - 1`: half of them for tokens behind,
/// half for tokens ahead, exact for small distances and logarithmic in float32 above.
fn buckets(config: &TextEncoderConfig, tokens: i64) -> Tensor {
    let side = config.relative_attention_num_buckets / 2;
    let exact = side / 2;
    let distance = Tensor::arange_start(1 - tokens, tokens, (Kind::Int64, Device::Cpu));
    let ahead = distance.gt(0).to_kind(Kind::Int64) * side;
    let distance = distance.abs();
    let reach = (config.relative_attention_max_distance as f64 / exact as f64).ln();
    let log = (distance.to_kind(Kind::Float) / exact as f64).log() / reach * (side - exact) as f64;
    let far = (log.to_kind(Kind::Int64) + exact).clamp_max(side - 1);
    ahead + distance.where_self(&distance.lt(exact), &far)
}

/// The lowest finite number of a kind.
fn lowest(kind: Kind) -> f64 {
    match kind {
        Kind::Half => -65_504.0,
        Kind::BFloat16 => -f64::from(f32::from_bits(0x7f7f_0000)),
        _ => -f64::from(f32::MAX),
    }
}
