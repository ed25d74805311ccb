//! Verification: whether a profile still does what its evidence says.

use std::fmt;

use crate::confirm::{Confirmation, WORTH_HAVING};
use crate::profile::Evidence;
use crate::space::Values;
use crate::stats::{self, Interval};
use crate::trial::{Outcome, Trial};

/// How much slower than recorded a profile may be without having drifted: kernels, firmware and
/// room temperature move times by less.
const TOLERANCE: f64 = 0.10;

/// The chance of a false alarm.
const ALPHA: f64 = 0.05;

/// What runs of a profile and of the baseline say.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// In a word.
    pub finding: Finding,
    /// Complete pairs.
    pub pairs: usize,
    /// Time saved against the baseline; `None` where the profile is the baseline.
    pub gain: Option<Interval>,
    /// How much longer than recorded it takes, as a share.
    pub slowdown: Option<Interval>,
    /// Seconds a clip now.
    pub score_s: Option<f64>,
    /// Seconds a clip when it was made.
    pub recorded_s: Option<f64>,
}

/// Whether the profile holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Its gain is proven again.
    Proven,
    /// Nothing speaks against it, but the time was too short or the machine too noisy for proof.
    Undisputed,
    /// It is the baseline, and as fast as it was.
    Baseline,
    /// It lost its gain or became slow; in words.
    Drifted(String),
    /// It does not run; in words.
    Failed(String),
    /// None of its runs ended before the budget did.
    Unknown,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven => f.write_str("The profile holds: its gain is proven again"),
            Self::Undisputed => f.write_str(
                "The profile holds: nothing speaks against it, though its gain was not proven \
                 again in this time",
            ),
            Self::Baseline => f.write_str("The profile holds: it is the baseline"),
            Self::Drifted(why) => write!(f, "The profile has drifted: {why}"),
            Self::Failed(why) => write!(f, "The profile fails: {why}"),
            Self::Unknown => f.write_str(
                "Nothing can be said of the profile: the budget was over before one run of it ended",
            ),
        }
    }
}

impl Verification {
    /// What `trials` of the baseline and of the profile's knobs say, and against what was recorded.
    pub fn of(
        trials: &[Trial],
        baseline: &Values,
        knobs: &Values,
        recorded: Option<&Evidence>,
    ) -> Self {
        let own: Vec<&Trial> = trials.iter().filter(|trial| trial.knobs == *knobs).collect();
        let scores: Vec<f64> = own.iter().filter_map(|trial| trial.score_s()).collect();
        let confirmation = Confirmation::of(trials, baseline);
        let recorded_s = recorded.and_then(|evidence| evidence.score_s);
        let mut verification = Self {
            finding: Finding::Undisputed,
            pairs: confirmation.as_ref().map_or(0, |confirmation| confirmation.pairs.len()),
            gain: confirmation.as_ref().and_then(Confirmation::gain),
            slowdown: recorded_s.and_then(|recorded_s| slowdown(&scores, recorded_s)),
            score_s: stats::median(&scores),
            recorded_s,
        };
        let failure =
            own.iter().find(|trial| !matches!(trial.outcome, Outcome::Ok | Outcome::Interrupted));
        verification.finding = match failure {
            Some(trial) => Finding::Failed(format!("{}: {}", trial.outcome, trial.detail)),
            None if scores.is_empty() => Finding::Unknown,
            None => verification.judge(knobs == baseline, recorded),
        };
        verification
    }

    /// Whether the profile may stay in production, where anything can be said.
    pub fn holds(&self) -> Option<bool> {
        match self.finding {
            Finding::Proven | Finding::Undisputed | Finding::Baseline => Some(true),
            Finding::Drifted(_) | Finding::Failed(_) => Some(false),
            Finding::Unknown => None,
        }
    }

    fn judge(&self, is_baseline: bool, recorded: Option<&Evidence>) -> Finding {
        let claimed = recorded.and_then(|evidence| evidence.interval_percent);
        if let Some(slowdown) = self.slowdown.filter(|slowdown| slowdown.low > TOLERANCE) {
            let (low, now) = (100.0 * slowdown.low, 100.0 * slowdown.mean);
            return Finding::Drifted(format!(
                "it takes {now:.1}% more time than when it was made, at least {low:.1}% more"
            ));
        }
        if is_baseline {
            return Finding::Baseline;
        }
        let Some(gain) = self.gain else { return Finding::Undisputed };
        let least = claimed.map_or(0.0, |claimed| claimed[0] / 100.0).max(WORTH_HAVING);
        if gain.high < least {
            let (most, then) = (100.0 * gain.high, 100.0 * least);
            Finding::Drifted(format!("it saves {most:.1}% at the most; it was {then:.1}% or more"))
        } else if gain.low > 0.0 {
            Finding::Proven
        } else {
            Finding::Undisputed
        }
    }
}

/// How much longer these times are than the recorded one.
fn slowdown(scores: &[f64], recorded_s: f64) -> Option<Interval> {
    let logs: Vec<f64> = scores.iter().map(|score| (score / recorded_s).ln()).collect();
    let more = |log: f64| log.exp() - 1.0;
    let Interval { low, high, .. } = stats::confidence_sequence(&logs, ALPHA)?;
    let middle = stats::median(&logs)?.clamp(low, high);
    Some(Interval { low: more(low), mean: more(middle), high: more(high) })
}
