//! How often the scheduler stopped this process's cgroups for want of quota.

use super::cgroup::hierarchies;
use crate::machine::roots::{SystemRoots, counter, line};

/// Periods (a tenth of a second each, where nobody changed that) in which the process's cgroup or
/// one above it was stopped, counted since the cgroups were made; `None` where none is counted.
pub fn throttled_periods(roots: &SystemRoots) -> Option<u64> {
    let counted = |hierarchy: &super::cgroup::Hierarchy| {
        let folders: Vec<_> = hierarchy.folders().collect();
        let stopped = |stat: String| counter(&stat, "nr_throttled");
        folders.into_iter().filter_map(move |folder| stopped(line(&folder.join("cpu.stat"))?))
    };
    let hierarchies = hierarchies(roots);
    hierarchies.iter().flat_map(counted).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(files: &[(&str, &str)]) -> Option<u64> {
        let (_tree, roots) = SystemRoots::of_files(files);
        throttled_periods(&roots)
    }

    #[test]
    fn every_group_on_the_way_up_counts() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let files = [
            ("proc/self/cgroup", "0::/slice/job\n"),
            ("proc/self/mountinfo", v2),
            ("sys/fs/cgroup/slice/cpu.stat", "usage_usec 9\nnr_periods 8\nnr_throttled 5\n"),
            ("sys/fs/cgroup/slice/job/cpu.stat", "nr_throttled 2\nthrottled_usec 7\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 100\n"),
        ];
        assert_eq!(periods(&files), Some(7));
        assert_eq!(periods(&files[..2]), None);
    }

    #[test]
    fn version_1_counts_under_its_own_mount() {
        let v1 = "31 23 0:27 / /cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let files = [
            ("proc/self/cgroup", "1:cpu,cpuacct:/a\n"),
            ("proc/self/mountinfo", v1),
            ("cpu/a/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 1\n"),
        ];
        assert_eq!(periods(&files), Some(4));
    }
}
