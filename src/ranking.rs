//! Ranking: the measured candidates, best first; picks the finalists.

use std::collections::BTreeMap;

use crate::results::Results;
use crate::space::Value;
use crate::stats;
use crate::trial::{Phase, Trial};

/// All ok trials of one candidate outside the confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The value of every knob.
    pub knobs: BTreeMap<String, Value>,
    /// Seconds a clip: the median of its trials' scores.
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
    let mut scores: BTreeMap<&BTreeMap<String, Value>, Vec<f64>> = BTreeMap::new();
    let counts = |trial: &&Trial| matches!(trial.phase, Phase::Baseline | Phase::Search);
    for trial in trials.iter().filter(counts) {
        if let Some(score) = trial.score_s() {
            scores.entry(&trial.knobs).or_default().push(score);
        }
    }
    let ranked = |(knobs, scores): (&BTreeMap<String, Value>, Vec<f64>)| {
        let score_s = stats::median(&scores)?;
        Some(Ranked { knobs: knobs.clone(), score_s, trials: scores.len() })
    };
    let mut ranking: Vec<Ranked> = scores.into_iter().filter_map(ranked).collect();
    ranking.sort_by(|a, b| a.score_s.total_cmp(&b.score_s));
    ranking
}
