//! A picture as the model takes it.

use std::io::Cursor;

use anyhow::{Result, anyhow};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, RgbImage};

use super::images;

/// Red, green and blue planes of `height` rows of `width` values, each from -1 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `3 * height * width` values.
    pub planes: Vec<f32>,
}

impl Picture {
    /// Decodes the bytes of a JPEG or PNG file and fits the picture to `width` x `height`:
    /// turned upright as its EXIF data says, cropped around the centre to the new proportions,
    /// resized with a Lanczos filter, scaled to -1..1.
    ///
    /// # Errors
    /// The bytes are not a picture of a known format, break off, or are too large to hold.
    pub fn from_bytes(bytes: &[u8], width: u32, height: u32) -> Result<Self> {
        let resized = resize(decode(bytes)?, width, height)?;
        Ok(Self { width, height, planes: planes(&resized) })
    }
}

fn decode(bytes: &[u8]) -> Result<RgbImage> {
    // The crate's errors say everything again in their sources.
    let plain = |error: ImageError| anyhow!("{error}");
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(images::limits());
    let mut decoder = reader.into_decoder().map_err(plain)?;
    let (width, height) = decoder.dimensions();
    images::expect_pixels(width, height)?;
    let orientation = decoder.orientation().map_err(plain)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(plain)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

/// Interleaved RGB bytes of the picture that covers `width` x `height`.
fn resize(image: RgbImage, width: u32, height: u32) -> Result<Vec<u8>> {
    let source =
        Image::from_vec_u8(image.width(), image.height(), image.into_raw(), PixelType::U8x3)?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .fit_into_destination(None);
    Resizer::new().resize(&source, &mut target, &options)?;
    Ok(target.into_vec())
}

fn planes(interleaved: &[u8]) -> Vec<f32> {
    let channel = |c| interleaved.iter().skip(c).step_by(3);
    let values = (0..3).flat_map(channel);
    values.map(|&value| f32::from(value) / 127.5 - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb};

    fn png(image: &RgbImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn colours_become_planes_from_minus_one_to_one() {
        let image =
            RgbImage::from_fn(2, 1, |x, _| Rgb(if x == 0 { [255, 0, 51] } else { [0, 255, 204] }));
        let picture = Picture::from_bytes(&png(&image), 2, 1).unwrap();
        assert_eq!(picture.planes, [1.0, -1.0, -1.0, 1.0, -0.6, 0.6]);
    }

    #[test]
    fn a_wide_picture_is_cropped_around_its_centre() {
        // Red, green, blue bands: a square takes only the green one.
        let bands = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let image = RgbImage::from_fn(96, 32, |x, _| Rgb(bands[(x / 32) as usize]));
        let picture = Picture::from_bytes(&png(&image), 16, 16).unwrap();
        // The filter reaches a few pixels over the crop's edge, but not to the middle.
        let middle = |plane: usize, x: usize| picture.planes[plane * 256 + 8 * 16 + x];
        for x in 4..12 {
            assert_eq!([middle(0, x), middle(1, x), middle(2, x)], [-1.0, 1.0, -1.0], "{x}");
        }
    }

    #[test]
    fn broken_bytes_are_an_error() {
        let whole = png(&RgbImage::new(64, 64));
        for bytes in [&b""[..], b"GIF89a", &whole[..whole.len() / 2]] {
            assert!(Picture::from_bytes(bytes, 16, 16).is_err());
        }
    }
}
