//! Wan's video VAEs (`AutoencoderKLWan`): 2.1 with 16 channels at 4 x 8 x 8, 2.2 with 48 at
//! 4 x 16 x 16, each an [`Encoder`] and a [`Decoder`] that are built apart.
//!
//! Both work through a video in chunks of frames; causal convolutions carry their last frames from
//! chunk to chunk in a cache, so that the result is that of the whole video at once.

mod blocks;
mod cache;
mod config;
mod conv;
mod decoder;
mod encoder;
mod flops;
mod patch;
mod resample;
mod tiling;

pub use config::VaeConfig;
pub use conv::{ConvBackend, VaeOptions};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use tiling::Tiling;

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::weights::Weights;

    fn tiny(config: VaeConfig) -> VaeConfig {
        VaeConfig { base_dim: 8, decoder_base_dim: None, z_dim: 4, ..config }
    }

    fn noise(shape: &[i64]) -> Tensor {
        let count = shape.iter().product::<i64>();
        (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 12.9898).sin().view(shape)
    }

    fn assert_same(one: &Tensor, other: &Tensor) {
        assert_eq!(one.size(), other.size());
        let relative = ((one - other).norm() / one.norm()).double_value(&[]);
        assert!(relative < 1e-5, "{relative:e}");
    }

    /// Kernels and layouts change speed and rounding, nothing else.
    #[test]
    fn options_are_neutral() {
        for config in [tiny(VaeConfig::wan21()), tiny(VaeConfig::wan22())] {
            let run = |backend, channels_last| {
                let options = VaeOptions { backend, channels_last };
                let weights = Weights::random(7);
                let decoder =
                    Decoder::new(&weights, &config, options, Kind::Float, Device::Cpu).unwrap();
                let encoder =
                    Encoder::new(&weights, &config, options, Kind::Float, Device::Cpu).unwrap();
                let pictures = decoder.decode(&noise(&[1, 4, 3, 2, 3]), None).unwrap();
                let moments = encoder.encode(&pictures, None).unwrap();
                (pictures, moments)
            };
            let (pictures, moments) = run(ConvBackend::Auto, false);
            for backend in [ConvBackend::Auto, ConvBackend::SlowConv3d, ConvBackend::Mkldnn] {
                for channels_last in [false, true] {
                    let (other_pictures, other_moments) = run(backend, channels_last);
                    assert_same(&pictures, &other_pictures);
                    assert_same(&moments, &other_moments);
                }
            }
        }
    }

    #[test]
    fn latents_are_normalised_by_channel() {
        let config = VaeConfig {
            z_dim: 2,
            latents_mean: vec![1.0, -2.0],
            latents_std: vec![2.0, 4.0],
            ..VaeConfig::default()
        };
        let latent = Tensor::from_slice(&[5.0_f32, 6.0]).view([1, 2, 1, 1, 1]);
        let normal = config.normalise(&latent).unwrap();
        assert_eq!(normal.view(-1), Tensor::from_slice(&[2.0_f32, 2.0]));
        assert_eq!(config.denormalise(&normal).unwrap(), latent);
        let error = VaeConfig { z_dim: 3, ..config }.normalise(&latent).unwrap_err().to_string();
        assert_eq!(error, "latents_mean has 2 values: z_dim is 3");
    }
}
