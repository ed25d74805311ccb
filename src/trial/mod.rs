//! Trial: one measured candidate.

pub mod journal;
pub mod noise;
mod outcome;
mod peak;
mod phase;
mod quality;
mod sample;
pub mod similarity;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knobs::Value;
use crate::stats;

pub use noise::Noise;
pub use outcome::Outcome;
pub use peak::Peak;
pub use phase::Phase;
pub use quality::Quality;
pub use sample::Sample;

/// One measured candidate: a row of the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trial {
    /// Counts from 1 within a journal.
    pub number: u64,
    /// When it started, ISO 8601.
    pub started: String,
    /// The node that ran it, of several; empty where one machine tunes by itself.
    pub node: String,
    /// The part of the tune.
    pub phase: Phase,
    /// Confirmation pair, from 1.
    pub pair: Option<u64>,
    /// Who proposed it.
    pub strategy: String,
    /// The tune's seed.
    pub seed: u64,
    /// The workload's name.
    pub workload: String,
    /// The value of every knob.
    pub knobs: BTreeMap<String, Value>,
    /// How it ended.
    pub outcome: Outcome,
    /// The outcome in words, one line; for ok empty, but for what a command did to its own CPUs.
    pub detail: String,
    /// Every repetition after the warm-up, in order.
    pub samples: Vec<Sample>,
    /// Peak resident memory.
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that it held on one GPU; `None` where there is none, or nobody tells.
    pub peak_device_bytes: Option<u64>,
    /// Most memory that was resident in each stage, in the warm-up.
    pub stage_rss_bytes: BTreeMap<String, u64>,
    /// Seconds from the worker's start to its first repetition.
    pub setup_s: Option<f64>,
    /// Seconds of [`Trial::wall_s`] outside the measured repetitions.
    pub overhead_s: f64,
    /// Seconds from spawning the process to its end.
    pub wall_s: f64,
    /// Seconds that the tune had run when it ended, breaks left out, by a clock that nobody sets;
    /// `None` in journals of older versions and for what died with its tuner.
    pub spent_s: Option<f64>,
    /// The trial for which its process was started, where it ran in the warm one of an earlier trial.
    pub process: Option<u64>,
    /// What disturbed it.
    pub noise: Noise,
    /// How good the picture was; `None` where the job makes none, or it did not get that far.
    pub quality: Option<Quality>,
    /// What the process could do at the most; of the trial that made the reference only.
    pub peak: Option<Peak>,
    /// Digest of what the process read back; empty where it did not get that far.
    pub effect: String,
    /// Name and version of the tuner.
    pub tool: String,
}

impl Trial {
    /// Whether it ran a slice of the job, whose time is no measurement of the job itself.
    pub fn is_slice(&self) -> bool {
        self.samples.iter().any(|sample| sample.slice_s.is_some())
    }

    /// Seconds that this number of its repetitions takes.
    pub fn measuring_s(&self, repetitions: u32) -> f64 {
        let taken = self.samples.len().max(1) as f64;
        f64::from(repetitions) / taken * (self.wall_s - self.overhead_s)
    }

    /// What is to be small: the median of the samples of an ok trial, `None` for a failure. Seconds
    /// per clip, or what [`Sample::cost`] makes of a user's own job.
    pub fn score(&self) -> Option<f64> {
        let median = || stats::median(self.samples.iter().map(Sample::cost));
        (self.outcome == Outcome::Ok).then(median).flatten()
    }

    /// Median busy seconds per clip of one stage.
    pub fn stage_s(&self, stage: &str) -> Option<f64> {
        stats::median(self.samples.iter().filter_map(|sample| sample.stages.get(stage)))
    }

    /// Median busy seconds per clip of all stages.
    pub fn stages_s(&self) -> BTreeMap<String, f64> {
        let names = self.samples.iter().flat_map(|sample| sample.stages.keys());
        names.filter_map(|name| Some((name.clone(), self.stage_s(name)?))).collect()
    }

    /// Minor faults per repetition, the mean.
    pub fn minor_faults(&self) -> Option<f64> {
        stats::mean(self.samples.iter().map(|s| s.minor_faults as f64))
    }

    /// The worst repetition's share of time spent waiting for a CPU.
    pub fn run_queue_share(&self) -> Option<f64> {
        self.samples.iter().map(|sample| sample.run_queue_share).reduce(f64::max)
    }
}

#[cfg(test)]
impl Trial {
    /// An ok trial of one sample, of a candidate that differs from others in its threads alone.
    pub fn made(phase: Phase, threads: i64, seconds: f64) -> Self {
        let samples = vec![Sample { seconds, ..Sample::default() }];
        Self { phase, knobs: Self::threads(threads), samples, ..Self::default() }
    }

    /// The values of such a candidate.
    pub fn threads(count: i64) -> BTreeMap<String, Value> {
        [("intra_op_threads".to_owned(), Value::Integer(count))].into()
    }
}

/// The baseline's values, as the first trials of a journal have them.
pub fn baseline_of(trials: &[Trial]) -> Option<&BTreeMap<String, Value>> {
    let of_baseline = |trial: &&Trial| matches!(trial.phase, Phase::Calibration | Phase::Baseline);
    trials.iter().find(of_baseline).map(|trial| &trial.knobs)
}

/// What a trial says that was ended because somebody wants the tuner to stop.
pub const STOPPED: &str = "the tuner was asked to stop";

/// What a trial says that was ended because the budget had no more time for it.
pub const OVER: &str = "its share of the budget was over";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_take_their_part_of_the_measured_time() {
        // Four repetitions of 2 s after 5 s of setting up.
        let samples = vec![Sample { seconds: 1.0, ..Sample::default() }; 4];
        let trial = Trial { wall_s: 13.0, overhead_s: 5.0, samples, ..Trial::default() };
        assert_eq!([1, 3, 4, 9].map(|count| trial.measuring_s(count)), [2.0, 6.0, 8.0, 18.0]);
        let failed = Trial { wall_s: 2.0, overhead_s: 2.0, ..Trial::default() };
        assert_eq!(failed.measuring_s(3), 0.0);
    }
}
