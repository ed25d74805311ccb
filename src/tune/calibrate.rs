//! Calibration: on which slices of the job this machine searches, and confirms, in its budget.

use crate::architecture::Architecture;
use crate::knobs::Settings;
use crate::trial::Trial;
use crate::workload::{Projection, Workload, WorkloadFile};

/// The slices that a tune runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rungs {
    /// What the search runs.
    pub search: Workload,
    /// What the confirmation runs: the same, or a larger one.
    pub confirmation: Workload,
    /// How many times as long as one of the search a repetition of the confirmation takes.
    pub ratio: f64,
}

impl Rungs {
    /// One for both.
    pub fn same(workload: Workload) -> Self {
        Self { confirmation: workload.clone(), search: workload, ratio: 1.0 }
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
        Rungs { search, confirmation, ratio }
    }

    /// The largest slice of which a repetition takes no more than `most_s` seconds.
    fn largest(&self, most_s: f64, fits: impl Fn(&Workload) -> bool) -> Workload {
        let larger = (1..self.file.size_count()).rev().map(|number| self.file.size(number));
        let mut affordable = larger.filter(|job| self.seconds(job) <= most_s && fits(job));
        affordable.next().unwrap_or_else(|| self.file.size(0))
    }

    /// What a repetition of a slice should take.
    fn seconds(&self, slice: &Workload) -> f64 {
        let clips = f64::from(slice.sizes.clips);
        let stages = self.trial.stages_s();
        clips * Projection::of(slice, self.parts, self.settings).slice_s(&stages)
    }
}
