//! Loss: what missing rows take away from a proof.
//!
//! A lost row may have said that a finalist failed. What could be claimed only because such a row
//! is missing must not be claimed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Reading;
use crate::knobs::Values;
use crate::trial::{Outcome, Phase, Trial, baseline_of};

/// What is said of a trial that no longer counts.
const INVALIDATED: &str = "invalidated: a row of this confirmation was lost";

/// Notes which numbers are missing, and voids what can't be believed without them.
pub(super) fn note(reading: &mut Reading) {
    let gaps = gaps(&reading.trials);
    reading.notes.extend(gaps.iter().map(|gap| match gap.end() - gap.start() {
        0 => format!("trial {} is missing: its row was lost", gap.start()),
        _ => format!("trials {} to {} are missing: their rows were lost", gap.start(), gap.end()),
    }));
    let next = reading.next_number();
    let at_end = (reading.lost_at_end > 0).then(|| next - reading.lost_at_end..=next - 1);
    for gap in gaps.into_iter().chain(at_end) {
        invalidate(&mut reading.trials, &gap);
    }
}

/// The numbers that are missing before and between the trials.
fn gaps(trials: &[Trial]) -> Vec<RangeInclusive<u64>> {
    let before = std::iter::once(0).chain(trials.iter().map(|trial| trial.number));
    let pairs = before.zip(trials.iter().map(|trial| trial.number));
    let gap = |(before, next): (u64, u64)| {
        let first = before.saturating_add(1);
        (first < next).then(|| first..=next - 1)
    };
    pairs.filter_map(gap).collect()
}

/// Voids what finalists measured until the trials numbered `lost`, where one of these may have been
/// theirs: where they lack a row in a round that lost some.
fn invalidate(trials: &mut [Trial], lost: &RangeInclusive<u64>) {
    let Some(rounds) = rounds(trials, lost) else { return };
    let baseline = baseline_of(trials).cloned();
    let of_finalists =
        trials.iter().filter(|t| is_confirming(t) && Some(&t.knobs) != baseline.as_ref());
    let finalists: BTreeSet<Values> = of_finalists.map(|trial| trial.knobs.clone()).collect();
    for finalist in finalists {
        let is_own = |t: &Trial| is_confirming(t) && t.knobs == finalist;
        let ran_in = |round| trials.iter().any(|t| is_own(t) && t.pair == Some(round));
        if rounds.clone().all(ran_in) {
            continue;
        }
        let until = |t: &Trial| t.pair.is_some_and(|round| round <= *rounds.end());
        for trial in trials.iter_mut().filter(|t| is_own(t) && until(t)) {
            if trial.outcome == Outcome::Ok {
                (trial.outcome, trial.detail) = (Outcome::Interrupted, INVALIDATED.to_owned());
            }
        }
    }
}

fn is_confirming(trial: &Trial) -> bool {
    trial.phase == Phase::Confirmation
}

/// The rounds of the confirmation that the trials numbered `lost` may have belonged to.
fn rounds(trials: &[Trial], lost: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let place = trials.partition_point(|trial| trial.number < *lost.start());
    let round = |trial: Option<&Trial>| trial.filter(|trial| is_confirming(trial))?.pair;
    let before = round(place.checked_sub(1).and_then(|last| trials.get(last)));
    let after = round(trials.get(place));
    let last_before = trials[..place].iter().filter_map(|trial| trial.pair).max().unwrap_or(0);
    let first = before.unwrap_or(last_before + 1);
    match (before, after) {
        (_, Some(after)) => Some(first..=after.max(first)),
        (Some(before), None) => {
            let count = lost.end() - lost.start() + 1;
            let is_of_it = count <= missing(&trials[..place], before);
            Some(first..=if is_of_it { before } else { before.saturating_add(1) })
        }
        (None, None) => None,
    }
}

/// How many of those that ran in the round before `round` did not run in it.
fn missing(trials: &[Trial], round: u64) -> u64 {
    let ran = |round: u64| -> BTreeSet<&Values> {
        let of_round = trials.iter().filter(|t| is_confirming(t) && t.pair == Some(round));
        of_round.map(|trial| &trial.knobs).collect()
    };
    ran(round.saturating_sub(1)).difference(&ran(round)).count() as u64
}
