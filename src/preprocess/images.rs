//! Input pictures: the user's, or generated ones.

mod photographs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{ImageFormat, ImageReader};

pub use photographs::photographs;

/// The JPEG and PNG files of `folder`, sorted by name; anything else in it is passed over.
///
/// Only each file's header is read; a picture that breaks off later is found by the trial that
/// decodes it.
///
/// # Errors
/// The folder can't be read, holds no picture, or holds one whose header is broken.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let cure = "give a folder of JPEG or PNG files to --images";
    let entries = fs::read_dir(folder).with_context(|| format!("{}: {cure}", folder.display()))?;
    let mut images = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{}", folder.display()))?.path();
        if is_picture(&path) {
            check_header(&path)?;
            images.push(path);
        }
    }
    ensure!(!images.is_empty(), "{} holds no JPEG or PNG file: {cure}", folder.display());
    images.sort();
    Ok(images)
}

fn is_picture(path: &Path) -> bool {
    let format = ImageFormat::from_path(path);
    matches!(format, Ok(ImageFormat::Jpeg | ImageFormat::Png)) && path.is_file()
}

fn check_header(path: &Path) -> Result<()> {
    let dimensions = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(anyhow::Error::from)
        .and_then(|reader| Ok(reader.into_dimensions()?));
    dimensions
        .map(drop)
        .with_context(|| format!("{} is no readable picture: repair or remove it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    #[test]
    fn pictures_are_sorted_and_the_rest_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpg", "c.jpeg"] {
            RgbImage::new(3, 2).save(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        fs::create_dir(folder.path().join("folder.png")).unwrap();
        let names = list(folder.path()).unwrap();
        let expected = ["a.jpg", "b.PNG", "c.jpeg"].map(|name| folder.path().join(name));
        assert_eq!(names, expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere");
        let text = |path: &Path| format!("{:#}", list(path).unwrap_err());
        assert!(text(&missing).contains("nowhere"), "{}", text(&missing));
        assert!(text(folder.path()).contains("holds no JPEG or PNG"), "{}", text(folder.path()));
        fs::write(folder.path().join("broken.jpg"), b"\xff\xd8\xff nonsense").unwrap();
        assert!(text(folder.path()).contains("broken.jpg"), "{}", text(folder.path()));
    }
}
