//! Calibration: how much of the real job one repetition does on this machine.

use crate::architecture::Architecture;
use crate::workload::{Workload, WorkloadFile};

/// What a repetition should take under the baseline, in seconds: 2.5 in a tune of two minutes, 4 in
/// a long one, which can afford sizes nearer to a real job's.
pub fn target_s(budget_s: f64) -> f64 {
    (budget_s / 60.0).clamp(2.5, 4.0)
}

/// The largest size of `file` of which a repetition should take no more than `target_s`, when a
/// clip of the smallest took `clip_s` seconds, and that `fits` into memory.
pub fn fit(
    file: &WorkloadFile,
    parts: &Architecture,
    clip_s: f64,
    target_s: f64,
    fits: impl Fn(&Workload) -> bool,
) -> Workload {
    let smallest = file.size(0);
    let rate = smallest.work(parts) / clip_s;
    let seconds = |job: &Workload| f64::from(job.sizes.clips) * job.work(parts) / rate;
    let larger = (1..file.size_count()).rev().map(|number| file.size(number));
    larger.into_iter().find(|job| seconds(job) <= target_s && fits(job)).unwrap_or(smallest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Model;
    use crate::workload::BUILT_IN;

    fn fitted(clip_s: f64, fits: impl Fn(&Workload) -> bool) -> Workload {
        let file = WorkloadFile::parse(BUILT_IN[0].1).unwrap();
        fit(&file, &Model::Ti2v5b.architecture(), clip_s, 2.5, fits)
    }

    #[test]
    fn a_slow_machine_does_the_least_and_a_fast_one_a_whole_job() {
        let file = WorkloadFile::parse(BUILT_IN[0].1).unwrap();
        assert_eq!(fitted(10.0, |_| true), file.size(0));
        assert_eq!(fitted(1e-9, |_| true), file.full());
        let middle = fitted(0.05, |_| true);
        assert!(middle != file.size(0) && middle != file.full());
        // What is chosen takes no longer than asked for: 0.05 s is what the smallest clip's work took.
        let work =
            |job: &Workload| f64::from(job.sizes.clips) * job.work(&Model::Ti2v5b.architecture());
        let clip = file.size(0).work(&Model::Ti2v5b.architecture());
        assert!(work(&middle) / clip * 0.05 <= 2.5);
    }

    #[test]
    fn a_size_that_memory_has_no_room_for_is_passed_over() {
        let small = fitted(1e-9, |job| job.sizes.width <= 512);
        assert_eq!(small.sizes.width, 512);
    }

    #[test]
    fn a_long_tune_affords_longer_repetitions() {
        let minutes = |n: f64| target_s(60.0 * n);
        assert_eq!([minutes(1.0), minutes(2.0), minutes(3.0), minutes(30.0)], [2.5, 2.5, 3.0, 4.0]);
    }
}
