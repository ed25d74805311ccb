//! Processes that the kernel killed because memory ran out, as it counts them itself.

use super::cgroup::hierarchies;
use crate::machine::roots::{SystemRoots, counter, line};

/// Kills so far in this process's own cgroup or, where that does not count, on the host; `None`
/// where nobody does.
pub fn oom_kills(roots: &SystemRoots) -> Option<u64> {
    let own = |hierarchy: &super::cgroup::Hierarchy| {
        // Version 2 and version 1.
        let files = ["memory.events", "memory.oom_control"];
        let folder = hierarchy.folders().next()?;
        files.iter().find_map(|name| counter(&line(&folder.join(name))?, "oom_kill"))
    };
    let host = || counter(&line(&roots.proc.join("vmstat"))?, "oom_kill");
    hierarchies(roots).iter().find_map(own).or_else(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills(files: &[(&str, &str)]) -> Option<u64> {
        let (_tree, roots) = SystemRoots::of_files(files);
        oom_kills(&roots)
    }

    #[test]
    fn the_own_group_counts_before_the_host() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let files = [
            ("proc/vmstat", "nr_free_pages 1\noom_kill 9\n"),
            ("proc/self/cgroup", "0::/slice/job\n"),
            ("proc/self/mountinfo", v2),
            (
                "sys/fs/cgroup/slice/job/memory.events",
                "low 0\noom 5\noom_kill 2\noom_group_kill 0\n",
            ),
        ];
        assert_eq!(kills(&files), Some(2));
        assert_eq!(kills(&files[..3]), Some(9));
        assert_eq!(kills(&[]), None);
    }

    #[test]
    fn version_1_counts_beside_its_switch() {
        let v1 = "31 23 0:27 / /memory rw - cgroup cgroup rw,memory\n";
        let files = [
            ("proc/self/cgroup", "1:memory:/a\n"),
            ("proc/self/mountinfo", v1),
            ("memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"),
        ];
        assert_eq!(kills(&files), Some(4));
    }
}
