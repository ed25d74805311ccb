//! Proof: how much a profile's evidence shows, so that less does not take the place of more.

use std::fmt;

use super::{Evidence, Profile};
use crate::knobs::program_environment;
use crate::workload::Workload;

/// What the evidence of a profile amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Whether it was measured at all, and whether a gain is proven.
    verdict: Verdict,
    /// The least gain that the interval leaves, percent.
    least_gain: f64,
    /// Confirmation pairs.
    pairs: usize,
    /// The job.
    job: Option<String>,
    gain: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Unmeasured,
    NoGain,
    Gain,
}

impl Proof {
    /// Whether this shows less than `other` does.
    pub fn is_less_than(&self, other: &Self) -> bool {
        let key = |proof: &Self| (proof.verdict, proof.least_gain, proof.pairs);
        key(self) < key(other)
    }

    /// Whether a gain is proven.
    pub fn is_gain(&self) -> bool {
        self.verdict == Verdict::Gain
    }
}

impl Profile {
    /// What its evidence amounts to.
    pub fn proof(&self) -> Proof {
        let evidence = self.evidence.as_ref();
        let gain = evidence.and_then(|evidence| evidence.gain_percent);
        let interval = evidence.and_then(|evidence| evidence.interval_percent);
        Proof {
            verdict: match (evidence, gain) {
                (None, _) => Verdict::Unmeasured,
                (Some(_), None) => Verdict::NoGain,
                (Some(_), Some(_)) => Verdict::Gain,
            },
            least_gain: interval.map_or(0.0, |[low, _]| low),
            pairs: evidence.map_or(0, |evidence| evidence.pairs),
            job: self.job().map(ToOwned::to_owned),
            gain,
        }
    }

    /// Pixels a latent pixel of the VAE that it was tuned for: tiles and strides are whole latent
    /// pixels.
    pub fn latent_ratio(&self) -> i64 {
        let pipeline = self.evidence.as_ref().map(|e| &e.workload).filter(|w| !w.is_custom());
        let ratio = |workload: &Workload| workload.model.architecture().vae.ratio();
        pipeline.map_or(program_environment::LARGEST_RATIO, ratio)
    }

    /// The job that it was tuned for; `None` where nothing was measured.
    pub fn job(&self) -> Option<&str> {
        self.evidence.as_ref().map(|Evidence { workload, .. }| workload.name.as_str())
    }

    /// The job that it is kept for, unless another word is given: two commands of the user's own are
    /// two jobs.
    pub fn kept_job(&self) -> Option<String> {
        let job = self.job()?;
        let custom = self.evidence.as_ref().and_then(|evidence| evidence.custom_job.as_ref());
        Some(custom.map_or_else(|| job.to_owned(), |digest| format!("{job}-{digest}")))
    }

    /// Whether it was tuned for a part of making a clip.
    pub(super) fn is_of_part_of_clip(&self) -> bool {
        self.evidence.as_ref().is_some_and(|evidence| evidence.workload.is_part_of_clip())
    }

    /// Whether it was tuned for a command or a module of the user's own.
    pub(super) fn is_of_custom_job(&self) -> bool {
        self.evidence.as_ref().is_some_and(|evidence| evidence.workload.is_custom())
    }
}

impl fmt::Display for Proof {
    /// `i2v, a gain of 73.1% (54.8% or more), 4 pairs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, least_gain, pairs, job, gain } = self;
        let job = job.as_deref().unwrap_or_default();
        match (verdict, gain) {
            (Verdict::Unmeasured, _) => f.write_str("never measured"),
            (Verdict::Gain, Some(gain)) => {
                write!(f, "{job}, a gain of {gain:.1}% ({least_gain:.1}% or more), {pairs} pairs")
            }
            _ => write!(f, "{job}, no significant gain, {pairs} pairs"),
        }
    }
}
