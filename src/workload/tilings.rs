//! Tilings: how the VAE's work is cut.

use super::{Sizes, Workload};
use crate::architecture::{Architecture, Tiling, tile_and_stride};
use crate::knobs::Settings;

/// How the VAE's work is cut; `None` where what it works on is no larger than a tile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tilings {
    /// Of the encoder.
    pub encode: Option<Tiling>,
    /// Of the decoder.
    pub decode: Option<Tiling>,
}

impl Tilings {
    /// What `settings` ask for.
    pub fn new(architecture: &Architecture, workload: &Workload, settings: &Settings) -> Self {
        let Sizes { window_width, window_height, .. } = workload.sizes;
        let (ratio, patch) = (architecture.vae.ratio(), architecture.vae.patch());
        let square = |side: u32, patch: i64| {
            let [tile, stride] = tile_and_stride(side.into(), ratio);
            let tiling = Tiling::square(tile / patch, stride / patch);
            tiling.applies(window_height.into(), window_width.into()).then_some(tiling)
        };
        Self {
            // An encoder's tiles are pixels after patching. Whether a picture is larger than one the
            // reference asks of its pixels before that.
            encode: square(settings.tile_size, patch),
            decode: square(settings.vae_tile_size, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_whole_latent_pixels_with_a_quarter_of_overlap() {
        assert_eq!(tile_and_stride(256, 16), [256, 192]);
        assert_eq!(tile_and_stride(100, 16), [96, 64]);
        assert_eq!(tile_and_stride(16, 16), [16, 16]);
        assert_eq!(tile_and_stride(1, 16), [16, 16]);
        assert_eq!(tile_and_stride(100, 8), [96, 72]);
    }
}
