//! Wan's video VAEs (`AutoencoderKLWan`): 2.1 with 16 channels at 4 x 8 x 8, 2.2 with 48 at
//! 4 x 16 x 16, each an [`Encoder`] and a [`Decoder`] that are built apart.
//!
//! Both work through a video in chunks of frames; causal convolutions carry their last frames from
//! chunk to chunk in a cache, so that the result is that of the whole video at once.

mod blocks;
mod cache;
mod conv;
mod decoder;
mod encoder;
mod latent;
mod patch;
mod resample;
mod tiling;

pub use conv::VaeOptions;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use latent::{denormalise, normalise};

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};
    use wan22_tune::architecture::VaeConfig;
    use wan22_tune::knobs::ConvBackend;

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
            for backend in [ConvBackend::Auto, ConvBackend::SlowConv3d, ConvBackend::Onednn] {
                for channels_last in [false, true] {
                    let (other_pictures, other_moments) = run(backend, channels_last);
                    assert_same(&pictures, &other_pictures);
                    assert_same(&moments, &other_moments);
                }
            }
        }
    }
}
