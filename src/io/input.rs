//! Input: reading files that somebody else may have written, bounded in time and memory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

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
    bounded(open(path)?, largest)
}

fn bounded(source: impl Read, largest: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A file may grow while it is read.
    source.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
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

/// As [`text`], of a file that the command line names, which may also be a pipe that the caller
/// hands over: `-` and `/dev/stdin` for standard input, or a shell's `<(COMMAND)`.
///
/// # Errors
/// As [`text`].
pub fn given_text(path: &Path, largest: u64) -> Result<String> {
    String::from_utf8(given_bytes(path, largest)?).context("not a text in UTF-8")
}

/// As [`bytes`], where [`given_text`] takes a pipe. A pipe is waited for, as any filter does, but no
/// more than `largest` bytes are read.
///
/// # Errors
/// As [`bytes`].
pub fn given_bytes(path: &Path, largest: u64) -> Result<Vec<u8>> {
    match handed_over(path) {
        None => bytes(path, largest),
        Some(0) => bounded(Patient(std::io::stdin().lock()), largest),
        Some(number) => {
            // Opening a named pipe again would wait for somebody to write, without this flag.
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
            let again = format!("/proc/self/fd/{number}");
            let file = OpenOptions::new().read(true).custom_flags(flags).open(again)?;
            bounded(Patient(file), largest)
        }
    }
}

/// The descriptor of this process that a path names: whoever started the process has opened it.
fn handed_over(path: &Path) -> Option<u32> {
    let path = path.to_str()?;
    if matches!(path, "-" | "/dev/stdin") {
        return Some(0);
    }
    let folders = ["/dev/fd/", "/proc/self/fd/"];
    folders.iter().find_map(|folder| path.strip_prefix(folder))?.parse().ok()
}

/// Waits where a reader that must not block would have to come again.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                read => return read,
            }
        }
    }
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
