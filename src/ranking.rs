//! Ranking: the measured candidates, best first; picks the finalists.

use std::collections::BTreeMap;

use crate::drift::{self, Drift};
use crate::results::Results;
use crate::space::Values;
use crate::stats;
use crate::trial::{Phase, Trial};

/// What two candidates may differ by, in deviations of that difference, and still be taken as
/// equal.
const DOUBT: f64 = 2.0;

/// However noisy the machine, a candidate that looks slower than the best by more than this share
/// is no finalist.
const FAR: f64 = 0.4;

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
    rank(&results.trials)
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

/// The best of a ranking, and those that the machine's noise can't tell from it; never the
/// baseline.
pub fn contenders(trials: &[Trial]) -> Vec<Ranked> {
    let drift = Drift::of(trials);
    let baseline = drift::baseline(trials);
    let mut ranking = rank_with(trials, &drift);
    ranking.retain(|ranked| Some(&ranked.knobs) != baseline);
    let Some(best) = ranking.first().cloned() else { return ranking };
    ranking.retain(|ranked| {
        let counts = 1.0 / ranked.trials as f64 + 1.0 / best.trials as f64;
        let doubt = DOUBT * drift.deviation() * counts.sqrt();
        (ranked.score_s / best.score_s).ln() <= doubt.min(FAR)
    });
    ranking
}
