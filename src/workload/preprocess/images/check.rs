//! What can be seen of a picture without decoding it.

use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use image::{ImageFormat, ImageReader, Limits};

use super::whole;
use crate::architecture::checkpoint::disguise;
use crate::io::input;

/// Where Pillow, with which Wan's own pipeline reads pictures, calls one a decompression bomb.
const MOST_PIXELS: u64 = 178_956_970;

/// Memory for what goes with a picture: profiles, comments, a row of pixels.
const MOST_BESIDE: u64 = 64 << 20;

/// How many first bytes tell what a file is.
const START: u64 = 512;

/// A larger file is not a picture of so few pixels.
const LARGEST: u64 = 2 << 30;

/// Whether a file is a picture that ends where it should, of a size that can be decoded.
///
/// # Errors
/// What it is instead, in words that go on after its name.
pub fn check(path: &Path) -> Result<()> {
    let mut file = BufReader::new(input::open(path).context("can't be read")?);
    let size = file.get_ref().metadata()?.len();
    ensure!(size <= LARGEST, "has {}: pictures are not that large", bytesize::ByteSize::b(size));
    let mut start = Vec::new();
    (&mut file).take(START).read_to_end(&mut start)?;
    file.rewind()?;
    if let Some(disguise) = disguise(&start) {
        bail!("{disguise}");
    }
    match image::guess_format(&start) {
        Ok(ImageFormat::Jpeg) => {
            let head = whole::jpeg_head(&mut file)?;
            dimensions(ImageReader::with_format(Cursor::new(head), ImageFormat::Jpeg))?;
            whole::expect_jpegs_end(&mut file, size)
        }
        Ok(ImageFormat::Png) => {
            whole::expect_pngs_end(&mut file, size)?;
            file.rewind()?;
            dimensions(ImageReader::with_format(&mut file, ImageFormat::Png))
        }
        Ok(other) => {
            let name = other.to_mime_type().trim_start_matches("image/");
            bail!("is a picture of type {name}: convert it to JPEG or PNG")
        }
        Err(_) => bail!("is not a picture"),
    }
}

fn dimensions<R: std::io::BufRead + Seek>(mut reader: ImageReader<R>) -> Result<()> {
    reader.limits(limits());
    // The crate's errors say everything again in their sources.
    let (width, height) =
        reader.into_dimensions().map_err(|error| anyhow!("is broken: {error}"))?;
    expect_pixels(width, height)
}

/// Bounds for a decoder, beside those of [`expect_pixels`].
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BESIDE);
    limits
}

/// Refuses a picture that would take more memory and time than any photograph.
///
/// # Errors
/// The limit, in words that go on after the picture's name.
pub fn expect_pixels(width: u32, height: u32) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    ensure!(
        pixels <= MOST_PIXELS,
        "has {width} x {height} pixels: at most {} million can be decoded",
        MOST_PIXELS / 1_000_000
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn told(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path()).err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    fn saved(format: ImageFormat) -> Vec<u8> {
        let picture =
            RgbImage::from_fn(200, 160, |x, y| image::Rgb([(x * y) as u8, (x ^ y) as u8, 90]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_cut_picture_is_told_from_a_whole_one() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let whole = saved(format);
            assert_eq!(told(&whole), "", "{format:?}");
            assert_eq!(told(&[&whole[..], b"trailer"].concat()), "", "{format:?}");
            for percent in [1, 30, 60, 90, 99] {
                let cut = told(&whole[..whole.len() * percent / 100]);
                assert!(cut.contains("cut short"), "{format:?} {percent}: {cut:?}");
            }
            let zeros = [&whole[..whole.len() / 2], &vec![0; whole.len() / 2]].concat();
            assert!(!told(&zeros).is_empty(), "{format:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_header() {
        let mut jpeg = saved(ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        // 65,500 rows and columns.
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        let limit = "has 65500 x 65500 pixels: at most 178 million can be decoded";
        assert_eq!(told(&jpeg), limit);
        assert!(expect_pixels(13_000, 13_000).is_ok() && expect_pixels(20_000, 20_000).is_err());
    }

    #[test]
    fn other_types_are_named() {
        let webp = told(b"RIFF\x24\0\0\0WEBPVP8 ");
        assert_eq!(webp, "is a picture of type webp: convert it to JPEG or PNG");
        assert_eq!(told(b"some words"), "is not a picture");
        let zero = check(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(format!("{zero:#}"), "can't be read: not a regular file");
    }
}
