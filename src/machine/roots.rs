//! Where the system's files lie, so that fixture trees can stand in for a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// The number after `name` in a file of lines such as `oom_kill 3`.
pub(super) fn counter(text: &str, name: &str) -> Option<u64> {
    let number = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(number)
}

/// Field `number` of a process's `stat`, counted from 1 as in `proc(5)`; of those after the name, which
/// may hold anything.
pub fn stat_field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)
}

/// How long the threads of the process whose folder in `/proc` this is have waited for a CPU. One that
/// ends meanwhile, or a kernel without schedstat, counts as no wait.
pub fn waited(process: &Path) -> Duration {
    let tasks = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let waits = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(waits.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_a_name_with_brackets() {
        let stat = "7 (a) b (c) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 2200 23";
        let fields = [3, 10, 22, 60, 2].map(|number| stat_field(stat, number));
        assert_eq!(fields, [Some("S"), Some("10"), Some("2200"), None, None]);
        assert_eq!(stat_field("rubbish", 10), None);
    }
}
