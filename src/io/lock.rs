//! Lock: one measurement at a time on a machine, whoever starts it.
//!
//! Two tunes on one host measure each other. The lock is an advisory one of the kernel's on a file
//! in a folder that every user has, and dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::io::{output, printable};

/// Names the folder for the lock, for those who want one of their own.
pub const FOLDER: &str = "WAN22_LOCK_DIR";

/// Folders that all users of a host may share, in the order of preference; some systems keep the
/// first ones for root.
const SHARED: [&str; 4] = ["/run/lock", "/var/lock", "/dev/shm", "/tmp"];

/// How often a held lock is tried again; a wait in the kernel would not see a signal.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// How every holder's text begins.
const SIGNED: &[u8] = b"pid ";

/// The most of a holder's text that is read.
const LONGEST: u64 = 4096;

/// The most letters of a command line that are written.
const LONGEST_COMMAND: usize = 500;

/// The file in such a folder.
const NAME: &str = "wan22-tune.lock";

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Somebody else measures on this machine.
#[derive(Debug, thiserror::Error)]
#[error("another run measures on this machine: {holder}; {cure}")]
pub struct Locked {
    /// The holder, as it described itself.
    pub holder: String,
    /// What the user can do.
    cure: &'static str,
}

impl Lock {
    /// Takes the machine's lock; with `wait`, when it is free or until `stop` is set.
    ///
    /// # Errors
    /// [`Locked`] names the holder; or no folder can hold a lock.
    pub fn take(wait: bool, stop: &AtomicBool) -> Result<Self> {
        let own = std::env::var_os(FOLDER).map(PathBuf::from);
        let folder = own
            .or_else(|| SHARED.iter().map(PathBuf::from).find(|f| is_everybodys(f)))
            .unwrap_or_else(std::env::temp_dir);
        Self::take_in(&folder, wait, stop)
    }

    /// As [`Lock::take`], in a folder of one's own.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_in(folder: &Path, wait: bool, stop: &AtomicBool) -> Result<Self> {
        let path = folder.join(NAME);
        let place = || format!("lock {} (name another folder with {FOLDER})", path.display());
        let mut file = open(&path).with_context(place)?;
        let mut is_told = false;
        while !try_lock(&file).with_context(place)? {
            if !wait {
                bail!(Locked { holder: holder(&mut file), cure: "wait for it with --wait" });
            }
            if stop.load(Ordering::SeqCst) {
                bail!(Locked { holder: holder(&mut file), cure: "the wait was ended by a signal" });
            }
            if !is_told {
                output::say(&format!("note: waiting for {}", holder(&mut file)));
                is_told = true;
            }
            sleep(RETRY_INTERVAL);
        }
        // A lock that does not say who holds it is still a lock.
        let _ = sign(&mut file);
        Ok(Self { file })
    }

    /// Whether somebody holds the lock in a folder.
    pub fn is_held_in(folder: &Path) -> bool {
        File::open(folder.join(NAME)).is_ok_and(|file| matches!(try_lock(&file), Ok(false)))
    }

    /// From now on programs that this one starts hold it as well, until they end: what they do is done
    /// before anybody else has it, though this one is killed.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn hand_on(&self) -> Result<()> {
        let handed = rustix::io::fcntl_setfd(&self.file, rustix::io::FdFlags::empty());
        handed.context("handing on the lock")
    }
}

/// Whether the lock was free, and is now held.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
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

/// What the holder says of itself, in one line.
fn holder(file: &mut File) -> String {
    let text = if is_ours(file) { said(file) } else { Vec::new() };
    let text = printable::line(&String::from_utf8_lossy(&text));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "it does not say who it is".to_owned() } else { text }
}

/// The beginning of the file.
fn said(file: &mut File) -> Vec<u8> {
    let mut text = Vec::new();
    let read = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut text));
    read.map_or_else(|_| Vec::new(), |_| text)
}

/// Whether it is a lock's file, and not something of another name and purpose that was linked here:
/// that is neither shown nor overwritten.
fn is_ours(file: &mut File) -> bool {
    let text = said(file);
    let is_signed = text.is_empty() || text.starts_with(SIGNED);
    is_signed && file.metadata().is_ok_and(|file| file.nlink() == 1)
}

fn sign(file: &mut File) -> io::Result<()> {
    if !is_ours(file) {
        return Ok(());
    }
    let since = jiff::Zoned::now().strftime("%F %T %Z").to_string();
    let text = format!("pid {}, `{}`, since {since}\n", std::process::id(), command());
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// The command line of this process. Everybody may read it, so the words of a command of the user's, among which
/// secrets may be, are left out.
fn command() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let mut shown: Vec<String> = Vec::new();
    for word in words {
        if word == "--" {
            shown.push("-- …".to_owned());
            break;
        }
        shown.push(word);
    }
    printable::line(&shown.join(" ")).chars().take(LONGEST_COMMAND).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(folder: &Path) -> Result<Lock> {
        Lock::take_in(folder, false, &AtomicBool::new(false))
    }

    fn holder_in(refused: &anyhow::Error) -> &str {
        &refused.downcast_ref::<Locked>().unwrap().holder
    }

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        let refused = take(folder.path()).unwrap_err();
        let holder = holder_in(&refused);
        assert!(holder.starts_with(&format!("pid {}, `", std::process::id())), "{holder}");
        assert!(holder.contains("`, since 2"), "{holder}");
        assert!(Lock::is_held_in(folder.path()));
        drop(first);
        // A program that another test starts just now has it, too, until it runs.
        Lock::take_in(folder.path(), true, &AtomicBool::new(false)).unwrap();
    }

    #[test]
    fn a_file_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Lock::is_held_in(folder.path()));
        fs::write(folder.path().join(NAME), "pid 1").unwrap();
        assert!(!Lock::is_held_in(folder.path()));
    }

    #[test]
    fn a_wait_ends_when_it_is_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        let _first = take(folder.path()).unwrap();
        let refused = Lock::take_in(folder.path(), true, &AtomicBool::new(true)).unwrap_err();
        assert!(refused.to_string().ends_with("; the wait was ended by a signal"), "{refused}");
    }

    #[test]
    fn a_trap_in_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        fs::write(&target, "keep me").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join(NAME)).unwrap();
        assert!(take(folder.path()).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "keep me");
        fs::remove_file(folder.path().join(NAME)).unwrap();
        fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(take(folder.path()).is_err());
    }

    #[test]
    fn a_file_of_another_name_or_purpose_is_neither_overwritten_nor_shown() {
        for (text, is_linked) in [("pid 1 keep me", true), ("keep me", true), ("keep me", false)] {
            let folder = tempfile::tempdir().unwrap();
            let (target, path) = (folder.path().join("precious"), folder.path().join(NAME));
            fs::write(&target, text).unwrap();
            if is_linked {
                fs::hard_link(&target, &path).unwrap();
            } else {
                fs::rename(&target, &path).unwrap();
            }
            let _first = take(folder.path()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let refused = take(folder.path()).unwrap_err();
            assert_eq!(holder_in(&refused), "it does not say who it is");
        }
    }

    #[test]
    fn a_holder_can_not_steer_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let first = File::create(&path).unwrap();
        first.lock().unwrap();
        fs::write(&path, b"pid 7\x1b]0;owned\x07, \xff\xe2\x80\xaeend\n").unwrap();
        let refused = take(folder.path()).unwrap_err();
        assert_eq!(holder_in(&refused), "pid 7 ]0;owned , \u{fffd} end");
    }
}
