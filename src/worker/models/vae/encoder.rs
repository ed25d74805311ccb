//! The VAE's encoder (`WanEncoder3d` with `quant_conv`).

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Grid, Tiling, VaeConfig, VaeStage};
use wan22_tune::workload::StageUnit;

use super::blocks::{Head, MidBlock, ResidualBlock, residual_blocks};
use super::cache::FeatureCache;
use super::conv::{CausalConv3d, VaeOptions};
use super::decoder::Decoder;
use super::patch::patchify;
use super::resample::{Downsample, averaged};
use super::tiling;
use crate::models::expect_rank;
use crate::models::unit_clock::timed;
use crate::weights::{Scope, Weights};

/// Frames of a chunk after the first, which is a single one.
const CHUNK: i64 = 4;

/// Turns pictures into latents.
pub struct Encoder {
    config: VaeConfig,
    conv_in: CausalConv3d,
    layers: Vec<Layer>,
    middle: MidBlock,
    head: Head,
    quant_conv: CausalConv3d,
    options: VaeOptions,
    kind: Kind,
}

enum Layer {
    Residual(ResidualBlock),
    Down(Downsample),
    /// VAE 2.2's stage with its shortcut (`WanResidualDownBlock`).
    Scale(VaeStage, Vec<ResidualBlock>, Option<Downsample>),
}

impl Encoder {
    /// Builds the encoder alone.
    ///
    /// # Errors
    /// An impossible configuration, or weights that don't fit it. The decoder's may be there.
    pub fn new(
        weights: &Weights,
        config: &VaeConfig,
        options: VaeOptions,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        config
            .validate()
            .and_then(|()| config.validate_encoder())
            .context("AutoencoderKLWan's config")?;
        let encoder = Self::build(&weights.root(kind, device), config, options);
        weights.finish(Decoder::owns)?;
        Ok(encoder)
    }

    /// Whether a tensor of this name is the encoder's.
    pub fn owns(name: &str) -> bool {
        ["encoder.", "quant_conv."].iter().any(|prefix| name.starts_with(prefix))
    }

    /// The weight of its first convolution.
    pub fn kernel(&self) -> &Tensor {
        self.conv_in.weight()
    }

    fn build(root: &Scope, config: &VaeConfig, options: VaeOptions) -> Self {
        let scope = root.sub("encoder");
        let stages = config.encoder_stages();
        let width = stages[stages.len() - 1].outputs;
        let moments = 2 * config.z_dim;
        let conv = |scope: Scope, inputs, outputs, kernel| {
            CausalConv3d::new(&scope, inputs, outputs, kernel, options)
        };
        Self {
            conv_in: conv(scope.sub("conv_in"), config.in_channels, config.base_dim, [3; 3]),
            layers: layers(&scope.sub("down_blocks"), config, &stages, options),
            middle: MidBlock::new(&scope.sub("mid_block"), width, options),
            head: Head::new(&scope, width, moments, options),
            quant_conv: conv(root.sub("quant_conv"), moments, moments, [1; 3]),
            options,
            kind: root.kind(),
            config: config.clone(),
        }
    }

    /// The moments of the latents of `x`: mean, then log variance.
    ///
    /// `x` is `[batch, channels, frames, height, width]` in [-1, 1]; the first frame makes the first
    /// latent frame, each four that follow another, and what is left over is dropped. The result is
    /// `[batch, 2 * z_dim, latent frames, latent height, latent width]`. With `tiling`, pictures
    /// larger than a tile are encoded tile by tile.
    ///
    /// # Errors
    /// Where `x`'s shape, or a tile's, doesn't fit.
    pub fn encode(&self, x: &Tensor, tiling: Option<&Tiling>) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        expect_rank(x, "x", &["batch", "channels", "frames", "height", "width"])?;
        let size = x.size();
        let (channels, patch) = (self.config.picture_channels(), self.config.patch());
        ensure!(size[1] == channels, "x has {} channels: the config makes it {channels}", size[1]);
        ensure!(
            size[3] % patch == 0 && size[4] % patch == 0,
            "x is {} x {} pixels: both must be multiples of patch_size {patch}",
            size[3],
            size[4]
        );
        let x = patchify(&x.to_kind(self.kind), patch);
        match tiling.filter(|tiling| tiling.applies(size[3], size[4])) {
            Some(tiling) => self.tiled(&x, &tiling.encoding(&self.config)?),
            None => self.whole(&x),
        }
    }

    fn tiled(&self, x: &Tensor, grid: &Grid) -> Result<Tensor> {
        tiling::assemble(grid, x, |tile| self.whole(tile))
    }

    fn whole(&self, x: &Tensor) -> Result<Tensor> {
        self.accept(x)?;
        let mut cache = FeatureCache::default();
        let frames = x.size()[2];
        let first = || self.chunk(&x.narrow(2, 0, 1), &mut cache);
        let mut chunks = vec![timed(StageUnit::EncodeFirst, first)];
        let mut start = 1;
        while start + CHUNK <= frames {
            let later = || self.chunk(&x.narrow(2, start, CHUNK), &mut cache);
            chunks.push(timed(StageUnit::EncodeLater, later));
            start += CHUNK;
        }
        Ok(self.quant_conv.forward(&Tensor::cat(&chunks, 2)))
    }

    fn chunk(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        cache.rewind();
        let x = self.options.lay_out(x.shallow_clone());
        let x = self.conv_in.causal(&x, cache.slot());
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(&x, cache));
        self.head.forward(&self.middle.forward(&x, cache), cache)
    }

    /// Whether every halving works out for pictures of this (patched) size.
    fn accept(&self, x: &Tensor) -> Result<()> {
        let size = x.size();
        let [mut height, mut width] = [size[3], size[4]];
        let mut chunk = CHUNK;
        for stage in self.config.encoder_stages().into_iter().filter(|stage| stage.space) {
            let even = !self.config.is_residual || (height % 2 == 0 && width % 2 == 0);
            ensure!(
                even && height > 1 && width > 1,
                "pictures or tiles of {} x {} pixels can't be halved at every stage: \
                 {height} x {width} are left at one; give sizes that the VAE's compression divides",
                size[3] * self.config.patch(),
                size[4] * self.config.patch()
            );
            [height, width] = [height / 2, width / 2];
            if stage.time && size[2] > CHUNK {
                ensure!(chunk > 1, "temperal_downsample halves chunks of {CHUNK} frames too often");
                chunk /= 2;
            }
        }
        Ok(())
    }
}

/// The stages' layers: one per stage in VAE 2.2, a flat list in VAE 2.1.
fn layers(
    scope: &Scope,
    config: &VaeConfig,
    stages: &[VaeStage],
    options: VaeOptions,
) -> Vec<Layer> {
    let mut layers = Vec::new();
    for &stage in stages {
        let VaeStage { inputs, outputs, space, time } = stage;
        if config.is_residual {
            let scope = scope.sub(layers.len());
            let blocks = residual_blocks(&scope, config.num_res_blocks, inputs, outputs, options);
            let down =
                space.then(|| Downsample::new(&scope.sub("downsampler"), outputs, time, options));
            layers.push(Layer::Scale(stage, blocks, down));
            continue;
        }
        for index in 0..config.num_res_blocks {
            let inputs = if index == 0 { inputs } else { outputs };
            let block = ResidualBlock::new(&scope.sub(layers.len()), inputs, outputs, options);
            layers.push(Layer::Residual(block));
        }
        if space {
            layers.push(Layer::Down(Downsample::new(
                &scope.sub(layers.len()),
                outputs,
                time,
                options,
            )));
        }
    }
    layers
}

impl Layer {
    fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        match self {
            Self::Residual(block) => block.forward(x, cache),
            Self::Down(down) => down.forward(x, cache),
            Self::Scale(stage, blocks, down) => {
                let main =
                    blocks.iter().fold(x.shallow_clone(), |x, block| block.forward(&x, cache));
                let main = down.iter().fold(main, |x, down| down.forward(&x, cache));
                main + averaged(x, *stage)
            }
        }
    }
}
