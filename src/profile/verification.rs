//! Verification: whether a profile still does what its evidence says.

use std::fmt;

use crate::evidence::blame;
use crate::evidence::confirmation::{Confirmation, MINIMUM_EFFECT};
use crate::knobs::Values;
use crate::machine::MachineMatch;
use crate::profile::Evidence;
use crate::stats::{self, Interval};
use crate::trial::Trial;
use crate::workload::metric::Metric;

/// How much slower than recorded a profile may be without having drifted: kernels, firmware and
/// room temperature move times by less.
const TOLERATED_SLOWDOWN: f64 = 0.10;

/// The chance of a false alarm.
const ALPHA: f64 = 0.05;

/// What runs of a profile and of the baseline say.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Whether the profile holds.
    pub finding: Finding,
    /// Complete pairs.
    pub pairs: usize,
    /// What the scores count.
    pub metric: Metric,
    /// Better than the baseline by so much of its score; `None` where the profile is the baseline.
    pub gain: Option<Interval>,
    /// How much longer than recorded it takes (or what it costs), as a share.
    pub slowdown: Option<Interval>,
    /// The score that was measured now.
    pub score: Option<f64>,
    /// The score when it was made.
    pub recorded: Option<f64>,
}

/// What was measured when a profile was made.
#[derive(Clone, Copy, Debug)]
pub struct RecordedEvidence<'a> {
    /// The evidence.
    pub evidence: &'a Evidence,
    /// How much its machine has in common with this one.
    pub machine_match: MachineMatch,
}

impl RecordedEvidence<'_> {
    /// The profile's score; of another machine, which may take any time, none.
    fn score(&self) -> Option<f64> {
        self.evidence.scores()[1].filter(|_| self.machine_match == MachineMatch::Same)
    }

    /// The least gain that it claims on this machine, as a share.
    fn least_gain(&self) -> Option<f64> {
        let claimed = self.evidence.interval_percent?;
        (self.machine_match != MachineMatch::Different).then_some(claimed[0] / 100.0)
    }
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
    /// What `trials` of the baseline and of the profile's knobs say, scored by `metric`, and
    /// against what was recorded by the same.
    pub fn of(
        trials: &[Trial],
        baseline: &Values,
        knobs: &Values,
        metric: Metric,
        recorded: Option<RecordedEvidence<'_>>,
    ) -> Self {
        let own: Vec<&Trial> = trials.iter().filter(|trial| trial.knobs == *knobs).collect();
        let scores: Vec<f64> = own.iter().filter_map(|trial| trial.score()).collect();
        let confirmation = Confirmation::of(trials, baseline);
        let before = recorded.and_then(|recorded| recorded.score());
        let cost = before.map(|score| metric.direction().cost(score));
        let mut verification = Self {
            finding: Finding::Undisputed,
            pairs: confirmation.as_ref().map_or(0, |confirmation| confirmation.pairs.len()),
            metric,
            gain: gain(confirmation.as_ref()).map(|saved| metric.shares(saved)),
            slowdown: cost.and_then(|cost| slowdown(&scores, cost)),
            score: stats::median(&scores).map(|cost| metric.shown(cost)),
            recorded: before,
        };
        // What strikes the baseline as well is not the profile's fault.
        let failures = if knobs == baseline {
            own.iter().copied().filter(|trial| trial.outcome.is_failure()).collect()
        } else {
            blame::failures(trials, baseline)
        };
        let failure = failures.into_iter().find(|trial| trial.knobs == *knobs).map(failure);
        verification.finding = match failure {
            Some(failure) => failure,
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

    fn judge(&self, is_baseline: bool, recorded: Option<RecordedEvidence<'_>>) -> Finding {
        if let Some(slowdown) = self.slowdown.filter(|slowdown| slowdown.low > TOLERATED_SLOWDOWN) {
            return self.slower(slowdown);
        }
        if is_baseline {
            return Finding::Baseline;
        }
        let Some(gain) = self.gain else { return Finding::Undisputed };
        let claimed = recorded.and_then(|recorded| recorded.least_gain());
        let least = claimed.unwrap_or_default().max(MINIMUM_EFFECT);
        if gain.high < least {
            self.worth_less(gain.high, least)
        } else if gain.low > 0.0 {
            Finding::Proven
        } else {
            Finding::Undisputed
        }
    }

    fn slower(&self, slowdown: Interval) -> Finding {
        let lost = |share: f64| 100.0 * self.metric.lost(share);
        let (low, now) = (lost(slowdown.low), lost(slowdown.mean));
        let ([_, worse], noun) = (self.metric.better(), self.metric.noun());
        Finding::Drifted(format!(
            "{now:.1}% {worse} {noun} than when it was made, at least {low:.1}% {worse}"
        ))
    }

    fn worth_less(&self, most: f64, least: f64) -> Finding {
        let (most, then) = (100.0 * most, 100.0 * least);
        let ([better, _], noun) = (self.metric.better(), self.metric.noun());
        Finding::Drifted(format!(
            "{most:.1}% {better} {noun} than the baseline at the most; it was {then:.1}% or more"
        ))
    }
}

/// The saving, where there are pairs enough to bound it.
fn gain(confirmation: Option<&Confirmation>) -> Option<Interval> {
    confirmation.and_then(Confirmation::gain).filter(|gain| gain.low.is_finite())
}

fn failure(trial: &Trial) -> Finding {
    Finding::Failed(format!("{}: {}", trial.outcome, trial.detail))
}

/// How much more these costs are than the recorded one.
fn slowdown(costs: &[f64], recorded: f64) -> Option<Interval> {
    let logs: Vec<f64> = costs.iter().map(|cost| (cost / recorded).ln()).collect();
    let more = |log: f64| log.exp() - 1.0;
    let Interval { low, high, .. } = stats::confidence_sequence(&logs, ALPHA)?;
    let middle = stats::median(&logs)?.clamp(low, high);
    Some(Interval { low: more(low), mean: more(middle), high: more(high) })
}
