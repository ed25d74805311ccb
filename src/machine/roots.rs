//! Where the system's files lie, so that fixture trees can stand in for a machine.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders that detection and `doctor` read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemRoots {
    /// Mount point of procfs.
    pub proc: PathBuf,
    /// Mount point of sysfs.
    pub sys: PathBuf,
    /// System configuration.
    pub etc: PathBuf,
    /// Put before every mount point that `mountinfo` names; empty on a live system.
    pub mounts: PathBuf,
}

impl SystemRoots {
    /// This system's own.
    pub fn live() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            etc: "/etc".into(),
            mounts: PathBuf::new(),
        }
    }

    /// A system of these files, by their paths: there as long as the folder that comes with it.
    #[cfg(test)]
    pub fn of_files<P: AsRef<Path>, T: AsRef<str>>(files: &[(P, T)]) -> (tempfile::TempDir, Self) {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.as_ref()).unwrap();
        }
        let [proc, sys, etc] = ["proc", "sys", "etc"].map(|name| tree.path().join(name));
        let mounts = tree.path().to_owned();
        (tree, Self { proc, sys, etc, mounts })
    }

    /// Where the mount point that `mountinfo` calls `point` lies.
    pub fn mounted(&self, point: &str) -> PathBuf {
        if self.mounts.as_os_str().is_empty() {
            point.into()
        } else {
            self.mounts.join(point.trim_start_matches('/'))
        }
    }
}

/// The trimmed text of a small system file; `None` where it is missing, unreadable or empty.
pub fn line(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The value of `key` in a file of `key: value` lines, such as `/proc/self/status`.
pub fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}
