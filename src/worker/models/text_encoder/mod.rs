//! The text encoder (`UMT5EncoderModel`): relative bias in every layer, gated feed-forward.

mod attention;

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};

use super::expect_rank;
use super::linear::Linear;
use crate::weights::{Init, Scope, Weights};
use attention::{Attention, AttentionContext};
use wan22_tune::architecture::{Activation, TextEncoderConfig};

/// The two names under which files hold the token embedding; they share their memory.
const EMBEDDING: [&str; 2] = ["shared", "encoder.embed_tokens"];

/// A text encoder ready to run.
pub struct TextEncoder {
    config: TextEncoderConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    final_norm: Norm,
}

impl TextEncoder {
    /// The kind of its weights.
    pub fn kind(&self) -> Kind {
        self.embedding.kind()
    }

    /// Tokens that it knows.
    pub fn vocabulary(&self) -> i64 {
        self.config.vocab_size
    }

    /// Builds the first `layers` layers (at most `num_layers`), the embedding and the last norm.
    ///
    /// # Errors
    /// An impossible configuration, or weights that don't fit it.
    pub fn new(
        weights: &Weights,
        config: &TextEncoderConfig,
        layers: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        config.validate().context("UMT5EncoderModel's config")?;
        ensure!(
            (0..=config.num_layers).contains(&layers),
            "{layers} layers of a text encoder that has {}",
            config.num_layers
        );
        let root = weights.root(kind, device);
        let encoder = root.sub("encoder");
        let table = EMBEDDING
            .iter()
            .find(|name| weights.has(&format!("{name}.weight")))
            .unwrap_or(&EMBEDDING[0]);
        let shape = [config.vocab_size, config.d_model];
        let model = Self {
            embedding: root.sub(table).tensor("weight", &shape, Init::Spread(1.0)),
            layers: (0..layers)
                .map(|layer| Layer::new(&encoder.sub("block").sub(layer).sub("layer"), config))
                .collect::<Result<_>>()?,
            final_norm: Norm::new(&encoder.sub("final_layer_norm"), config),
            config: config.clone(),
        };
        let whole = Weights::names();
        for layer in layers..config.num_layers {
            let blocks = whole.root(kind, Device::Cpu).sub("encoder.block");
            Layer::new(&blocks.sub(layer).sub("layer"), config)?;
        }
        let deeper = whole.asked();
        let is_embedding = |name: &str| EMBEDDING.iter().any(|e| name == format!("{e}.weight"));
        weights.finish(|name| deeper.contains_key(name) || is_embedding(name))?;
        Ok(model)
    }

    /// Encodes `input_ids`, `[batch, tokens]`; `attention_mask`, of the same shape, is 0 where a
    /// token is padding. Returns the last hidden state, `[batch, tokens, d_model]`.
    ///
    /// # Errors
    /// Where a shape doesn't fit, or an id is outside the vocabulary.
    pub fn forward(&self, input_ids: &Tensor, attention_mask: Option<&Tensor>) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.accept(input_ids, attention_mask)?;
        let device = self.embedding.device();
        let ids = input_ids.to_kind(Kind::Int64).to_device(device);
        let sight = AttentionContext::new(&self.config, ids.size()[1], attention_mask, device);
        let hidden = Tensor::embedding(&self.embedding, &ids, -1, false, false);
        let hidden = self.layers.iter().fold(hidden, |x, layer| layer.forward(x, &sight));
        Ok(self.final_norm.forward(&hidden))
    }

    fn accept(&self, ids: &Tensor, mask: Option<&Tensor>) -> Result<()> {
        expect_rank(ids, "input_ids", &["batch", "tokens"])?;
        let kind = ids.kind();
        ensure!(
            matches!(kind, Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Uint8 | Kind::Int8),
            "input_ids is {kind:?}: it must hold integers"
        );
        let ids = ids.to_kind(Kind::Int64);
        for id in [ids.min(), ids.max()].map(|id| id.int64_value(&[])) {
            let size = self.config.vocab_size;
            ensure!(
                (0..size).contains(&id),
                "input_ids has {id}: the vocabulary has 0 to {}",
                size - 1
            );
        }
        let Some(mask) = mask else { return Ok(()) };
        ensure!(
            mask.size() == ids.size(),
            "attention_mask is {:?}: it should be {:?} like input_ids",
            mask.size(),
            ids.size()
        );
        Ok(())
    }
}

/// Attention and feed-forward, each behind a norm and around a shortcut (`UMT5Block`).
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
}

impl Layer {
    fn new(scope: &Scope, config: &TextEncoderConfig) -> Result<Self> {
        let [first, second] = [scope.sub(0), scope.sub(1)];
        Ok(Self {
            attention_norm: Norm::new(&first.sub("layer_norm"), config),
            attention: Attention::new(&first.sub("SelfAttention"), config),
            feed_forward_norm: Norm::new(&second.sub("layer_norm"), config),
            feed_forward: FeedForward::new(&second.sub("DenseReluDense"), config)?,
        })
    }

    fn forward(&self, x: Tensor, sight: &AttentionContext) -> Tensor {
        let update = self.attention.forward(&self.attention_norm.forward(&x), sight);
        let x = finite(x + update);
        let update = self.feed_forward.forward(&self.feed_forward_norm.forward(&x));
        finite(x + update)
    }
}

/// float16 clamped to what the next layer can add to; other kinds as they are.
fn finite(x: Tensor) -> Tensor {
    if x.kind() != Kind::Half {
        return x;
    }
    let infinite = x.isinf().any().int64_value(&[]) != 0;
    let limit = if infinite { 64_504.0 } else { 65_504.0 };
    x.clamp(-limit, limit)
}

/// RMS norm with the mean square in float32 (`UMT5LayerNorm`).
struct Norm {
    weight: Tensor,
    eps: f64,
}

impl Norm {
    fn new(scope: &Scope, config: &TextEncoderConfig) -> Self {
        Self {
            weight: scope.tensor("weight", &[config.d_model], Init::Gain),
            eps: config.layer_norm_epsilon,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let square = wide.square().mean_dim([-1].as_slice(), true, None);
        (wide * (square + self.eps).rsqrt()).to_kind(self.weight.kind()).g_mul_(&self.weight)
    }
}

/// Two projections in, or one, an activation, and one out.
struct FeedForward {
    inputs: Vec<Linear>,
    output: Linear,
    activation: Activation,
}

impl FeedForward {
    fn new(scope: &Scope, config: &TextEncoderConfig) -> Result<Self> {
        let (activation, gated) = config.feed_forward()?;
        let names: &[&str] = if gated { &["wi_0", "wi_1"] } else { &["wi"] };
        let input =
            |name: &&str| Linear::without_bias(&scope.sub(name), config.d_model, config.d_ff);
        let out = scope.sub("wo");
        // In float16 the reference keeps this one in float32.
        let out = if out.kind() == Kind::Half { out.float() } else { out };
        Ok(Self {
            inputs: names.iter().map(input).collect(),
            output: Linear::without_bias(&out, config.d_ff, config.d_model),
            activation,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let mut hidden = self.inputs[0].forward(x);
        let mut hidden = match self.activation {
            Activation::Relu => hidden.relu_(),
            Activation::Gelu => hidden.gelu_("none"),
            Activation::GeluTanh => hidden.gelu_("tanh"),
            Activation::Silu => hidden.silu_(),
            Activation::Tanh => hidden.tanh_(),
            Activation::Sigmoid => hidden.sigmoid_(),
            Activation::Mish => hidden.mish_(),
            Activation::Relu6 => hidden.relu6_(),
            Activation::QuickGelu => (&hidden * 1.702).sigmoid_() * hidden,
        };
        if let Some(gate) = self.inputs.get(1) {
            hidden = hidden.g_mul_(&gate.forward(x));
        }
        self.output.forward(&hidden.to_kind(self.output.kind()))
    }
}
