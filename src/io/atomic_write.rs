//! Files that survive a crash: replaced whole, or appended to line by line.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// What a disk is asked to do; each of it can fail, and does in tests.
pub trait Disk: fmt::Debug {
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The disk's; part of the bytes may have been written.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// The disk's; what was written may be lost.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Puts `from` in the place of `to`.
    ///
    /// # Errors
    /// The disk's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
}

/// The disk that there is.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Disk for Live {}

/// Replaces a file: written beside it, synced, renamed over it, and the folder synced.
///
/// # Errors
/// The file and what failed; a reader then sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    replace_on(&Live, path, content)
}

/// Takes a file away for good.
///
/// # Errors
/// The file and what failed.
pub fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
}

/// As [`replace`], for its owner's eyes alone.
///
/// # Errors
/// As [`replace`].
pub fn replace_private(path: &Path, content: &[u8]) -> Result<()> {
    put(&Live, path, content, 0o600)
}

/// As [`replace`], on a disk of one's own.
///
/// # Errors
/// As [`replace`].
pub fn replace_on(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<()> {
    put(disk, path, content, 0o644)
}

fn put(disk: &dyn Disk, path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = || format!("writing {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(place)?;
    disk.write(file.as_file_mut(), content).with_context(place)?;
    disk.sync(file.as_file()).with_context(place)?;
    // A temporary file is private; what people share is not.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    file.as_file().set_permissions(mode).with_context(place)?;
    let temporary = file.into_temp_path();
    disk.rename(&temporary, path).with_context(place)?;
    // It has another name now: there is nothing left to take away.
    let _ = temporary.keep();
    File::open(folder).and_then(|folder| disk.sync(&folder)).with_context(place)
}
