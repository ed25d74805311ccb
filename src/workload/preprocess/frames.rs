//! What a model makes, and the files that it becomes.

use anyhow::Result;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Frames are kept as pictures of this JPEG quality.
const JPEG_QUALITY: u8 = 92;

/// The frames of a batch of clips, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// Frames per clip.
    pub per_clip: usize,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Clips x frames x 3 planes x height x width values, each from -1 to 1.
    pub planes: Vec<f32>,
}

/// Numbers of a batch of clips that are kept as they are: latents, embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// Values per clip.
    pub per_clip: usize,
    /// Clips x values.
    pub values: Vec<f32>,
}

/// What a model makes of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum StageOutput {
    /// Pictures, a JPEG file each.
    Frames(Frames),
    /// Numbers, a file of little-endian float32 a clip.
    Numbers(Numbers),
    /// Nothing that is kept.
    Nothing,
}

impl StageOutput {
    /// Files per clip.
    pub fn per_clip(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.per_clip,
            Self::Numbers(_) => 1,
            Self::Nothing => 0,
        }
    }

    /// The name of a clip's file number `index`.
    pub fn file_name(&self, clip: usize, index: usize) -> String {
        match self {
            Self::Numbers(_) => format!("clip-{clip:04}.f32"),
            _ => format!("clip-{clip:04}-frame-{index:03}.jpg"),
        }
    }

    /// The bytes of file `index`, counted over all clips of the batch.
    ///
    /// # Errors
    /// [`NotFinite`] when a value is; the encoder's own when the size is none that JPEG has.
    pub fn file(&self, index: usize) -> Result<Vec<u8>> {
        match self {
            Self::Frames(frames) => frames.jpeg(index),
            Self::Numbers(Numbers { per_clip, values }) => {
                let values = &values[index * per_clip..][..*per_clip];
                NotFinite::check(values)?;
                Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Self::Nothing => Ok(Vec::new()),
        }
    }
}

/// The model's numbers make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} of {of} values are infinite or not a number")]
pub struct NotFinite {
    count: usize,
    of: usize,
}

impl NotFinite {
    /// # Errors
    /// [`NotFinite`] when one of `values` is infinite or not a number.
    pub fn check(values: &[f32]) -> Result<(), Self> {
        let count = values.iter().filter(|value| !value.is_finite()).count();
        if count == 0 { Ok(()) } else { Err(Self { count, of: values.len() }) }
    }
}

impl Frames {
    /// How many frames.
    pub fn len(&self) -> usize {
        self.planes.len() / self.frame_len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frame `index` as a JPEG file's bytes.
    ///
    /// # Errors
    /// [`NotFinite`] when a value is; the encoder's own when the size is none that JPEG has.
    pub fn jpeg(&self, index: usize) -> Result<Vec<u8>> {
        let planes = &self.planes[index * self.frame_len()..][..self.frame_len()];
        NotFinite::check(planes)?;
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        encoder.write_image(
            &interleaved(planes),
            self.width,
            self.height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }

    /// Frame `index` as a PNG file's bytes.
    ///
    /// # Errors
    /// As [`Frames::jpeg`].
    pub fn png(&self, index: usize) -> Result<Vec<u8>> {
        let planes = &self.planes[index * self.frame_len()..][..self.frame_len()];
        NotFinite::check(planes)?;
        let mut bytes = Vec::new();
        let (pixels, colour) = (interleaved(planes), ExtendedColorType::Rgb8);
        PngEncoder::new(&mut bytes).write_image(&pixels, self.width, self.height, colour)?;
        Ok(bytes)
    }

    fn frame_len(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }
}

/// Values outside -1..1 take the nearest colour.
fn interleaved(planes: &[f32]) -> Vec<u8> {
    let area = planes.len() / 3;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    let colour = |value: f32| ((value + 1.0) * 127.5).round() as u8;
    let pixels = red.iter().zip(green).zip(blue);
    pixels.flat_map(|((&r, &g), &b)| [colour(r), colour(g), colour(b)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels() {
        let planes = [-1.0, 1.0, 0.0, 2.0, -0.6, -3.0];
        assert_eq!(interleaved(&planes), [0, 128, 51, 255, 255, 0]);
    }

    #[test]
    fn a_frame_is_a_picture_of_its_colour() {
        let mut planes = vec![0.0; 2 * 3 * 16 * 8];
        planes[384..512].fill(1.0);
        let frames = Frames { per_clip: 2, width: 16, height: 8, planes };
        assert_eq!(frames.len(), 2);
        let picture = image::load_from_memory(&frames.jpeg(1).unwrap()).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (16, 8));
        let exact = image::load_from_memory(&frames.png(1).unwrap()).unwrap().into_rgb8();
        assert_eq!(exact.get_pixel(8, 4).0, [255, 128, 128]);
        let [red, green, blue] = picture.get_pixel(8, 4).0;
        assert!(
            red > 250 && green.abs_diff(128) < 5 && blue.abs_diff(128) < 5,
            "{red} {green} {blue}"
        );
    }

    #[test]
    fn numbers_are_kept_as_they_are() {
        let made =
            StageOutput::Numbers(Numbers { per_clip: 2, values: vec![1.0, 2.0, -0.5, f32::NAN] });
        assert_eq!(made.file(0).unwrap(), [0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(made.file_name(7, 0), "clip-0007.f32");
        assert!(made.file(1).unwrap_err().is::<NotFinite>());
    }

    #[test]
    fn numbers_that_make_no_sense_are_told_apart() {
        let mut planes = vec![0.0; 3 * 8 * 8];
        (planes[5], planes[9]) = (f32::NAN, f32::INFINITY);
        let frames = Frames { per_clip: 1, width: 8, height: 8, planes };
        let error = frames.jpeg(0).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&NotFinite { count: 2, of: 192 }));
    }
}
