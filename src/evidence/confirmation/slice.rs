//! Slice: what pairs of a slice of a job say of the job.

use super::{Confirmation, saved};
use crate::stats::Interval;

/// How far the gain of a slice of a job is from the job's own, as a deviation in logs: a part that is
/// always there, and a share of the gain. See `docs/fidelity.md` for the measurement.
const FIDELITY: [f64; 2] = [0.04, 0.15];

/// Deviations to either side that 95% of a normal distribution lie within.
const NORMAL_95: f64 = 1.96;

impl Confirmation {
    /// Whether what was measured is a gain for certain, of which a slice says too little to claim it of
    /// the job.
    pub fn is_gain_of_slice(&self) -> bool {
        self.is_slice && self.claimable().is_some_and(|measured| measured.low > 0.0)
    }

    /// Whether pairs without noise would prove it: of a slice not even they prove a small gain.
    pub(super) fn is_provable(&self) -> bool {
        let exact = |ratio: Interval| Interval { low: ratio.mean, high: ratio.mean, ..ratio };
        self.ratio().is_some_and(|ratio| self.of_job(exact(ratio)).low > 0.0)
    }

    /// What a log ratio of a slice says of the job.
    pub(super) fn of_job(&self, measured: Interval) -> Interval {
        let [least, share] = FIDELITY.map(|part| if self.is_slice { part } else { 0.0 });
        let fidelity = NORMAL_95 * least.hypot(share * measured.mean);
        let wider = |edge: f64| (edge - measured.mean).hypot(fidelity);
        let [low, high] = [measured.low, measured.high].map(wider);
        saved(Interval { low: measured.mean - low, high: measured.mean + high, ..measured })
    }
}
