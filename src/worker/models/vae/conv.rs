//! The VAE's convolutions: causal in time, plain in space, with a choice of kernels.

use tch::Tensor;
use wan22_tune::knobs::ConvBackend;

use super::cache::Slot;
use crate::weights::{Init, Scope};

/// How a VAE is laid out and computed; neutral for its results but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VaeOptions {
    /// The kernels of its convolutions.
    pub backend: ConvBackend,
    /// Whether kernels and activations have their channels innermost.
    pub channels_last: bool,
}

/// A 3-D convolution whose outputs see only their own and earlier frames (`WanCausalConv3d`).
pub struct CausalConv3d {
    weight: Tensor,
    bias: Tensor,
    kernel: [i64; 3],
    stride: [i64; 3],
    backend: ConvBackend,
}

impl CausalConv3d {
    /// Rows and columns keep their number: odd kernels, padded by half.
    pub fn new(
        scope: &Scope,
        inputs: i64,
        outputs: i64,
        kernel: [i64; 3],
        options: VaeOptions,
    ) -> Self {
        let [t, h, w] = kernel;
        Self {
            weight: options.kernel(scope, &[outputs, inputs, t, h, w]),
            bias: scope.tensor("bias", &[outputs], Init::Bias),
            kernel,
            stride: [1, 1, 1],
            backend: options.backend,
        }
    }

    /// The same, taking every `stride`-th frame.
    #[must_use]
    pub fn strided(self, stride: i64) -> Self {
        Self { stride: [stride, 1, 1], ..self }
    }

    /// `[outputs, inputs, frames, rows, columns]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Convolves `[batch, channels, frames, height, width]` without any context in time.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let bias = Some(&self.bias);
        let [_, h, w] = self.kernel;
        let padding = [0, h / 2, w / 2];
        match self.backend {
            ConvBackend::Auto => x.conv3d(&self.weight, bias, self.stride, padding, [1, 1, 1], 1),
            ConvBackend::SlowConv3d => {
                x.slow_conv3d(&self.weight, self.kernel, bias, self.stride, padding)
            }
            ConvBackend::Onednn => {
                x.mkldnn_convolution(&self.weight, bias, padding, self.stride, [1, 1, 1], 1)
            }
        }
    }

    /// Convolves after the frames that `slot` remembers, zeros at first, and remembers the last
    /// two of `x` for the next chunk. For kernels of 3 frames.
    pub fn causal(&self, x: &Tensor, slot: &mut Slot) -> Tensor {
        let context = match slot {
            Slot::Frames(frames) => Tensor::cat(&[&*frames, x], 2),
            Slot::Fresh | Slot::Passed => x.constant_pad_nd([0, 0, 0, 0, 2, 0]),
        };
        *slot = Slot::Frames(context.narrow(2, context.size()[2] - 2, 2).copy());
        self.forward(&context)
    }
}

/// A 2-D convolution over each frame.
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
    backend: ConvBackend,
}

impl Conv2d {
    /// A square kernel, padded by half.
    pub fn new(scope: &Scope, inputs: i64, outputs: i64, kernel: i64, options: VaeOptions) -> Self {
        Self {
            weight: options.kernel(scope, &[outputs, inputs, kernel, kernel]),
            bias: scope.tensor("bias", &[outputs], Init::Bias),
            stride: 1,
            padding: kernel / 2,
            backend: options.backend,
        }
    }

    /// The same without padding, taking every `stride`-th row and column.
    #[must_use]
    pub fn strided(self, stride: i64) -> Self {
        Self { stride, padding: 0, ..self }
    }

    /// `[frames, channels, height, width]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let bias = Some(&self.bias);
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        match self.backend {
            ConvBackend::Onednn => {
                x.mkldnn_convolution(&self.weight, bias, padding, stride, [1, 1], 1)
            }
            _ => x.conv2d(&self.weight, bias, stride, padding, [1, 1], 1),
        }
    }
}

impl VaeOptions {
    fn kernel(self, scope: &Scope, shape: &[i64]) -> Tensor {
        let strides = self.channels_last.then(|| channels_last(shape));
        scope.strided("weight", shape, strides.as_deref(), Init::Kernel)
    }

    /// The tensor, its channels innermost where that is asked for.
    pub fn lay_out(self, tensor: Tensor) -> Tensor {
        if !self.channels_last {
            return tensor;
        }
        let size = tensor.size();
        let options = (tensor.kind(), tensor.device());
        let mut laid = Tensor::empty_strided(&size, channels_last(&size), options);
        laid.copy_(&tensor);
        laid
    }
}

/// The strides of a tensor of this shape whose second axis is innermost.
fn channels_last(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![0; shape.len()];
    strides[1] = 1;
    let mut step = shape[1];
    for axis in (0..shape.len()).rev().filter(|&axis| axis != 1) {
        strides[axis] = step;
        step *= shape[axis];
    }
    strides
}
