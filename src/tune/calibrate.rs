//! Calibration: on which slices or sizes of the job this machine searches, and confirms, in its budget.

use crate::architecture::Architecture;
use crate::knobs::Settings;
use crate::trial::Trial;
use crate::workload::{Projection, Workload, WorkloadFile};

/// The slices of the built-in job, or the sizes of the user's own, that a tune runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rungs {
    /// What the search runs.
    pub search: Workload,
    /// What the confirmation runs: the same, or a larger one.
    pub confirmation: Workload,
    /// How many times as long as one of the search a repetition of the confirmation takes.
    pub ratio: f64,
    /// What a finalist has to run before it is believed, where the confirmation is not the whole job:
    /// all of its memory in a part of its time. Each next one is for a program that refuses those before.
    pub memory: Vec<Workload>,
}

impl Rungs {
    /// One for both.
    pub fn same(workload: Workload) -> Self {
        Self { confirmation: workload.clone(), search: workload, ratio: 1.0, memory: Vec::new() }
    }
}

/// What a repetition of the search should take under the baseline, in seconds, in a tune of `budget_s`:
/// so that some 30 trials fit in beside the confirmation.
fn search_s(budget_s: f64) -> f64 {
    (budget_s / 180.0).clamp(2.5, 20.0)
}

/// The same of the confirmation, so that four pairs take two fifths of the budget.
fn confirmation_s(budget_s: f64) -> f64 {
    (budget_s / 60.0).max(2.5)
}

/// What a trial of the confirmation may take of the budget where sizes are measured: four pairs take two
/// fifths of it.
pub(super) const PAIR_SHARE: f64 = 0.05;

/// How many times as long as one of the search, `small`, a trial of as many repetitions takes on another
/// size, of which `large` ran.
pub(super) fn ratio(small: &Trial, large: &Trial) -> f64 {
    let repetitions = small.samples.len().max(1) as u32;
    let seconds = large.overhead_s + large.measuring_s(repetitions);
    (seconds / small.wall_s).max(1.0)
}

/// Parts of attention that each thread should have, so that it is shared out as in the whole job.
const TASKS_PER_THREAD: u64 = 4;

/// How many times as long as it should a repetition may take for that.
const DEAR: f64 = 4.0;

/// What decides how long a slice takes here.
pub struct Calibration<'a> {
    /// The job.
    pub file: &'a WorkloadFile,
    /// The models' sizes.
    pub parts: &'a Architecture,
    /// The baseline's settings.
    pub settings: &'a Settings,
    /// The baseline's trial of the smallest slice.
    pub trial: &'a Trial,
}

impl Calibration<'_> {
    /// The largest slices that a tune of `budget_s` seconds pays for and that fit into memory.
    pub fn rungs(&self, budget_s: f64, fits: impl Fn(&Workload) -> bool) -> Rungs {
        let [search, confirmation] =
            [search_s(budget_s), confirmation_s(budget_s)].map(|most| self.largest(most, &fits));
        self.of(search, confirmation)
    }

    /// These slices.
    pub fn of(&self, search: Workload, confirmation: Workload) -> Rungs {
        let ratio = self.seconds(&confirmation) / self.seconds(&search);
        let ratio = if ratio.is_finite() { ratio.max(1.0) } else { 1.0 };
        Rungs { search, confirmation, ratio, memory: Vec::new() }
    }

    /// The largest slice of which a repetition takes no more than `most_s` seconds; a larger one where
    /// that has too little attention to share out among the threads.
    fn largest(&self, most_s: f64, fits: impl Fn(&Workload) -> bool) -> Workload {
        let sizes: Vec<Workload> = (0..self.file.size_count()).map(|n| self.file.size(n)).collect();
        let takes = |job: &&Workload, most_s| self.seconds(job) <= most_s && fits(job);
        let largest = sizes[1..].iter().rev().find(|job| takes(job, most_s)).unwrap_or(&sizes[0]);
        let least = TASKS_PER_THREAD * self.settings.intra_op_threads as u64;
        let is_shared = |job: &&Workload| job.attention_tasks(self.parts) >= least;
        let larger = || sizes.iter().find(|job| is_shared(job) && takes(job, DEAR * most_s));
        let chosen = if is_shared(&largest) { largest } else { larger().unwrap_or(largest) };
        chosen.clone()
    }

    /// What a repetition of a slice should take.
    fn seconds(&self, slice: &Workload) -> f64 {
        let clips = f64::from(slice.sizes.clips);
        let stages = self.trial.stages_s();
        clips * Projection::of(slice, self.parts, self.settings).slice_s(&stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Sample;

    #[test]
    fn what_is_done_once_per_trial_is_not_done_for_each_repetition() {
        let trial = |wall_s, overhead_s, samples| Trial {
            wall_s,
            overhead_s,
            samples: vec![Sample::default(); samples],
            ..Trial::default()
        };
        // A worker: 30 s of loading, then runs of 3 s, or of 15 s, after one to warm up.
        let (small, large) = (trial(39.0, 33.0, 2), trial(60.0, 45.0, 1));
        assert_eq!(ratio(&small, &large), 75.0 / 39.0);
        assert_eq!(ratio(&trial(3.0, 0.0, 3), &trial(10.0, 0.0, 1)), 10.0);
        assert_eq!(ratio(&small, &trial(1.0, 0.0, 1)), 1.0);
    }
}
