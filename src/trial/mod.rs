//! Trial: one measured candidate.

pub mod journal;
pub mod noise;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knobs::Value;
use crate::stats;
use crate::workload::custom::metric::MetricValue;

/// How a trial ended.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// Measured, and everything read back as asked.
    #[default]
    Ok,
    /// The machine or the space does not allow it; nothing was started.
    Illegal,
    /// What the process read back differs from what was asked.
    Misapplied,
    /// It ran past its time limit and was killed.
    Timeout,
    /// The kernel killed it for memory, or the memory watch did.
    OutOfMemory,
    /// It died, or could not start.
    Crashed,
    /// It broke the protocol or its numbers make no sense.
    WrongOutput,
    /// Fast, but the picture is worse than allowed.
    PoorQuality,
    /// Somebody else ended it, or it was not watched all the time: it says nothing of its candidate.
    Interrupted,
}

impl Outcome {
    /// Whether it is held against the candidate: somebody else's interruption is not.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Interrupted)
    }
}

/// The part of a tune that a trial belongs to.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    /// Fits the workload to the machine.
    Calibration,
    /// The baseline, measured first.
    Baseline,
    /// Proposed by the strategy.
    #[default]
    Search,
    /// The baseline again, to see the machine drift.
    Sentinel,
    /// A promising candidate again, because noise makes its first measurement doubtful.
    Repeat,
    /// Interleaved pairs, finalist against baseline.
    Confirmation,
}

/// One repetition inside a trial's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Wall seconds a clip; of a user's own job, a run.
    pub seconds: f64,
    /// The number by which the run of a user's own command is scored instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricValue>,
    /// Busy seconds a clip of each stage; stages overlap, so these don't add up to `seconds`.
    pub stages: BTreeMap<String, f64>,
    /// Pages faulted in without I/O during the repetition; explains allocators' two speeds.
    pub minor_faults: u64,
    /// Seconds that this process's threads waited for a CPU, as a share of wall time.
    pub run_queue_share: f64,
}

impl Sample {
    /// What is to be small: the seconds, unless a metric is asked for.
    pub fn cost(&self) -> f64 {
        self.metric.map_or(self.seconds, |metric| metric.goal.cost(metric.value))
    }
}

/// One measured candidate: a row of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// Counts from 1 within a journal.
    pub number: u64,
    /// When it started, ISO 8601.
    pub started: String,
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

/// How alike a trial's picture and the reference's are: the same latent decoded whole in float32
/// (or the same picture encoded), once a tune.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB, at most [`Quality::EQUAL_DB`], which equal pictures have.
    pub psnr_db: f64,
    /// Mean structural similarity, 1 for equal ones (Wang et al., "Image Quality Assessment: From
    /// Error Visibility to Structural Similarity", 2004), of each colour by itself.
    pub ssim: f64,
    /// The ratio where tiles were blended; `None` without tiles.
    pub seam_psnr_db: Option<f64>,
    /// Mean structural similarity there.
    #[serde(default)]
    pub seam_ssim: Option<f64>,
    /// Of the transformer's first velocity, at fixed noise: its power by that of the difference
    /// from float32's, in dB; `None` where the job does not denoise.
    #[serde(default)]
    pub prediction_db: Option<f64>,
    /// The same of the text encoder's output for fixed tokens; `None` where the job has none.
    #[serde(default)]
    pub embedding_db: Option<f64>,
}

impl Quality {
    /// The ratio of equal pictures, which has no other bound.
    pub const EQUAL_DB: f64 = 200.0;

    /// The lowest of the ratios.
    pub fn worst_db(&self) -> f64 {
        let others = [self.seam_psnr_db, self.prediction_db, self.embedding_db];
        others.into_iter().flatten().fold(self.psnr_db, f64::min)
    }
}

/// The most that the process could do, measured beside the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// 10^9 operations a second of a product of large float32 matrices.
    pub gflops: f64,
    /// The same of bfloat16 matrices; `None` in journals of older versions.
    #[serde(default)]
    pub bf16_gflops: Option<f64>,
    /// 10^9 bytes a second of copying a large tensor, read and written bytes counted.
    pub gb_s: f64,
}

/// What the kernel says of disturbances during a trial; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// Share of CPU time that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// Share of wall time in which some task waited for a CPU.
    pub pressure_share: Option<f64>,
    /// Scheduler periods in which the cgroup was stopped for want of quota.
    pub throttled_periods: Option<u64>,
    /// The cgroup's quota at the trial's end, CPU seconds a second.
    pub cpu_quota: Option<f64>,
    /// Mean clock rate of the machine's CPUs at the trial's end.
    pub frequency_mhz: Option<f64>,
    /// The processor's temperature at the trial's end.
    pub temperature_c: Option<f64>,
}

impl Trial {
    /// Seconds that so many repetitions of it take.
    pub fn measuring_s(&self, repetitions: u32) -> f64 {
        let taken = self.samples.len().max(1) as f64;
        f64::from(repetitions) / taken * (self.wall_s - self.overhead_s)
    }

    /// What is to be small: the median of the samples of an ok trial, `None` for a failure. Seconds
    /// a clip, or what [`Sample::cost`] makes of a user's own job.
    pub fn score_s(&self) -> Option<f64> {
        let costs: Vec<f64> = self.samples.iter().map(Sample::cost).collect();
        (self.outcome == Outcome::Ok).then(|| stats::median(&costs)).flatten()
    }

    /// Median busy seconds a clip of one stage.
    pub fn stage_s(&self, stage: &str) -> Option<f64> {
        let of_stage = |sample: &Sample| sample.stages.get(stage).copied();
        stats::median(&self.samples.iter().filter_map(of_stage).collect::<Vec<_>>())
    }

    /// Minor faults a repetition, the mean.
    pub fn minor_faults(&self) -> Option<f64> {
        stats::mean(&self.samples.iter().map(|s| s.minor_faults as f64).collect::<Vec<_>>())
    }

    /// The worst repetition's share of time spent waiting for a CPU.
    pub fn run_queue_share(&self) -> Option<f64> {
        self.samples.iter().map(|sample| sample.run_queue_share).reduce(f64::max)
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
