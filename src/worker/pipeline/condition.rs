//! How the transformer sees a picture: in place of the first frame, or beside the noise.

use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::MASK_CHANNELS;

use super::middle;

/// How the transformer sees a picture's latents.
pub enum ImageConditioning<'a> {
    /// In place of the first frame.
    FirstFrame(Option<&'a Tensor>),
    /// Mask and latents beside the noise.
    Condition(Tensor),
}

impl ImageConditioning<'_> {
    /// The condition of latents of `size`.
    pub fn condition(size: &[i64], first: Option<&Tensor>) -> Self {
        let options = (Kind::Float, Device::Cpu);
        let mask = Tensor::zeros([size[0], MASK_CHANNELS, size[2], size[3], size[4]], options);
        _ = mask.narrow(2, 0, 1).fill_(1.0);
        Self::Condition(Tensor::cat(&[&mask, &with_first(&Tensor::zeros(size, options), first)], 1))
    }

    /// The transformer's input for `latent`.
    pub fn of(&self, latent: &Tensor) -> Tensor {
        match self {
            Self::FirstFrame(first) => with_first(latent, *first),
            Self::Condition(condition) => Tensor::cat(&[latent, condition], 1),
        }
    }
}

/// The first latent frames replaced by the picture's, as far as the picture's window goes.
fn with_first(latent: &Tensor, first: Option<&Tensor>) -> Tensor {
    let Some(first) = first else { return latent.shallow_clone() };
    let size = first.size();
    let whole = latent.copy();
    let mut window = middle(&whole.narrow(2, 0, size[2]), [size[3], size[4]]);
    window.copy_(first);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::values;

    #[test]
    fn the_picture_replaces_the_middle_of_the_first_latent_frame() {
        let latent = Tensor::arange(32, (Kind::Float, Device::Cpu)).view([1, 1, 2, 4, 4]);
        let first = Tensor::full([1, 1, 1, 2, 2], -1.0, (Kind::Float, Device::Cpu));
        let whole = with_first(&latent, Some(&first));
        let found = Vec::<f32>::try_from(&whole.view(-1)).unwrap();
        let mut wanted: Vec<f32> = (0..32).map(|value| value as f32).collect();
        [5, 6, 9, 10].into_iter().for_each(|place: usize| wanted[place] = -1.0);
        assert_eq!(found, wanted);
        assert_eq!(with_first(&latent, None), latent);
    }

    /// As the pipeline has it: noise, then a mask that is 1 in the first latent frame, then latents.
    #[test]
    fn a_condition_stands_beside_the_noise() {
        let ones = |size: &[i64]| Tensor::ones(size, (Kind::Float, Device::Cpu));
        let image = ones(&[1, 1, 2, 1, 1]) * 7.0;
        let view = ImageConditioning::condition(&[1, 1, 3, 1, 1], Some(&image));
        let input = view.of(&(ones(&[1, 1, 3, 1, 1]) * 5.0));
        let channels: Vec<Vec<f32>> =
            (0..6).map(|channel| values(&input.select(1, channel)).unwrap()).collect();
        let mask = vec![1.0, 0.0, 0.0];
        let expected =
            [vec![5.0; 3], mask.clone(), mask.clone(), mask.clone(), mask, vec![7.0, 7.0, 0.0]];
        assert_eq!(channels, expected);
    }
}
