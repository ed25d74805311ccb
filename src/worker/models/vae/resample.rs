//! Halving and doubling of rows, columns and frames, and VAE 2.2's shortcuts around it.

use tch::Tensor;

use super::blocks::{frames_of, video_of};
use super::cache::{FeatureCache, Slot};
use super::conv::{CausalConv3d, Conv2d, VaeOptions};
use crate::weights::Scope;
use wan22_tune::architecture::VaeStage;

/// Doubles rows and columns, and frames where it has a convolution in time (`WanResample`,
/// `upsample2d` and `upsample3d`). The first chunk's single frame stays single.
pub struct Upsample {
    conv: Conv2d,
    time: Option<CausalConv3d>,
}

impl Upsample {
    pub fn new(scope: &Scope, inputs: i64, outputs: i64, time: bool, options: VaeOptions) -> Self {
        let double =
            || CausalConv3d::new(&scope.sub("time_conv"), inputs, 2 * inputs, [3, 1, 1], options);
        Self {
            conv: Conv2d::new(&scope.sub("resample.1"), inputs, outputs, 3, options),
            time: time.then(double),
        }
    }

    pub fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        let size = x.size();
        let frames = match &self.time {
            Some(time) => doubled_in_time(time, x, cache.slot()),
            None => frames_of(x),
        };
        let grown = frames.internal_upsample_nearest_exact2d([2 * size[3], 2 * size[4]], 2.0, 2.0);
        video_of(&self.conv.forward(&grown), size[0])
    }
}

/// The frames of `x`, twice as many where this is not the first chunk.
fn doubled_in_time(time: &CausalConv3d, x: &Tensor, slot: &mut Slot) -> Tensor {
    if matches!(slot, Slot::Fresh) {
        *slot = Slot::Passed;
        return frames_of(x);
    }
    doubled(&time.causal(x, slot))
}

/// Frames whose halves of the channels are two frames each, `[batch * 2 frames, channels / 2, …]`.
fn doubled(x: &Tensor) -> Tensor {
    let size = x.size();
    let (channels, frames) = (size[1] / 2, 2 * size[2]);
    x.unflatten(1, [2, channels]).permute([0, 3, 1, 2, 4, 5]).reshape([
        size[0] * frames,
        channels,
        size[3],
        size[4],
    ])
}

/// Halves rows and columns, and frames where it has a convolution in time (`WanResample`,
/// `downsample2d` and `downsample3d`). The first chunk's single frame stays single.
pub struct Downsample {
    conv: Conv2d,
    time: Option<CausalConv3d>,
}

impl Downsample {
    pub fn new(scope: &Scope, channels: i64, time: bool, options: VaeOptions) -> Self {
        let halve = || {
            CausalConv3d::new(&scope.sub("time_conv"), channels, channels, [3, 1, 1], options)
                .strided(2)
        };
        Self {
            conv: Conv2d::new(&scope.sub("resample.1"), channels, channels, 3, options).strided(2),
            time: time.then(halve),
        }
    }

    pub fn forward(&self, x: &Tensor, cache: &mut FeatureCache) -> Tensor {
        let padded = frames_of(x).constant_pad_nd([0, 1, 0, 1]);
        let x = video_of(&self.conv.forward(&padded), x.size()[0]);
        let Some(time) = &self.time else { return x };
        let slot = cache.slot();
        let last = x.narrow(2, x.size()[2] - 1, 1).copy();
        match std::mem::replace(slot, Slot::Frames(last)) {
            Slot::Frames(before) => time.forward(&Tensor::cat(&[&before, &x], 2)),
            Slot::Fresh | Slot::Passed => x,
        }
    }
}

/// Averages groups of what a stage's pixels become as channels (`AvgDown3D`); frames are padded in
/// front to whole groups.
pub fn averaged(x: &Tensor, stage: VaeStage) -> Tensor {
    let (t, s) = (stage.time_factor(), stage.space_factor());
    let missing = (t - x.size()[2] % t) % t;
    let x =
        if missing > 0 { x.constant_pad_nd([0, 0, 0, 0, missing, 0]) } else { x.shallow_clone() };
    let size = x.size();
    let [frames, height, width] = [size[2] / t, size[3] / s, size[4] / s];
    x.reshape([size[0], size[1], frames, t, height, s, width, s].as_slice())
        .permute([0, 1, 3, 5, 7, 2, 4, 6].as_slice())
        .reshape([size[0], stage.outputs, -1, frames, height, width])
        .mean_dim([2].as_slice(), false, None)
}

/// Repeats channels and lays them out as pixels (`DupUp3D`); the first chunk keeps the last frame
/// of its first group.
pub fn repeated(x: &Tensor, stage: VaeStage, first: bool) -> Tensor {
    let (t, s) = (stage.time_factor(), stage.space_factor());
    let repeats = stage.outputs * stage.factor() / stage.inputs;
    let size = x.size();
    let [frames, height, width] = [size[2], size[3], size[4]];
    let grown = x
        .unsqueeze(2)
        .expand([size[0], size[1], repeats, frames, height, width], false)
        .reshape([size[0], stage.outputs, t, s, s, frames, height, width].as_slice())
        .permute([0, 1, 5, 2, 6, 3, 7, 4].as_slice())
        .reshape([size[0], stage.outputs, frames * t, height * s, width * s]);
    if first { grown.narrow(2, t - 1, frames * t - (t - 1)) } else { grown }
}
