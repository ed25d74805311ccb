//! The VAE's tensors.

use super::{Scope, Tensors};
use crate::architecture::{VaeConfig, VaeStage};

impl VaeConfig {
    /// What the encoder is built from.
    pub fn encoder_tensors(&self) -> Tensors {
        let mut tensors = Tensors::new();
        let mut root = Scope::root(&mut tensors);
        let (stages, moments) = (self.encoder_stages(), 2 * self.z_dim);
        root.kernel("quant_conv", &[moments, moments, 1, 1, 1]);
        let mut scope = root.sub("encoder");
        scope.kernel("conv_in", &[self.base_dim, self.in_channels, 3, 3, 3]);
        self.down_blocks(&mut scope.sub("down_blocks"), &stages);
        let width = stages.last().map_or(0, |stage| stage.outputs);
        middle(&mut scope.sub("mid_block"), width);
        head(&mut scope, width, moments);
        tensors
    }

    /// What the decoder is built from.
    pub fn decoder_tensors(&self) -> Tensors {
        let mut tensors = Tensors::new();
        let mut root = Scope::root(&mut tensors);
        let (stages, z) = (self.decoder_stages(), self.z_dim);
        root.kernel("post_quant_conv", &[z, z, 1, 1, 1]);
        let mut scope = root.sub("decoder");
        let (first, last) = (stages[0].inputs, stages[stages.len() - 1].outputs);
        scope.kernel("conv_in", &[first, z, 3, 3, 3]);
        middle(&mut scope.sub("mid_block"), first);
        let (name, share) = if self.is_residual { ("upsampler", 1) } else { ("upsamplers.0", 2) };
        for (number, VaeStage { inputs, outputs, space, time }) in stages.into_iter().enumerate() {
            let mut block = scope.sub(format!("up_blocks.{number}"));
            resnets(&mut block, self.num_res_blocks + 1, inputs, outputs);
            if space {
                let (up, narrowed) = (&mut block.sub(name), outputs / share);
                resampled(up, [narrowed, outputs], time.then_some([2 * outputs, outputs]));
            }
        }
        head(&mut scope, last, self.out_channels);
        tensors
    }

    /// VAE 2.1 has its blocks and resamplers in one list, VAE 2.2 a list for each stage.
    fn down_blocks(&self, scope: &mut Scope<'_>, stages: &[VaeStage]) {
        let mut next = 0..;
        for (number, &VaeStage { inputs, outputs, space, time }) in stages.iter().enumerate() {
            let time = time.then_some([outputs, outputs]);
            if self.is_residual {
                let mut block = scope.sub(number);
                resnets(&mut block, self.num_res_blocks, inputs, outputs);
                if space {
                    resampled(&mut block.sub("downsampler"), [outputs, outputs], time);
                }
                continue;
            }
            for index in 0..self.num_res_blocks {
                let inputs = if index == 0 { inputs } else { outputs };
                residual(&mut scope.sub(next.next().unwrap_or(0)), inputs, outputs);
            }
            if space {
                let mut down = scope.sub(next.next().unwrap_or(0));
                resampled(&mut down, [outputs, outputs], time);
            }
        }
    }
}

fn resnets(scope: &mut Scope<'_>, count: i64, inputs: i64, outputs: i64) {
    for index in 0..count {
        let inputs = if index == 0 { inputs } else { outputs };
        residual(&mut scope.sub("resnets").sub(index), inputs, outputs);
    }
}

fn residual(scope: &mut Scope<'_>, inputs: i64, outputs: i64) {
    scope.tensor("norm1.gamma", &[inputs, 1, 1, 1]);
    scope.kernel("conv1", &[outputs, inputs, 3, 3, 3]);
    scope.tensor("norm2.gamma", &[outputs, 1, 1, 1]);
    scope.kernel("conv2", &[outputs, outputs, 3, 3, 3]);
    if inputs != outputs {
        scope.kernel("conv_shortcut", &[outputs, inputs, 1, 1, 1]);
    }
}

/// Outputs and inputs of the convolution over space, and of that over time.
fn resampled(scope: &mut Scope<'_>, space: [i64; 2], time: Option<[i64; 2]>) {
    scope.kernel("resample.1", &[space[0], space[1], 3, 3]);
    if let Some([outputs, inputs]) = time {
        scope.kernel("time_conv", &[outputs, inputs, 3, 1, 1]);
    }
}

fn middle(scope: &mut Scope<'_>, width: i64) {
    residual(&mut scope.sub("resnets.0"), width, width);
    residual(&mut scope.sub("resnets.1"), width, width);
    let mut attention = scope.sub("attentions.0");
    attention.tensor("norm.gamma", &[width, 1, 1]);
    attention.kernel("to_qkv", &[3 * width, width, 1, 1]);
    attention.kernel("proj", &[width, width, 1, 1]);
}

fn head(scope: &mut Scope<'_>, inputs: i64, outputs: i64) {
    scope.tensor("norm_out.gamma", &[inputs, 1, 1, 1]);
    scope.kernel("conv_out", &[outputs, inputs, 3, 3, 3]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// diffusers counts 196 tensors of 704.7 million numbers in VAE 2.2, 194 of 126.9 in VAE 2.1.
    #[test]
    fn there_are_as_many_as_the_reference_has() {
        let counted = |config: VaeConfig| {
            let mut tensors = config.encoder_tensors();
            tensors.extend(config.decoder_tensors());
            let numbers: i64 = tensors.values().map(|shape| shape.iter().product::<i64>()).sum();
            (tensors.len(), (numbers as f64 / 1e5).round() / 10.0)
        };
        assert_eq!(counted(VaeConfig::wan22()), (196, 704.7));
        assert_eq!(counted(VaeConfig::wan21()), (194, 126.9));
    }
}
