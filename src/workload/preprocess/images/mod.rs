//! Images: the user's pictures, or generated ones.

mod check;
mod photographs;
mod whole;

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use image::ImageFormat;

pub use check::{expect_pixels, limits};
pub use photographs::photographs;

/// How many broken pictures a message names.
const SHOWN: usize = 3;

/// The pictures of a folder.
#[derive(Debug)]
pub struct Pictures {
    /// Its JPEG and PNG files, sorted by name.
    pub paths: Vec<PathBuf>,
    /// How many other files lie there.
    pub passed_over: usize,
}

impl Pictures {
    /// The JPEG and PNG files of `folder`. Hidden files, as macOS leaves them beside pictures, and
    /// subfolders are ignored, other files counted.
    ///
    /// Of each picture the header is read, and whether the file ends where the picture does.
    ///
    /// # Errors
    /// The folder can't be read, holds none, or holds some that can't be decoded: these are
    /// named.
    pub fn list(folder: &Path) -> Result<Self> {
        let cure = "give a folder of JPEG or PNG files to --images";
        let place = || folder.display().to_string();
        let entries = fs::read_dir(folder).with_context(|| format!("{}: {cure}", place()))?;
        let mut pictures = Self { paths: Vec::new(), passed_over: 0 };
        for entry in entries {
            pictures.sort_in(entry.with_context(place)?.path());
        }
        let others = pictures.others();
        ensure!(
            !pictures.paths.is_empty(),
            "{} holds no JPEG or PNG file{others}: {cure}",
            place()
        );
        pictures.paths.sort();
        pictures.check(folder)?;
        Ok(pictures)
    }

    fn sort_in(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") || path.is_dir() {
            return;
        }
        let format = ImageFormat::from_path(&path);
        if matches!(format, Ok(ImageFormat::Jpeg | ImageFormat::Png)) && path.is_file() {
            self.paths.push(path);
        } else {
            self.passed_over += 1;
        }
    }

    fn others(&self) -> String {
        match self.passed_over {
            0 => String::new(),
            1 => ", 1 other file passed over".to_owned(),
            others => format!(", {others} other files passed over"),
        }
    }

    fn check(&self, folder: &Path) -> Result<()> {
        let broken = |path: &PathBuf| {
            let problem = check::check(path).err()?;
            Some(format!("{} {problem:#}", on_one_line(&path.file_name()?.to_string_lossy())))
        };
        let broken: Vec<String> = self.paths.iter().filter_map(broken).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let shown = broken[..broken.len().min(SHOWN)].join("; ");
        let more = if broken.len() > SHOWN { "; …" } else { "" };
        bail!(
            "{}: {} of {} pictures can't be used: {shown}{more}; repair or remove them",
            folder.display(),
            broken.len(),
            self.paths.len()
        )
    }
}

/// A name as it is, but for characters that move the cursor.
fn on_one_line(name: &str) -> String {
    let shown = |letter: char| match letter {
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    name.chars().map(shown).collect()
}

impl Display for Pictures {
    /// `3 pictures, 5 other files passed over`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = self.paths.len();
        write!(f, "{count} picture{}{}", if count == 1 { "" } else { "s" }, self.others())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn told(folder: &Path) -> String {
        format!("{:#}", Pictures::list(folder).unwrap_err())
    }

    #[test]
    fn pictures_are_sorted_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpg", "c.jpeg"] {
            RgbImage::new(3, 2).save(folder.path().join(name)).unwrap();
        }
        for name in ["notes.txt", "d.webp", "e.gif", "f.jpe", "g.tiff", "._a.jpg", ".DS_Store"] {
            fs::write(folder.path().join(name), "not a picture").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join("h.jpg")).unwrap();
        fs::create_dir(folder.path().join("folder.png")).unwrap();
        let pictures = Pictures::list(folder.path()).unwrap();
        let expected = ["a.jpg", "b.PNG", "c.jpeg"].map(|name| folder.path().join(name));
        assert_eq!(pictures.paths, expected);
        assert_eq!(pictures.to_string(), "3 pictures, 6 other files passed over");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        assert!(told(&folder.path().join("nowhere")).contains("nowhere"));
        write("a.webp", b"RIFF");
        let none = told(folder.path());
        assert!(none.contains("holds no JPEG or PNG file, 1 other file passed over"), "{none}");
        write("broken.jpg", b"\xff\xd8\xff nonsense");
        write("empty.png", b"");
        write("pointer.png", b"version https://git-lfs.github.com/spec/v1\n");
        write("z\n.png", b"GIF89a");
        let error = told(folder.path());
        assert!(
            error.contains("4 of 4 pictures can't be used: broken.jpg is cut short"),
            "{error}"
        );
        assert!(error.contains("; empty.png is empty: download it again; "), "{error}");
        assert!(error.contains("pointer.png is a Git LFS pointer"), "{error}");
        assert!(error.contains("; …; repair or remove them") && !error.contains('\n'), "{error}");
    }
}
