//! Process snapshot: looks at a running command and all that it started, from outside.

use std::fs;
use std::path::{Path, PathBuf};

use crate::io::held;
use crate::launch::Effect;
use crate::machine::{stat_field, waited};
use crate::runner::process::tree;

/// What one look saw.
#[derive(Clone, Debug, Default)]
pub struct ProcessSnapshot {
    /// What holds in it; of its processes together where there are several.
    pub effect: Effect,
    /// Seconds that its threads have waited for a CPU so far.
    pub waited_s: f64,
    /// Pages faulted in without I/O so far.
    pub minor_faults: u64,
}

impl ProcessSnapshot {
    /// Looks at process `root` and its descendants; `None` while it is still `launcher`, or not all
    /// of its libraries are loaded.
    pub fn at(root: u32, launcher: &Path, with_memory: bool) -> Option<Self> {
        let executable = held::identity(&process(root).join("exe"))?;
        if Some(executable) == held::identity(&held::now(launcher)) {
            return None;
        }
        let mut snapshot =
            Self { effect: Effect::of_process(root, with_memory)?, ..Self::default() };
        snapshot.count(root);
        for pid in tree::descendants(root).into_iter().skip(1) {
            if let Some(effect) = Effect::of_process(pid, with_memory) {
                snapshot.effect.join(effect);
            }
            snapshot.count(pid);
        }
        Some(snapshot)
    }

    fn count(&mut self, pid: u32) {
        let process = process(pid);
        self.waited_s += waited(&process).as_secs_f64();
        self.minor_faults += minor_faults(&process).unwrap_or_default();
    }
}

fn process(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn minor_faults(process: &Path) -> Option<u64> {
    stat_field(&fs::read_to_string(process.join("stat")).ok()?, 10)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_process_is_seen_with_what_it_started() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        let both = (
            tree::descendants(me).contains(&child.id()),
            tree::descendants(child.id()) == [child.id()],
        );
        let snapshot = ProcessSnapshot::at(me, Path::new("/nowhere"), false);
        let launcher = std::env::current_exe().unwrap();
        let still = ProcessSnapshot::at(me, &launcher, false);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(both, (true, true));
        assert!(still.is_none());
        let snapshot = snapshot.unwrap();
        assert!(snapshot.minor_faults > 0);
        let threads: BTreeMap<_, _> =
            snapshot.effect.pools.iter().map(|(n, p)| (n, p.threads)).collect();
        assert!(threads.values().sum::<usize>() >= 2, "{threads:?}");
    }
}
