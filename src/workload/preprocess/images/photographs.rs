//! Pictures for those who give none: as hard to decode and resize as photographs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use crate::io::{atomic_write, input};

/// In every file name: raise it when the pictures change, and old files are left alone.
const VERSION: u32 = 1;

/// What a camera would write.
const JPEG_QUALITY: u8 = 90;

/// Width and height of the pictures in turn, 1.0 to 2.8 megapixels.
const SIZES: [(u32, u32); 5] =
    [(1600, 1200), (1080, 1440), (2048, 1365), (1024, 1024), (1920, 1080)];

/// Several times what one of the pictures has.
const LARGEST: u64 = 16 << 20;

/// Detail of ever finer grain: points across the picture, and how far each moves its colour at
/// most. The proportion is about the 1/f of natural pictures.
const DETAIL: [(u32, i32); 6] = [(4, 128), (12, 60), (36, 40), (108, 30), (324, 24), (800, 20)];

/// Makes sure that `folder` holds the first `count` pictures of the set, and names them.
///
/// Each picture depends on nothing but its number, and appears under its name only when it is
/// whole and on the disk: several processes may do this at once. One that is not what its digest
/// beside it says is made again.
///
/// # Errors
/// The folder can't be made or written.
pub fn photographs(folder: &Path, count: usize) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    let mut paths = Vec::with_capacity(count);
    for number in 0..count {
        let path = folder.join(format!("photograph-v{VERSION}-{number:03}.jpg"));
        if !is_as_made(&path) {
            write(&path, number).with_context(|| format!("{}", path.display()))?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Whether a picture is there, this user's, and as it was written.
fn is_as_made(path: &Path) -> bool {
    let content = || {
        ensure!(fs::symlink_metadata(path)?.is_file(), "a link is somebody's");
        ensure!(fs::metadata(path)?.uid() == geteuid().as_raw(), "another user's");
        input::bytes(path, LARGEST)
    };
    let noted = input::text(&digest_file(path), LARGEST);
    matches!((content(), noted), (Ok(content), Ok(noted)) if noted == digest(path, &content))
}

fn write(path: &Path, number: usize) -> Result<()> {
    let (width, height) = SIZES[number % SIZES.len()];
    let pixels = paint(width, height, number as u64)?;
    let mut content = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut content, JPEG_QUALITY);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8)?;
    atomic_write::replace(path, &content)?;
    atomic_write::replace(&digest_file(path), digest(path, &content).as_bytes())
}

fn digest_file(path: &Path) -> PathBuf {
    path.with_extension("jpg.sha256")
}

/// As `sha256sum --check` reads it.
fn digest(path: &Path, content: &[u8]) -> String {
    let name = path.file_name().unwrap_or_default().display();
    format!("{:x}  {name}\n", Sha256::digest(content))
}

/// RGB pixels: smooth patches of colour, and on them texture, strong in the dark and faint in
/// the light as in a landscape under a sky.
fn paint(width: u32, height: u32, seed: u64) -> Result<Vec<u8>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut picture = Image::new(1, 1, PixelType::U8x3);
    picture.buffer_mut().fill(128);
    for (across, reach) in DETAIL {
        picture = enlarged(&picture, across, across * height / width)?;
        roughen(&mut random, picture.buffer_mut(), reach);
    }
    Ok(enlarged(&picture, width, height)?.into_vec())
}

fn roughen(random: &mut Xoshiro256PlusPlus, pixels: &mut [u8], reach: i32) {
    let mut noise = vec![0_u8; pixels.len()];
    random.fill(&mut noise[..]);
    for (pixel, noise) in pixels.chunks_exact_mut(3).zip(noise.chunks_exact(3)) {
        let strength = reach * (320 - i32::from(pixel[1])) / 256;
        for (value, tint) in pixel.iter_mut().zip(noise) {
            // Mostly light, a little colour.
            let shift = 3 * i32::from(noise[0]) + i32::from(*tint) - 510;
            *value = (i32::from(*value) + shift * strength / 512).clamp(0, 255) as u8;
        }
    }
}

fn enlarged(picture: &Image<'_>, width: u32, height: u32) -> Result<Image<'static>> {
    let mut large = Image::new(width, height.max(1), PixelType::U8x3);
    let smooth = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(picture, &mut large, &smooth)?;
    Ok(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_deterministic_and_made_once() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = photographs(one.path(), 1).unwrap();
        let made = fs::metadata(&first[0]).unwrap().modified().unwrap();
        let both = photographs(one.path(), 2).unwrap();
        assert_eq!(both[0], first[0]);
        assert_eq!(fs::metadata(&both[0]).unwrap().modified().unwrap(), made);
        let again = photographs(other.path(), 2).unwrap();
        for (path, copy) in both.iter().zip(&again) {
            assert_eq!(fs::read(path).unwrap(), fs::read(copy).unwrap());
        }
        assert_ne!(fs::read(&both[0]).unwrap(), fs::read(&both[1]).unwrap());
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn a_broken_picture_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = photographs(folder.path(), 1).unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn[9999..].fill(0);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, &torn).unwrap();
        let breaks: [&dyn Fn(); 4] = [
            &|| fs::write(&path, "").unwrap(),
            &|| fs::write(&path, &torn).unwrap(),
            &|| fs::remove_file(digest_file(&path)).unwrap(),
            &|| {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
            },
        ];
        for spoil in breaks {
            spoil();
            assert_eq!(photographs(folder.path(), 1).unwrap().first(), Some(&path));
            assert!(
                fs::read(&path).unwrap() == whole && path.symlink_metadata().unwrap().is_file()
            );
        }
        assert_eq!(fs::read(&elsewhere).unwrap(), torn, "what the link led to is left alone");
        let noted = fs::read_to_string(digest_file(&path)).unwrap();
        assert!(noted.ends_with("  photograph-v1-000.jpg\n") && noted.len() == 88, "{noted}");
    }

    #[test]
    fn a_picture_costs_what_a_photograph_costs() {
        let folder = tempfile::tempdir().unwrap();
        let path = &photographs(folder.path(), 1).unwrap()[0];
        assert_eq!(image::image_dimensions(path).unwrap(), SIZES[0]);
        let bits = fs::metadata(path).unwrap().len() as f64 * 8.0;
        let per_pixel = bits / f64::from(SIZES[0].0 * SIZES[0].1);
        // Photographs at this quality: about 1.5 (sky) to 5 (foliage) bits a pixel.
        assert!((1.5..5.0).contains(&per_pixel), "{per_pixel}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", photographs(&file.join("below"), 1).unwrap_err());
        assert!(error.contains("below"), "{error}");
    }
}
