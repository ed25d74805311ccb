//! Ranking: the measured candidates, best first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::drift::Drift;
use crate::results::Results;
use crate::space::Values;
use crate::stats;
use crate::trial::{Phase, Trial};

/// All ok trials of one candidate outside the confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The value of every knob.
    pub knobs: Values,
    /// Seconds a clip at the speed that the machine had at the start: the mean of its trials'
    /// scores, of which the slower half is left out, since disturbances never speed up a trial.
    pub score_s: f64,
    /// How many trials.
    pub trials: usize,
}

/// The measured candidates of `results`, best first.
pub fn ranking(results: &Results) -> Vec<Ranked> {
    results.ranked().to_vec()
}

impl Results {
    /// The same, worked out once: a report asks for it at every turn.
    fn ranked(&self) -> Cow<'_, [Ranked]> {
        let (trials, ranked) = self.ranked.get_or_init(|| (self.trials.len(), rank(&self.trials)));
        match *trials == self.trials.len() {
            true => Cow::Borrowed(ranked),
            false => Cow::Owned(rank(&self.trials)),
        }
    }
}

/// As [`ranking`], of any trials.
pub fn rank(trials: &[Trial]) -> Vec<Ranked> {
    rank_with(trials, &Drift::of(trials))
}

/// As [`rank`], under a drift that was found before.
pub fn rank_with(trials: &[Trial], drift: &Drift) -> Vec<Ranked> {
    let mut scores: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
    let counts = |trial: &&Trial| {
        !matches!(trial.phase, Phase::Calibration | Phase::Confirmation) && !drift.is_void(trial)
    };
    for trial in trials.iter().filter(counts) {
        if let Some(score) = drift.score_s(trial) {
            scores.entry(&trial.knobs).or_default().push(score);
        }
    }
    let ranked = |(knobs, scores): (&Values, Vec<f64>)| {
        let score_s = stats::undisturbed_mean(&scores)?;
        Some(Ranked { knobs: knobs.clone(), score_s, trials: scores.len() })
    };
    let mut ranking: Vec<Ranked> = scores.into_iter().filter_map(ranked).collect();
    ranking.sort_by(|a, b| a.score_s.total_cmp(&b.score_s));
    ranking
}
