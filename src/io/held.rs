//! Held: programs and folders of a run, which may be replaced, removed or moved while it lasts.
//!
//! A path says where to look, not what was found there. What is held is kept open, and [`now`] tells
//! the path under which the very same is to be had: the usual one as long as that still leads to it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

/// Until the program ends: what a run began with is what it goes on with.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

struct Held {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    content: (u64, Option<SystemTime>),
}

impl Held {
    fn of(path: PathBuf, file: File) -> io::Result<Self> {
        let found = file.metadata()?;
        let content = (found.len(), found.modified().ok());
        Ok(Self { path, file, identity: (found.dev(), found.ino()), content })
    }

    fn is_in_place(&self) -> bool {
        identity(&self.path) == Some(self.identity)
    }

    /// Where it is to be had although its path leads elsewhere; `None` for a folder that is gone.
    fn moved_to(&self) -> Option<PathBuf> {
        let number = self.file.as_raw_fd();
        let link = PathBuf::from(format!("/proc/{}/fd/{number}", std::process::id()));
        if self.file.metadata().ok()?.is_file() {
            return Some(link);
        }
        // Others are told of a folder by its name.
        fs::read_link(link).ok().filter(|place| identity(place) == Some(self.identity))
    }
}

/// Which file or folder is found at `path`.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Holds the file or folder at `path`.
pub fn hold(path: &Path) -> Result<()> {
    hold_opened(path, path)
}

/// Holds this program, which is found at `path` unless it was replaced already.
pub fn hold_this_program(path: &Path) -> Result<()> {
    hold_opened(path, Path::new("/proc/self/exe"))
}

fn hold_opened(path: &Path, opened: &Path) -> Result<()> {
    let place = || path.display().to_string();
    let path = std::path::absolute(path).with_context(place)?;
    let held = File::open(opened).and_then(|file| Held::of(path.clone(), file));
    let held = held.with_context(place)?;
    with_held(|all| {
        all.retain(|other| other.path != path);
        all.push(held);
    });
    Ok(())
}

fn with_held<T>(work: impl FnOnce(&mut Vec<Held>) -> T) -> T {
    work(&mut HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Where that is which was found at `path` when it, or a folder that it is in, was held.
pub fn now(path: &Path) -> PathBuf {
    let Ok(whole) = std::path::absolute(path) else { return path.to_owned() };
    let found = with_held(|all| {
        // The innermost: a folder in a folder may be moved by itself.
        let around = all.iter().filter(|held| whole.starts_with(&held.path));
        let held = around.max_by_key(|held| held.path.as_os_str().len())?;
        let rest = whole.strip_prefix(&held.path).ok()?;
        let base = if held.is_in_place() { None } else { held.moved_to() }?;
        Some(if rest.as_os_str().is_empty() { base } else { base.join(rest) })
    });
    found.unwrap_or_else(|| path.to_owned())
}

/// What `work` comes to with the place where that is now; tried again where it was moved while it
/// was worked with.
pub fn at<T>(path: &Path, work: impl Fn(&Path) -> Result<T>) -> Result<T> {
    loop {
        let place = now(path);
        let done = work(&place);
        if done.is_ok() || now(path) == place {
            return done;
        }
    }
}

/// As [`now`], of a program, which must not have been written over.
///
/// # Errors
/// It was.
pub fn program(path: &Path) -> Result<PathBuf> {
    let place = now(path);
    let whole = std::path::absolute(path).unwrap_or_default();
    let is_altered = with_held(|all| {
        let held = all.iter().find(|held| held.path == whole)?;
        let found = held.file.metadata().ok()?;
        Some((found.len(), found.modified().ok()) != held.content)
    });
    ensure!(
        is_altered != Some(true),
        "{}: written over while the run lasted, so that trials before and after it would be of two \
         programs; start again",
        path.display()
    );
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_found_wherever_it_goes() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/inner")).unwrap();
        fs::write(at("a/inner/file"), "first").unwrap();
        fs::write(at("program"), "old").unwrap();
        for name in ["a", "a/inner", "program"] {
            hold(&at(name)).unwrap();
        }
        assert_eq!(now(&at("a/inner/file")), at("a/inner/file"));
        assert_eq!(now(&at("other")), at("other"));
        fs::rename(at("a"), at("b")).unwrap();
        assert_eq!(now(&at("a/inner/file")), at("b/inner/file"));
        // Something else takes its place.
        fs::create_dir_all(at("a/inner")).unwrap();
        assert_eq!(now(&at("a/new")), at("b/new"));
        fs::write(at("new program"), "new").unwrap();
        fs::rename(at("new program"), at("program")).unwrap();
        assert_eq!(fs::read_to_string(program(&at("program")).unwrap()).unwrap(), "old");
        fs::remove_file(at("program")).unwrap();
        assert_eq!(fs::read_to_string(now(&at("program"))).unwrap(), "old");
    }

    #[test]
    fn what_fails_for_a_move_is_done_again_and_what_fails_without_is_not() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join("old"), root.path().join("new"));
        fs::create_dir(&old).unwrap();
        hold(&old).unwrap();
        let made = at(&old, |place| {
            if place == old {
                fs::rename(&old, &new)?;
            }
            Ok(fs::write(place.join("file"), "text")?)
        });
        assert!(made.is_ok() && new.join("file").exists(), "{made:?}");
        assert!(at(&old, |place| Ok(fs::read(place.join("none"))?)).is_err());
    }

    #[test]
    fn a_program_that_is_written_over_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("program");
        fs::write(&path, "old").unwrap();
        hold(&path).unwrap();
        assert_eq!(program(&path).unwrap(), path);
        fs::write(&path, "another").unwrap();
        let refused = program(&path).unwrap_err().to_string();
        assert!(refused.contains("written over while the run lasted"), "{refused}");
    }
}
