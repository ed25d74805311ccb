//! Quota: the CPU time that a cgroup allows, counted in whole CPUs.

use super::cgroup::Cgroup;
use crate::machine::{Limits, Machine, SystemRoots};

/// The share of a CPU count by which a quota may fall short of it and still count as it: managers
/// round when they turn CPUs into microseconds.
const ROUNDING: f64 = 0.02;

impl Limits {
    /// The quota in whole CPUs, at least 1; `None` where there is no quota.
    pub fn whole_cpus(&self) -> Option<usize> {
        let quota = self.cpu_quota?;
        let near = quota.round();
        let whole = if quota >= near * (1.0 - ROUNDING) { near } else { quota };
        Some(whole.max(1.0) as usize)
    }
}

impl Machine {
    /// How many threads can run at once: the allowed CPUs, under the quota's whole part, at least 1.
    pub fn thread_limit(&self) -> usize {
        self.allowed.len().min(self.quota())
    }

    /// The threads that a quota lets run at once, at least 1, where it allows fewer than the CPUs.
    pub fn quota_ceiling(&self) -> Option<usize> {
        Some(self.quota()).filter(|&threads| threads < self.allowed.len())
    }

    /// The quota of the process's cgroup as it is now, in CPU seconds per second; `None` without.
    pub fn quota_now(roots: &SystemRoots) -> Option<f64> {
        Cgroup::read(roots).limits.cpu_quota
    }

    /// How many cores can be busy at once: those that this process may use, under the quota's
    /// whole part, at least 1.
    pub fn core_limit(&self) -> usize {
        self.core_count().min(self.quota()).max(1)
    }

    fn quota(&self) -> usize {
        self.limits.whole_cpus().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_as_the_next_whole_number_within_two_percent() {
        let whole = |quota| Limits { cpu_quota: quota, memory_bytes: None }.whole_cpus();
        assert_eq!(whole(None), None);
        for (quota, expected) in [
            (0.01, 1),
            (0.5, 1),
            (1.0, 1),
            (1.5, 1),
            (1.95, 1),
            (1.97, 2),
            (1.99999, 2),
            (2.0, 2),
            (2.4, 2),
            (2.6, 2),
            (63.5, 64),
            (62.4, 62),
        ] {
            assert_eq!(whole(Some(quota)), Some(expected), "{quota}");
        }
    }
}
