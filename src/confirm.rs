//! Confirmation: interleaved pairs, finalist against baseline, ending in a verdict.

use std::collections::BTreeMap;

use crate::results::Results;
use crate::space::Value;
use crate::stats::{self, Interval};
use crate::trial::{Outcome, Phase, Trial};

/// The chance of a false claim that is accepted.
const ALPHA: f64 = 0.05;

/// The smallest share of time that is worth a change of settings.
pub const WORTH_HAVING: f64 = 0.01;

/// What the confirmation pairs of a journal say. Only these samples enter a claim, never those
/// that selected the finalist.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmation {
    /// The knobs that ran against the baseline.
    pub finalist: BTreeMap<String, Value>,
    /// Complete pairs.
    pub pairs: Vec<Pair>,
    /// Failures of the finalist in its pairs.
    pub failures: usize,
}

/// One pair of fresh processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Seconds a clip.
    pub baseline_s: f64,
    /// Seconds a clip.
    pub finalist_s: f64,
}

/// What a tune may claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The finalist takes less time a clip than the baseline: a share, with its 95% interval.
    Gain(Interval),
    /// Not proven: ship the baseline. The interval where there were pairs enough for one.
    NoGain(Option<Interval>),
}

impl Confirmation {
    /// The confirmation that these trials hold, if they came to one; `baseline` is its knobs.
    pub fn of(trials: &[Trial], baseline: &BTreeMap<String, Value>) -> Option<Self> {
        let of_phase = |trial: &&Trial| trial.phase == Phase::Confirmation;
        let trials: Vec<&Trial> = trials.iter().filter(of_phase).collect();
        let finalist = trials.iter().find(|trial| trial.knobs != *baseline)?.knobs.clone();
        let mut scores: BTreeMap<u64, (Option<f64>, Option<f64>)> = BTreeMap::new();
        let mut failures = 0;
        for trial in trials {
            let pair = scores.entry(trial.pair.unwrap_or_default()).or_default();
            if trial.knobs == *baseline {
                pair.0 = trial.score_s();
            } else {
                pair.1 = trial.score_s();
                failures +=
                    usize::from(!matches!(trial.outcome, Outcome::Ok | Outcome::Interrupted));
            }
        }
        let pair = |(baseline, finalist): (Option<f64>, Option<f64>)| {
            Some(Pair { baseline_s: baseline?, finalist_s: finalist? })
        };
        Some(Self { finalist, pairs: scores.into_values().filter_map(pair).collect(), failures })
    }

    /// The share of time a clip that the finalist saves, with its interval.
    pub fn gain(&self) -> Option<Interval> {
        let ratio = |pair: &Pair| (pair.baseline_s / pair.finalist_s).ln();
        let ratios: Vec<f64> = self.pairs.iter().map(ratio).collect();
        let logs = stats::confidence_sequence(&ratios, ALPHA)?;
        let saved = |log: f64| 1.0 - (-log).exp();
        Some(Interval { low: saved(logs.low), mean: saved(logs.mean), high: saved(logs.high) })
    }

    /// Whether more pairs would change nothing: the gain is proven, the finalist fails, or more
    /// could only show a gain that nobody would notice.
    pub fn is_decided(&self) -> bool {
        let is_hopeless = || self.gain().is_some_and(|gain| gain.high < WORTH_HAVING);
        matches!(self.verdict(), Verdict::Gain(_)) || self.failures > 0 || is_hopeless()
    }

    /// What may be claimed.
    pub fn verdict(&self) -> Verdict {
        match self.gain() {
            Some(gain) if gain.low > 0.0 && self.failures == 0 => Verdict::Gain(gain),
            gain => Verdict::NoGain(gain.filter(|gain| gain.low.is_finite())),
        }
    }
}

impl Results {
    /// The tune's confirmation, if it came to one.
    pub fn confirmation(&self) -> Option<Confirmation> {
        Confirmation::of(&self.trials, &self.space.given.baseline)
    }

    /// What the tune may claim.
    pub fn verdict(&self) -> Verdict {
        self.confirmation().map_or(Verdict::NoGain(None), |confirmation| confirmation.verdict())
    }
}
