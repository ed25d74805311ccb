//! The blocks that encoder and decoder share: norm, residual block, attention, middle.

use tch::{Kind, Tensor};

use super::cache::FeatureCache;
use super::conv::{CausalConv3d, Conv2d, VaeOptions};
use crate::weights::{Init, Scope};

/// Scales each pixel's channels to a length of sqrt(channels), then by a gain (`WanRMS_norm`).
pub struct RmsNorm {
    gamma: Tensor,
    /// A tensor without dimensions: libtorch rounds a plain number to `x`'s kind first, where it
    /// multiplies in place.
    scale: Tensor,
}

impl RmsNorm {
    /// `rank` is that of the normed tensor: 5 for videos, 4 for pictures.
    pub fn new(scope: &Scope, channels: i64, rank: usize) -> Self {
        let mut shape = vec![1; rank - 1];
        shape[0] = channels;
        Self {
            gamma: scope.tensor("gamma", &shape, Init::Gain),
            scale: Tensor::from((channels as f64).sqrt()),
        }
    }

    /// The lengths are float32 at least; the result is new and has `x`'s kind.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let length = wide.norm_scalaropt_dim(2.0, [1], true).clamp_min_(1e-12);
        let mut unit = (wide / length).to_kind(x.kind());
        unit.g_mul_(&self.scale).g_mul_(&self.gamma)
    }
}

/// Norm, SiLU and causal convolution, twice, around a shortcut (`WanResidualBlock`).
pub struct ResidualBlock {
    norm1: RmsNorm,
    conv1: CausalConv3d,
    norm2: RmsNorm,
    conv2: CausalConv3d,
    shortcut: Option<CausalConv3d>,
}

impl ResidualBlock {
    pub fn new(scope: &Scope, inputs: i64, outputs: i64, options: VaeOptions) -> Self {
        let conv = |scope: Scope, inputs, kernel| {
            CausalConv3d::new(&scope, inputs, outputs, kernel, options)
        };
        Self {
            norm1: RmsNorm::new(&scope.sub("norm1"), inputs, 5),
            conv1: conv(scope.sub("conv1"), inputs, [3; 3]),
            norm2: RmsNorm::new(&scope.sub("norm2"), outputs, 5),
            conv2: conv(scope.sub("conv2").faint(), outputs, [3; 3]),
            shortcut: (inputs != outputs).then(|| conv(scope.sub("conv_shortcut"), inputs, [1; 3])),
        }
    }

    pub fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        let hidden = self.conv1.causal(&self.norm1.forward(x).silu_(), cache.slot());
        let mut hidden = self.conv2.causal(&self.norm2.forward(&hidden).silu_(), cache.slot());
        match &self.shortcut {
            Some(shortcut) => hidden.g_add_(&shortcut.forward(x)),
            None => hidden.g_add_(x),
        }
    }
}

/// A stack of residual blocks, `resnets.0` and on.
pub fn residual_blocks(
    scope: &Scope,
    count: i64,
    inputs: i64,
    outputs: i64,
    options: VaeOptions,
) -> Vec<ResidualBlock> {
    let block = |index| {
        let inputs = if index == 0 { inputs } else { outputs };
        ResidualBlock::new(&scope.sub("resnets").sub(index), inputs, outputs, options)
    };
    (0..count).map(block).collect()
}

/// Attention of one head over the pixels of each frame (`WanAttentionBlock`).
struct FrameAttention {
    norm: RmsNorm,
    to_qkv: Conv2d,
    proj: Conv2d,
}

impl FrameAttention {
    fn new(scope: &Scope, channels: i64, options: VaeOptions) -> Self {
        Self {
            norm: RmsNorm::new(&scope.sub("norm"), channels, 4),
            to_qkv: Conv2d::new(&scope.sub("to_qkv"), channels, 3 * channels, 1, options),
            proj: Conv2d::new(&scope.sub("proj").faint(), channels, channels, 1, options),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        let frames = frames_of(x);
        let (count, channels, height, width) = frames.size4().expect("frames have four dimensions");
        let qkv = self.to_qkv.forward(&self.norm.forward(&frames));
        let qkv = qkv.reshape([count, 1, channels * 3, -1]).permute([0, 1, 3, 2]).contiguous();
        let qkv = qkv.chunk(3, -1);
        let none = None::<&Tensor>;
        let seen = Tensor::scaled_dot_product_attention(
            &qkv[0], &qkv[1], &qkv[2], none, 0.0, false, None, false,
        );
        let seen = seen.squeeze_dim(1).permute([0, 2, 1]).reshape([count, channels, height, width]);
        video_of(&self.proj.forward(&seen), size[0]) + x
    }
}

/// Residual block, attention, residual block (`WanMidBlock`).
pub struct MidBlock {
    first: ResidualBlock,
    attention: FrameAttention,
    second: ResidualBlock,
}

impl MidBlock {
    pub fn new(scope: &Scope, channels: i64, options: VaeOptions) -> Self {
        let resnets = scope.sub("resnets");
        Self {
            first: ResidualBlock::new(&resnets.sub(0), channels, channels, options),
            attention: FrameAttention::new(&scope.sub("attentions.0"), channels, options),
            second: ResidualBlock::new(&resnets.sub(1), channels, channels, options),
        }
    }

    pub fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        let x = self.first.forward(x, cache);
        self.second.forward(&self.attention.forward(&x), cache)
    }
}

/// Norm, SiLU and the last convolution of encoder and decoder.
pub struct Head {
    norm: RmsNorm,
    conv: CausalConv3d,
}

impl Head {
    pub fn new(scope: &Scope, inputs: i64, outputs: i64, options: VaeOptions) -> Self {
        Self {
            norm: RmsNorm::new(&scope.sub("norm_out"), inputs, 5),
            conv: CausalConv3d::new(&scope.sub("conv_out"), inputs, outputs, [3; 3], options),
        }
    }

    pub fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        self.conv.causal(&self.norm.forward(x).silu_(), cache.slot())
    }
}

/// `[batch, channels, frames, height, width]` as `[batch * frames, channels, height, width]`.
pub fn frames_of(video: &Tensor) -> Tensor {
    let size = video.size();
    video.permute([0, 2, 1, 3, 4]).reshape([size[0] * size[2], size[1], size[3], size[4]])
}

/// The inverse of [`frames_of`].
pub fn video_of(frames: &Tensor, batch: i64) -> Tensor {
    frames.unflatten(0, [batch, -1]).permute([0, 2, 1, 3, 4])
}
