//! Whether a profile's counts suit the CPU quota and the CPUs that this process has.

use super::Profile;
use crate::knobs::quota_for;
use crate::machine::{Limits, Machine};

impl Profile {
    /// What is wrong with launching this profile under this machine's quota, or where there is more
    /// of the machine than it was tuned with, and the cure; `None` where nothing is.
    pub fn quota_mismatch(&self, machine: &Machine) -> Option<String> {
        let here = machine.limits.whole_cpus().unwrap_or(usize::MAX);
        let there = self.tuned_quota();
        let wanted = self.most_threads();
        if here < wanted && there.is_none_or(|there| here < there) {
            let quota = machine.limits.cpu_quota?;
            let all = machine.all_cpus();
            let cure = quota_for(wanted, self.launch.cpus.len().min(all.len()));
            return Some(format!(
                "a quota of {quota} CPUs' time for a profile of {wanted} threads: the kernel \
                 stops them in turn; {cure}"
            ));
        }
        self.free_quota(here, there).or_else(|| self.free_cpus(machine))
    }

    fn free_quota(&self, here: usize, there: Option<usize>) -> Option<String> {
        let free = here.min(self.machine.allowed.len());
        there.filter(|&there| there < free)?;
        let quota = self.machine.cpu_quota?;
        Some(format!(
            "the profile was tuned under a quota of {quota} CPUs' time, and here are {free}: tune \
             again to use them"
        ))
    }

    fn free_cpus(&self, machine: &Machine) -> Option<String> {
        let (there, here) = (&self.machine.allowed, &machine.allowed);
        let is_part = !there.is_empty() && there.len() < here.len();
        (is_part && there.iter().all(|cpu| here.contains(cpu))).then(|| {
            format!(
                "the profile was tuned on CPUs {there} alone, and here are {here}: tune again to \
                 use them"
            )
        })
    }

    /// The quota that the tune ran under, in whole CPUs.
    pub(super) fn tuned_quota(&self) -> Option<usize> {
        Limits { cpu_quota: self.machine.cpu_quota, memory_bytes: None }.whole_cpus()
    }

    /// The threads of the largest pool, as many as can run at once on the profile's CPUs.
    fn most_threads(&self) -> usize {
        let workers = self.workers;
        let of_pipeline =
            [workers.io_workers, workers.preprocessing_workers, workers.batch_processing_workers];
        // A job of one's own has no such pools.
        let pools = if self.is_of_custom_job() { &[][..] } else { &of_pipeline };
        let most = pools.iter().copied().fold(self.optimal_settings.num_threads, usize::max);
        most.min(self.launch.cpus.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;
    use crate::machine::CpuSet;

    fn machine(quota: Option<f64>) -> Machine {
        let mut machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:8 pu:1");
        machine.limits.cpu_quota = quota;
        machine
    }

    /// The baseline of 8 cores under a quota: as many threads as fit.
    fn profile(quota: Option<f64>) -> Profile {
        Profile::of_baseline(Preset::Threadripper5995wx, &machine(quota))
    }

    #[test]
    fn fewer_cpus_than_threads_are_told_with_the_cure() {
        let said = profile(None).quota_mismatch(&machine(Some(2.5))).unwrap();
        let expected = "a quota of 2.5 CPUs' time for a profile of 8 threads: the kernel stops \
                        them in turn; give 8 CPUs (docker run --cpus 8, in Kubernetes limits.cpu 8)";
        assert_eq!(said, expected);
        for enough in [None, Some(7.999), Some(8.0), Some(64.0)] {
            assert_eq!(profile(None).quota_mismatch(&machine(enough)), None, "{enough:?}");
        }
    }

    #[test]
    fn a_profile_that_was_tuned_under_a_quota_is_at_home_under_it_only() {
        let tuned = profile(Some(4.0));
        assert_eq!(tuned.machine.cpu_quota, Some(4.0));
        assert_eq!(tuned.quota_mismatch(&machine(Some(4.0))), None);
        assert_eq!(tuned.quota_mismatch(&machine(Some(3.999))), None);
        let said = tuned.quota_mismatch(&machine(None)).unwrap();
        assert!(said.contains("tuned under a quota of 4 CPUs' time, and here are 8"), "{said}");
        let text = serde_json::to_string(&tuned).unwrap();
        assert_eq!(Profile::parse(&text).unwrap(), tuned);
    }

    #[test]
    fn a_profile_of_a_part_of_the_machine_is_told_on_the_whole() {
        let mut part = profile(None);
        part.machine.allowed = "3".parse().unwrap();
        let said = part.quota_mismatch(&machine(None)).unwrap();
        let expected = "the profile was tuned on CPUs 3 alone, and here are 0-7: tune again to use \
                        them";
        assert_eq!(said, expected);
        let mut here = machine(None);
        here.allowed = "3".parse().unwrap();
        assert_eq!(part.quota_mismatch(&here), None);
        // Profiles that do not tell.
        part.machine.allowed = CpuSet::default();
        assert_eq!(part.quota_mismatch(&machine(None)), None);
    }

    #[test]
    fn adapting_fits_the_counts_to_the_quota_both_ways() {
        let counts = |adapted: crate::profile::Adapted| {
            let knobs = adapted.knobs;
            [knobs.intra_op_threads, knobs.preprocess_workers, knobs.io_workers]
        };
        let free = profile(None);
        assert_eq!(counts(free.adapt(&machine(Some(2.0))).unwrap()), [2, 1, 1]);
        assert_eq!(counts(free.adapt(&machine(Some(0.1))).unwrap()), [1, 1, 1]);
        let changes = free.adapt(&machine(Some(2.0))).unwrap().changes;
        let said = "intra_op_threads 8 -> 2: 8 cores there, a quota of 2 CPUs' time here";
        assert!(changes.iter().any(|change| change == said), "{changes:?}");
        let mut tuned = profile(Some(4.0));
        (tuned.optimal_settings.num_threads, tuned.launch.cpus) = (4, "0-7".parse().unwrap());
        tuned.candidate.insert("intra_op_threads".to_owned(), crate::knobs::Value::Integer(4));
        assert_eq!(counts(tuned.adapt(&machine(None)).unwrap())[0], 8);
    }
}
