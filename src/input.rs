//! Input: reading files that somebody else may have written, bounded in time and memory.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The text of a regular file of at most `largest` bytes, as [`bytes`] reads it.
///
/// # Errors
/// As [`bytes`]; the content is not UTF-8.
pub fn text(path: &Path, largest: u64) -> Result<String> {
    String::from_utf8(bytes(path, largest)?).context("not a text in UTF-8")
}

/// The content of a regular file of at most `largest` bytes.
///
/// A symbolic link is followed: orchestrators mount their files as links. What it leads to must
/// be a regular file; a pipe or a device is neither waited for nor read.
///
/// # Errors
/// It is something else, is larger, or can't be read. The caller names the file.
pub fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // A file may grow while it is read.
    file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= largest, "larger than {}", bytesize::ByteSize::b(largest));
    Ok(bytes)
}

/// Opens a regular file for reading, without waiting for anything.
///
/// # Errors
/// It is something else, or can't be opened.
pub fn open(path: &Path) -> Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    ensure!(file.metadata()?.is_file(), "not a regular file");
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_the_given_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "four").unwrap();
        assert_eq!(text(&file, 4).unwrap(), "four");
        assert_eq!(text(&file, 3).unwrap_err().to_string(), "larger than 3 B");
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(text(&file, 4).unwrap_err().to_string(), "not a text in UTF-8");

        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for special in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = bytes(special, 4).unwrap_err().to_string();
            assert_eq!(error, "not a regular file", "{}", special.display());
        }
    }
}
