//! Lock: one measurement at a time on a machine, whoever starts it.
//!
//! Two tunes on one host measure each other. The lock is an advisory one of the kernel's on a file
//! in a folder that every user has, and dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names the folder for the lock, for those who want one of their own.
pub const FOLDER: &str = "WAN22_LOCK_DIR";

/// Folders that all users of a host may share, in the order of preference; some systems keep the
/// first ones for root.
const SHARED: [&str; 4] = ["/run/lock", "/var/lock", "/dev/shm", "/tmp"];

/// The file in such a folder.
const NAME: &str = "wan22-tune.lock";

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Somebody else measures on this machine.
#[derive(Debug, thiserror::Error)]
#[error("another run measures on this machine: {holder}; wait for it with --wait")]
pub struct Locked {
    /// Who, as it said itself.
    pub holder: String,
}

impl Lock {
    /// Takes the machine's lock; with `wait`, when it is free.
    ///
    /// # Errors
    /// [`Locked`] names the holder; or no folder can hold a lock.
    pub fn take(wait: bool) -> Result<Self> {
        let own = std::env::var_os(FOLDER).map(PathBuf::from);
        let folder = own
            .or_else(|| SHARED.iter().map(PathBuf::from).find(|f| is_everybodys(f)))
            .unwrap_or_else(std::env::temp_dir);
        Self::take_in(&folder, wait)
    }

    /// As [`Lock::take`], in a folder of one's own.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_in(folder: &Path, wait: bool) -> Result<Self> {
        let path = folder.join(NAME);
        let cure = || format!("lock {} (name another folder with {FOLDER})", path.display());
        let mut file = open(&path).with_context(cure)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if !wait => {
                bail!(Locked { holder: holder(&mut file) })
            }
            Err(TryLockError::WouldBlock) => {
                eprintln!("note: waiting for {}", holder(&mut file));
                file.lock().with_context(cure)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cure),
        }
        // A lock that does not say who holds it is still a lock.
        let _ = sign(&mut file);
        Ok(Self { _file: file })
    }
}

/// Whether it is a folder in which every user may make files.
fn is_everybodys(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|found| found.is_dir() && found.mode() & 0o002 != 0)
}

/// Opens the lock's file, or makes it for all users. The folder is everybody's: what is no plain
/// file of one name there was put there to harm somebody.
fn open(path: &Path) -> io::Result<File> {
    let options = |write: bool| {
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        options
    };
    let file = match options(true).open(path) {
        // Kernels refuse O_CREAT on another user's file in such a folder, so it comes second.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = options(true).create_new(true).open(path);
            match made {
                Ok(file) => {
                    file.set_permissions(fs::Permissions::from_mode(0o666))?;
                    Ok(file)
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    options(true).open(path)
                }
                Err(error) => Err(error),
            }
        }
        // Reading is enough to lock.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options(false).open(path),
        opened => opened,
    }?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a plain file")) }
}

/// What the holder says of itself.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(4096).read_to_string(&mut text));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if read.is_err() || text.is_empty() { "it does not say who it is".to_owned() } else { text }
}

fn sign(file: &mut File) -> io::Result<()> {
    let command: Vec<String> = std::env::args().collect();
    let since = jiff::Zoned::now().strftime("%F %T %Z").to_string();
    let text = format!("pid {}, `{}`, since {since}\n", std::process::id(), command.join(" "));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take_in(folder.path(), false).unwrap();
        let refused = Lock::take_in(folder.path(), false).unwrap_err();
        let holder = &refused.downcast_ref::<Locked>().unwrap().holder;
        assert!(holder.starts_with(&format!("pid {}, `", std::process::id())), "{holder}");
        assert!(holder.contains("`, since 2"), "{holder}");
        drop(first);
        Lock::take_in(folder.path(), false).unwrap();
    }

    #[test]
    fn a_trap_in_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        fs::write(&target, "keep me").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join(NAME)).unwrap();
        assert!(Lock::take_in(folder.path(), false).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "keep me");
        fs::remove_file(folder.path().join(NAME)).unwrap();
        fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(Lock::take_in(folder.path(), false).is_err());
    }
}
