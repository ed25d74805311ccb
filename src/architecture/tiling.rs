//! Tiling: which parts of a picture or latent are computed apart.

use anyhow::{Result, ensure};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::VaeConfig;

/// Tile sizes and strides in pixels, as `enable_tiling` takes them: absent, null or 0 means the
/// reference's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiling {
    /// Pixels of a tile.
    #[serde(deserialize_with = "whole")]
    pub tile_sample_min_height: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub tile_sample_min_width: Option<i64>,
    /// Pixels from one tile to the next; the rest of a tile overlaps and is blended.
    #[serde(deserialize_with = "whole")]
    pub tile_sample_stride_height: Option<i64>,
    #[serde(deserialize_with = "whole")]
    pub tile_sample_stride_width: Option<i64>,
}

/// Pixels, which the reference takes as floats too.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(pixels) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    // Far below what a float can't count.
    let is_whole = pixels.fract() == 0.0 && pixels.abs() < f64::from(u32::MAX);
    is_whole.then_some(Some(pixels as i64)).ok_or_else(|| {
        D::Error::custom(format!("a size or stride of {pixels}: give a whole number of pixels"))
    })
}

const TILE: i64 = 256;
const STRIDE: i64 = 192;

impl Tiling {
    /// Square tiles.
    pub fn square(tile: i64, stride: i64) -> Self {
        Self {
            tile_sample_min_height: Some(tile),
            tile_sample_min_width: Some(tile),
            tile_sample_stride_height: Some(stride),
            tile_sample_stride_width: Some(stride),
        }
    }

    fn tile(&self) -> [i64; 2] {
        [self.tile_sample_min_height, self.tile_sample_min_width].map(|size| or_default(size, TILE))
    }

    fn stride(&self) -> [i64; 2] {
        [self.tile_sample_stride_height, self.tile_sample_stride_width]
            .map(|size| or_default(size, STRIDE))
    }

    /// Whether pictures of this many pixels are tiled at all.
    pub fn applies(&self, height: i64, width: i64) -> bool {
        let [tile_height, tile_width] = self.tile();
        height > tile_height || width > tile_width
    }

    /// Whether latents of this size are, at `ratio` pixels to a latent pixel.
    pub fn applies_to_latent(&self, height: i64, width: i64, ratio: i64) -> bool {
        let [tile_height, tile_width] = self.tile();
        height > tile_height / ratio || width > tile_width / ratio
    }

    /// The tiles of an encoder's input. The reference takes tile and stride for patched pixels
    /// here, so that VAE 2.2's tiles are `patch_size` times as large as asked for.
    ///
    /// # Errors
    /// Where a stride is less than a latent pixel.
    pub fn encoding(&self, config: &VaeConfig) -> Result<Grid> {
        ensure!(
            config.ratio() % config.patch() == 0,
            "scale_factor_spatial {} is no multiple of patch_size {}: tiles can't be encoded",
            config.ratio(),
            config.patch()
        );
        let ratio = config.ratio() / config.patch();
        let crop = self.stride().map(|stride| stride / ratio);
        let grid = Grid {
            tile: self.tile(),
            stride: self.stride(),
            crop,
            blend: difference(self.tile().map(|tile| tile / ratio), crop),
            scale: [1, ratio],
        };
        grid.checked(ratio)
    }

    /// The tiles of a decoder's input.
    ///
    /// # Errors
    /// Where a tile or stride is less than a latent pixel.
    pub fn decoding(&self, config: &VaeConfig) -> Result<Grid> {
        let (ratio, patch) = (config.ratio(), config.patch());
        let crop = self.stride().map(|stride| stride / patch);
        let grid = Grid {
            tile: self.tile().map(|tile| tile / ratio),
            stride: self.stride().map(|stride| stride / ratio),
            crop,
            blend: difference(self.tile().map(|tile| tile / patch), crop),
            scale: [ratio, patch],
        };
        grid.checked(ratio)
    }
}

/// The side and the stride of square tiles of `side` pixels: whole latent pixels, a quarter of each
/// tile overlapping the next as in the reference. Another stride leaves seams or loses rows, since
/// the reference cuts latents and pixels apart by it.
pub fn tile_and_stride(side: i64, ratio: i64) -> [i64; 2] {
    let whole = |pixels: i64| (pixels / ratio).max(1) * ratio;
    [whole(side), whole(whole(side) / 4 * 3)]
}

fn or_default(size: Option<i64>, default: i64) -> i64 {
    size.filter(|&size| size != 0).unwrap_or(default)
}

fn difference(left: [i64; 2], right: [i64; 2]) -> [i64; 2] {
    [left[0] - right[0], left[1] - right[1]]
}

/// Tiles over rows and columns: sizes and strides in input pixels, crop and blend in output pixels.
#[derive(Debug)]
pub struct Grid {
    tile: [i64; 2],
    stride: [i64; 2],
    /// What is kept of a tile.
    pub crop: [i64; 2],
    /// What is blended with the tile before.
    pub blend: [i64; 2],
    /// Output pixels by input pixels.
    scale: [i64; 2],
}

impl Grid {
    fn checked(self, ratio: i64) -> Result<Self> {
        let smallest = self.tile.into_iter().chain(self.stride).chain(self.crop).min().unwrap_or(0);
        ensure!(
            smallest > 0,
            "tiling: a tile or stride is less than a latent pixel; give at least {ratio} pixels"
        );
        Ok(self)
    }

    /// Input sizes of the tiles of `[height, width]`, row by row: those at the end can be smaller.
    pub fn tiles(&self, size: [i64; 2]) -> Vec<[i64; 2]> {
        let [rows, columns] = [0, 1].map(|axis| self.spans(axis, size[axis]));
        rows.iter().flat_map(|row| columns.iter().map(|column| [row.1, column.1])).collect()
    }

    /// Output pixels of `size` input pixels.
    pub fn scaled(&self, size: i64) -> i64 {
        size * self.scale[0] / self.scale[1]
    }

    /// Start and length of each tile along one axis.
    pub fn spans(&self, axis: usize, size: i64) -> Vec<(i64, i64)> {
        let starts = (0..size).step_by(self.stride[axis] as usize);
        starts.map(|start| (start, self.tile[axis].min(size - start))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stride: &str) -> Result<Tiling, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"tile_sample_stride_height": {stride}}}"#))
    }

    #[test]
    fn a_stride_is_three_quarters_of_a_tile_in_whole_latent_pixels() {
        for (side, ratio, expected) in [
            (512, 16, [512, 384]),
            (384, 16, [384, 288]),
            (128, 16, [128, 96]),
            (96, 16, [96, 64]),
            (96, 8, [96, 72]),
            (64, 16, [64, 48]),
            (8, 16, [16, 16]),
        ] {
            assert_eq!(tile_and_stride(side, ratio), expected, "{side} of {ratio}");
        }
    }

    /// diffusers walks over latents by `stride // ratio` and keeps `stride // patch_size` rows of
    /// each tile: rows are lost or doubled where these are not the same part of the picture.
    #[test]
    fn strides_that_are_handed_over_keep_every_row_in_both_vaes() {
        for (config, patch) in [(VaeConfig::wan21(), 1), (VaeConfig::wan22(), 2)] {
            for side in [64, 96, 128, 192, 256, 384, 512] {
                let [tile, stride] = tile_and_stride(side, 16);
                let decoded = Tiling::square(tile, stride).decoding(&config).unwrap();
                assert_eq!(decoded.scaled(decoded.stride[0]), decoded.crop[0], "{side}");
                assert_eq!(decoded.scaled(decoded.tile[0]), tile / patch, "{side}");
                let encoded = Tiling::square(tile / patch, stride / patch).encoding(&config);
                let encoded = encoded.unwrap();
                assert_eq!(encoded.scaled(encoded.stride[0]), encoded.crop[0], "{side}");
                assert_eq!(encoded.tile[0] * patch, tile, "{side}: true pixels after patching");
            }
        }
    }

    /// `enable_tiling` says that strides are floats, and then takes them for counts of pixels.
    #[test]
    fn pixels_may_be_written_as_floats() {
        for (written, pixels) in [("48", Some(48)), ("48.0", Some(48)), ("null", None)] {
            assert_eq!(read(written).unwrap().tile_sample_stride_height, pixels);
        }
        let refusal = read("48.5").unwrap_err().to_string();
        assert!(refusal.starts_with("a size or stride of 48.5: give a whole number"), "{refusal}");
    }
}
