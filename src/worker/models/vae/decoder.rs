//! The VAE's decoder (`WanDecoder3d` with `post_quant_conv`).

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Grid, Tiling, VaeConfig, VaeStage};
use wan22_tune::workload::StageUnit;

use super::blocks::{Head, MidBlock, ResidualBlock, residual_blocks};
use super::cache::FeatureCache;
use super::conv::{CausalConv3d, VaeOptions};
use super::encoder::Encoder;
use super::patch::unpatchify;
use super::resample::{Upsample, repeated};
use super::tiling;
use crate::models::expect_rank;
use crate::models::unit_clock::timed;
use crate::weights::{Scope, Weights};

/// Turns latents into pictures.
pub struct Decoder {
    config: VaeConfig,
    post_quant_conv: CausalConv3d,
    conv_in: CausalConv3d,
    middle: MidBlock,
    stages: Vec<UpStage>,
    head: Head,
    options: VaeOptions,
    kind: Kind,
}

/// `WanUpBlock`, and with a shortcut `WanResidualUpBlock`.
struct UpStage {
    stage: VaeStage,
    blocks: Vec<ResidualBlock>,
    up: Option<Upsample>,
    shortcut: bool,
}

impl Decoder {
    /// Builds the decoder alone.
    ///
    /// # Errors
    /// An impossible configuration, or weights that don't fit it. The encoder's may be there.
    pub fn new(
        weights: &Weights,
        config: &VaeConfig,
        options: VaeOptions,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        config.validate().context("AutoencoderKLWan's config")?;
        let decoder = Self::build(&weights.root(kind, device), config, options);
        weights.finish(Encoder::owns)?;
        Ok(decoder)
    }

    /// Whether a tensor of this name is the decoder's.
    pub fn owns(name: &str) -> bool {
        ["decoder.", "post_quant_conv."].iter().any(|prefix| name.starts_with(prefix))
    }

    /// The weight of its first convolution.
    pub fn kernel(&self) -> &Tensor {
        self.conv_in.weight()
    }

    fn build(root: &Scope, config: &VaeConfig, options: VaeOptions) -> Self {
        let scope = root.sub("decoder");
        let stages = config.decoder_stages();
        let (first, last) = (stages[0].inputs, stages[stages.len() - 1].outputs);
        let conv = |scope: Scope, outputs, kernel| {
            CausalConv3d::new(&scope, config.z_dim, outputs, kernel, options)
        };
        let up_blocks = scope.sub("up_blocks");
        let stage = |(index, stage)| UpStage::new(&up_blocks.sub(index), config, stage, options);
        Self {
            post_quant_conv: conv(root.sub("post_quant_conv"), config.z_dim, [1; 3]),
            conv_in: conv(scope.sub("conv_in"), first, [3; 3]),
            middle: MidBlock::new(&scope.sub("mid_block"), first, options),
            stages: stages.into_iter().enumerate().map(stage).collect(),
            head: Head::new(&scope, last, config.out_channels, options),
            options,
            kind: root.kind(),
            config: config.clone(),
        }
    }

    /// The pictures of a latent, in [-1, 1].
    ///
    /// `z` is `[batch, z_dim, frames, height, width]`, not normalised. The first latent frame makes
    /// one picture, each further one four (two for each stage that doubles time). With `tiling`,
    /// latents larger than a tile are decoded tile by tile and blended.
    ///
    /// # Errors
    /// Where `z`'s shape or the tiling doesn't fit.
    pub fn decode(&self, z: &Tensor, tiling: Option<&Tiling>) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        expect_rank(z, "z", &["batch", "z_dim", "frames", "height", "width"])?;
        let size = z.size();
        let channels = self.config.z_dim;
        ensure!(size[1] == channels, "z has {} channels: z_dim is {channels}", size[1]);
        let z = z.to_kind(self.kind);
        let ratio = self.config.ratio();
        let pictures =
            match tiling.filter(|tiling| tiling.applies_to_latent(size[3], size[4], ratio)) {
                Some(tiling) => self.tiled(&z, &tiling.decoding(&self.config)?)?,
                None => self.whole(&z),
            };
        Ok(unpatchify(&pictures, self.config.patch()).clamp_(-1.0, 1.0))
    }

    fn tiled(&self, z: &Tensor, grid: &Grid) -> Result<Tensor> {
        tiling::assemble(grid, z, |tile| Ok(self.whole(tile)))
    }

    /// Patched pictures, one latent frame at a time.
    fn whole(&self, z: &Tensor) -> Tensor {
        let z = self.post_quant_conv.forward(z);
        let mut cache = FeatureCache::default();
        let chunk = |frame| {
            let unit = if frame == 0 { StageUnit::DecodeFirst } else { StageUnit::DecodeLater };
            timed(unit, || self.chunk(&z.narrow(2, frame, 1), &mut cache, frame == 0))
        };
        let chunks: Vec<Tensor> = (0..z.size()[2]).map(chunk).collect();
        Tensor::cat(&chunks, 2)
    }

    fn chunk(&self, z: &Tensor, cache: &mut FeatureCache, first: bool) -> Tensor {
        cache.rewind();
        let z = self.options.lay_out(z.shallow_clone());
        let x = self.conv_in.causal(&z, cache.slot());
        let x = self.middle.forward(&x, cache);
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(&x, cache, first));
        self.head.forward(&x, cache)
    }
}

impl UpStage {
    fn new(scope: &Scope, config: &VaeConfig, stage: VaeStage, options: VaeOptions) -> Self {
        let VaeStage { inputs, outputs, space, time } = stage;
        let (name, narrowed) =
            if config.is_residual { ("upsampler", outputs) } else { ("upsamplers.0", outputs / 2) };
        Self {
            stage,
            blocks: residual_blocks(scope, config.num_res_blocks + 1, inputs, outputs, options),
            up: space.then(|| Upsample::new(&scope.sub(name), outputs, narrowed, time, options)),
            shortcut: config.is_residual && space,
        }
    }

    fn forward(&self, x: &Tensor, cache: &mut FeatureCache, first: bool) -> Tensor {
        let main = self.blocks.iter().fold(x.shallow_clone(), |x, block| block.forward(&x, cache));
        let main = self.up.iter().fold(main, |x, up| up.forward(&x, cache));
        if self.shortcut { main + repeated(x, self.stage, first) } else { main }
    }
}
