//! The denoising transformer (`WanTransformer3DModel`), in the widths of TI2V-5B and A14B or any
//! other: patches, timestep and text conditioning, rotary embedding, blocks, head.

mod attention;
mod block;
mod condition;
mod image;
mod keys;
mod rope;

use wan22_tune::architecture::TransformerConfig;
use wan22_tune::workload::StageUnit;

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};

use super::expect_rank;
use super::linear::Linear;
use crate::models::unit_clock::timed;
use crate::weights::{Init, Scope, Weights};
use block::Block;
use condition::ConditionEmbedder;
use rope::Rope;

/// A transformer ready to run.
pub struct Transformer {
    config: TransformerConfig,
    rope: Rope,
    patch_weight: Tensor,
    patch_bias: Tensor,
    condition: ConditionEmbedder,
    blocks: Vec<Block>,
    proj_out: Linear,
    /// Shift and scale of the head, `[1, 2, width]`, float32.
    table: Tensor,
    kind: Kind,
}

impl Transformer {
    /// The kind of its weights.
    pub fn kind(&self) -> Kind {
        self.patch_weight.kind()
    }

    /// Builds the first `layers` blocks (at most `num_layers`) and everything around them.
    ///
    /// # Errors
    /// An impossible configuration, or weights that don't fit it.
    pub fn new(
        weights: &Weights,
        config: &TransformerConfig,
        layers: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        config.validate().context("WanTransformer3DModel's config")?;
        ensure!(
            (0..=config.num_layers).contains(&layers),
            "{layers} layers of a transformer that has {}",
            config.num_layers
        );
        let model = Self::build(&weights.root(kind, device), config, layers, device);
        let whole = Weights::names();
        for layer in layers..config.num_layers {
            Block::new(&whole.root(kind, Device::Cpu).sub("blocks").sub(layer), config);
        }
        let deeper = whole.asked();
        // Older files have a norm that the reference, too, passes over.
        weights.finish(|name| deeper.contains_key(name) || name.contains("norm_added_q"))?;
        Ok(model)
    }

    /// The same, for a slice of a job whose tokens attend to this many keys.
    #[must_use]
    pub fn among(mut self, keys: i64) -> Self {
        self.blocks = self.blocks.into_iter().map(|block| block.among(keys)).collect();
        self
    }

    fn build(scope: &Scope, config: &TransformerConfig, layers: i64, device: Device) -> Self {
        let width = config.width();
        let patch = scope.sub("patch_embedding");
        let [t, h, w] = config.patch_size;
        let outputs = config.outputs() * t * h * w;
        let spread = Init::Spread(1.0 / (width as f64).sqrt());
        Self {
            rope: Rope::new(config, device),
            patch_weight: patch.tensor(
                "weight",
                &[width, config.in_channels, t, h, w],
                Init::Kernel,
            ),
            patch_bias: patch.tensor("bias", &[width], Init::Bias),
            condition: ConditionEmbedder::new(&scope.sub("condition_embedder"), config),
            blocks: (0..layers)
                .map(|layer| Block::new(&scope.sub("blocks").sub(layer), config))
                .collect(),
            proj_out: Linear::new(&scope.sub("proj_out"), width, outputs),
            table: scope.float().tensor("scale_shift_table", &[1, 2, width], spread),
            kind: scope.kind(),
            config: config.clone(),
        }
    }

    /// One denoising forward.
    ///
    /// * `hidden_states`: `[batch, in_channels, frames, height, width]`;
    /// * `timestep`: `[batch]`, or `[batch, tokens]` as TI2V-5B has it, of any kind;
    /// * `encoder_hidden_states`: `[batch, text tokens, text_dim]`;
    /// * `image`, the reference's `encoder_hidden_states_image`: `[batch, tokens, image_dim]`.
    ///
    /// Returns `[batch, out_channels, frames, height, width]`, of whole patches.
    ///
    /// # Errors
    /// Names the argument whose shape doesn't fit.
    pub fn forward(
        &self,
        hidden_states: &Tensor,
        timestep: &Tensor,
        encoder_hidden_states: &Tensor,
        image: Option<&Tensor>,
    ) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let grid = self.accept(hidden_states, timestep, encoder_hidden_states)?;
        timed(StageUnit::Ends, || {
            self.run(hidden_states, timestep, encoder_hidden_states, image, grid)
        })
    }

    fn run(
        &self,
        hidden_states: &Tensor,
        timestep: &Tensor,
        encoder_hidden_states: &Tensor,
        image: Option<&Tensor>,
        grid: [i64; 3],
    ) -> Result<Tensor> {
        let rope = self.rope.grid(grid)?;
        let text = encoder_hidden_states.to_kind(self.kind);
        let condition = self.condition.forward(timestep, &text, image)?;
        let patches = hidden_states.to_kind(self.kind).conv3d(
            &self.patch_weight,
            Some(&self.patch_bias),
            self.config.patch_size,
            [0, 0, 0],
            [1, 1, 1],
            1,
        );
        let tokens = patches.flatten(2, -1).transpose(1, 2).contiguous();
        let tokens = timed(StageUnit::Blocks, || {
            self.blocks.iter().fold(tokens, |x, block| block.forward(x, &condition, &rope))
        });
        let part = |index| &condition.time + self.table.select(1, index);
        let normed = modulated(&tokens, &part(0), &part(1), self.config.eps);
        Ok(self.unpatchify(&self.proj_out.forward(&normed), grid))
    }

    fn unpatchify(&self, tokens: &Tensor, [f, h, w]: [i64; 3]) -> Tensor {
        let [pt, ph, pw] = self.config.patch_size;
        let batch = tokens.size()[0];
        tokens
            .reshape([batch, f, h, w, pt, ph, pw, -1].as_slice())
            .permute([0, 7, 1, 4, 2, 5, 3, 6].as_slice())
            .reshape([batch, self.config.outputs(), f * pt, h * ph, w * pw])
    }

    /// Checks the arguments' shapes and returns the grid of tokens.
    fn accept(&self, latent: &Tensor, timestep: &Tensor, text: &Tensor) -> Result<[i64; 3]> {
        expect_rank(latent, "hidden_states", &["batch", "channels", "frames", "height", "width"])?;
        expect_rank(text, "encoder_hidden_states", &["batch", "tokens", "text_dim"])?;
        let (latent, text, steps) = (latent.size(), text.size(), timestep.size());
        let batch = latent[0];
        let (channels, text_dim) = (self.config.in_channels, self.config.text_dim);
        ensure!(
            latent[1] == channels,
            "hidden_states has {} channels: in_channels is {channels}",
            latent[1]
        );
        ensure!(
            text[2] == text_dim,
            "encoder_hidden_states is {} wide: text_dim is {text_dim}",
            text[2]
        );
        ensure!(
            text[0] == batch || text[0] == 1,
            "encoder_hidden_states has batch {}, hidden_states {batch}",
            text[0]
        );
        let grid = self.config.grid(latent[2], latent[3], latent[4]);
        let tokens: i64 = grid.iter().product();
        ensure!(
            tokens > 0,
            "hidden_states {latent:?} is smaller than a patch, {:?}",
            self.config.patch_size
        );
        let fits = match steps[..] {
            [items] => items == batch || items == 1,
            [items, each] => (items == batch || items == 1) && (each == tokens || each == 1),
            _ => false,
        };
        ensure!(fits, "timestep is {steps:?}: it should be [{batch}] or [{batch}, {tokens}]");
        Ok(grid)
    }
}

/// `layer_norm(x) * (1 + scale) + shift` in float32, in `x`'s kind.
fn modulated(x: &Tensor, shift: &Tensor, scale: &Tensor, eps: f64) -> Tensor {
    let none = None::<&Tensor>;
    let width = x.size()[2];
    let normed = x.to_kind(Kind::Float).layer_norm([width], none, none, eps, false);
    shift.addcmul(&normed, &(scale + 1.0)).to_kind(x.kind())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A whole model's folder serves a trial of fewer layers; its other layers are no surplus.
    #[test]
    fn some_layers_of_a_whole_model_can_be_built() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan/transformer");
        let config = std::fs::read(folder.join("config.json")).expect("the goldens are committed");
        let config: TransformerConfig =
            serde_json::from_slice(&config).expect("diffusers' own JSON");
        let build = |layers| {
            let weights = Weights::open(&folder)?;
            Transformer::new(&weights, &config, layers, Kind::BFloat16, Device::Cpu)
        };
        let noise = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let sample = |model: &Transformer| {
            model
                .forward(&noise(&[1, 6, 1, 4, 4]), &noise(&[1]), &noise(&[1, 3, 40]), None)
                .unwrap()
        };
        let [one, two] = [1, 2].map(|layers| sample(&build(layers).unwrap()));
        assert_eq!(one.size(), [1, 6, 1, 4, 4]);
        assert_ne!(one, two);
        assert!(build(3).err().expect("refused").to_string().contains("3 layers"));
    }
}
