//! Ranking: the measured candidates, best first.

use std::collections::BTreeMap;

use crate::evidence::blame;
use crate::evidence::drift::Drift;
use crate::knobs::Values;
use crate::stats;
use crate::trial::Trial;

/// All ok trials of one candidate outside the confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The value of every knob.
    pub knobs: Values,
    /// Seconds per clip at the speed that the machine had at the start: the mean of its trials'
    /// scores, of which the slower half is left out, since disturbances never speed up a trial.
    pub score_s: f64,
    /// How many trials.
    pub trials: usize,
}

/// The measured candidates but those that memory has no room for, best first, under a drift.
pub fn rank(trials: &[Trial], drift: &Drift) -> Vec<Ranked> {
    let mut scores: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
    let lacking = blame::lacking_memory(trials);
    let counts = |trial: &&Trial| {
        let is_out = drift.is_invalidated(trial) || lacking.contains(&&trial.knobs);
        trial.phase.is_ranked() && !is_out
    };
    for trial in trials.iter().filter(counts) {
        if let Some(score) = drift.score(trial) {
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
