//! Contender: the best settings that a tune found, beside the baseline.

use std::collections::BTreeMap;

use crate::confirm::{Confirmation, Pair};
use crate::ranking::{Ranked, ranking};
use crate::results::Results;
use crate::space::Value;
use crate::stats;
use crate::trial::Trial;

/// The finalist, or, where it came to no confirmation, the best candidate that beats the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// The value of every knob.
    pub knobs: BTreeMap<String, Value>,
    /// Seconds a clip: the median over its confirmation trials, else over all its trials.
    pub score_s: f64,
    /// Whether `score_s` comes from confirmation pairs.
    pub confirmed: bool,
}

impl Contender {
    /// The contender of a tune; `None` where nothing beat the baseline or nothing was measured.
    pub fn of(results: &Results) -> Option<Self> {
        let ranking = ranking(results);
        let Some(confirmation) = results.confirmation() else {
            let best = ranking.into_iter().next()?;
            let is_baseline = best.knobs == results.space.given.baseline;
            let Ranked { knobs, score_s, .. } = best;
            return (!is_baseline).then_some(Self { knobs, score_s, confirmed: false });
        };
        let confirmed = median(&confirmation, |pair| pair.finalist_s);
        let of_ranking = || ranking.iter().find(|r| r.knobs == confirmation.finalist);
        Some(Self {
            score_s: confirmed.or_else(|| of_ranking().map(|ranked| ranked.score_s))?,
            confirmed: confirmed.is_some(),
            knobs: confirmation.finalist,
        })
    }
}

/// Seconds a clip of the baseline: the median over its confirmation trials, else over all its
/// trials.
pub fn baseline_s(results: &Results) -> Option<f64> {
    let confirmed = results.confirmation().and_then(|c| median(&c, |pair| pair.baseline_s));
    confirmed.or_else(|| {
        let of_baseline = |ranked: &Ranked| ranked.knobs == results.space.given.baseline;
        Some(ranking(results).into_iter().find(of_baseline)?.score_s)
    })
}

/// The ok trials of some knobs, in any phase but calibration's. Knobs that the journal of an older
/// version lacks are left out.
pub fn trials_of<'a>(
    results: &'a Results,
    knobs: &'a BTreeMap<String, Value>,
) -> impl Iterator<Item = &'a Trial> {
    let counts = |trial: &&Trial| trial.phase != crate::trial::Phase::Calibration;
    let has = |(name, value): (&String, &Value)| knobs.get(name) == Some(value);
    results
        .trials
        .iter()
        .filter(counts)
        .filter(move |trial| trial.knobs.iter().all(has) && trial.score_s().is_some())
}

fn median(confirmation: &Confirmation, side: fn(&Pair) -> f64) -> Option<f64> {
    stats::median(&confirmation.pairs.iter().map(side).collect::<Vec<_>>())
}
