//! Blame: which failed trials speak against their candidates.
//!
//! What strikes the baseline as well is the machine's fault: no network, no memory, a cpuset that
//! shrank. All of this follows from the journal's rows, so that whoever reads them again comes to
//! the same: the search, what is dropped, the confirmation and the report.

use std::collections::{BTreeMap, BTreeSet};

use crate::knobs::Values;
use crate::trial::{OVER, Outcome, Phase, STOPPED, Trial};

/// Failures in a row after which the baseline is asked.
const IN_A_ROW: usize = 3;

/// Trials of one candidate in a row that say nothing, after which it is given up: it may be what
/// ends them.
pub const TRIES: usize = 3;

/// The strategy of trials that ask whether memory has room for the whole job.
pub const MEMORY_TEST: &str = "memory";

/// The strategy of trials that ask whether the baseline itself runs what a finalist failed at.
pub const BASELINE_MEMORY: &str = "memory-baseline";

/// The trials that say whether memory has room for the whole job: those of a size at which the
/// baseline fails as well tell nothing of a candidate.
pub fn memory_tests(trials: &[Trial]) -> impl Iterator<Item = &Trial> {
    let tells = move |trial: &&Trial| !is_beyond_baseline(trials, &trial.workload);
    calibrations(trials, MEMORY_TEST).filter(tells)
}

/// The candidates that fail with the whole job's memory.
pub fn lacking_memory(trials: &[Trial]) -> Vec<&Values> {
    memory_tests(trials).filter(lacks_memory).map(|trial| &trial.knobs).collect()
}

/// Whether a test of memory failed; one that took too long did not.
pub fn lacks_memory(test: &&Trial) -> bool {
    test.outcome.is_failure() && test.outcome != Outcome::Timeout
}

/// Whether the baseline fails at a size at which memory is tested.
pub fn is_beyond_baseline(trials: &[Trial], size: &str) -> bool {
    calibrations(trials, BASELINE_MEMORY).any(|t| t.workload == size && lacks_memory(&t))
}

fn calibrations<'t>(trials: &'t [Trial], strategy: &str) -> impl Iterator<Item = &'t Trial> {
    trials.iter().filter(move |t| t.phase == Phase::Calibration && t.strategy == strategy)
}

/// Whether it ran to an end that is no failure of its surroundings.
pub fn is_sound(trial: &Trial) -> bool {
    matches!(trial.outcome, Outcome::Ok | Outcome::PoorQuality)
}

/// Whether the tuner itself ended it.
pub fn is_cut(trial: &Trial) -> bool {
    trial.outcome == Outcome::Interrupted && [OVER, STOPPED].contains(&trial.detail.as_str())
}

/// By place, the failures that are not held against their candidates: those between two sound trials of
/// the same node (or one and the end) if the baseline failed among them, and those of a round of the
/// confirmation in which the baseline failed. None where the baseline never ran.
pub fn excused(trials: &[Trial], baseline: &Values) -> Vec<bool> {
    if !trials.iter().any(|trial| trial.knobs == *baseline && trial.outcome == Outcome::Ok) {
        return vec![false; trials.len()];
    }
    let fails = |trial: &Trial| {
        trial.outcome.is_failure() && trial.knobs == *baseline && trial.phase.is_comparable()
    };
    let rounds: BTreeSet<u64> =
        trials.iter().filter(|trial| fails(trial)).filter_map(round).collect();
    let mut excused: Vec<bool> = trials
        .iter()
        .map(|trial| {
            trial.outcome.is_failure() && round(trial).is_some_and(|n| rounds.contains(&n))
        })
        .collect();
    let mut nodes: BTreeMap<&str, Vec<(usize, &Trial)>> = BTreeMap::new();
    for (place, trial) in trials.iter().enumerate() {
        nodes.entry(&trial.node).or_default().push((place, trial));
    }
    for block in nodes.values().flat_map(|own| own.split_inclusive(|(_, trial)| is_sound(trial))) {
        if block.iter().any(|(_, trial)| !is_sound(trial) && fails(trial)) {
            for (place, trial) in block {
                excused[*place] |= trial.outcome.is_failure() && !is_own(trial);
            }
        }
    }
    excused
}

/// Failures that no machine explains: nothing was started, or all of it ran.
fn is_own(trial: &Trial) -> bool {
    matches!(trial.outcome, Outcome::Illegal | Outcome::PoorQuality)
}

/// The round of the confirmation that a trial belongs to.
fn round(trial: &Trial) -> Option<u64> {
    trial.pair.filter(|_| trial.phase == Phase::Confirmation)
}

/// The failures that are held against their candidates.
pub fn failures<'t>(trials: &'t [Trial], baseline: &Values) -> Vec<&'t Trial> {
    let held = trials.iter().zip(excused(trials, baseline));
    held.filter(|(trial, excused)| trial.outcome.is_failure() && !excused)
        .map(|(trial, _)| trial)
        .collect()
}

/// By place, the trials that say nothing of their candidates: interrupted, or excused.
pub fn silent(trials: &[Trial], baseline: &Values) -> Vec<bool> {
    let excused = excused(trials, baseline);
    let silent =
        |(trial, excused): (&Trial, bool)| excused || trial.outcome == Outcome::Interrupted;
    trials.iter().zip(excused).map(silent).collect()
}

/// Whether a candidate's last trials all said nothing, so often that no more are worth their time.
/// What the tuner itself ended, because it was stopped or had no more time, does not count.
pub fn is_given_up(trials: &[Trial], baseline: &Values, values: &Values) -> bool {
    let own = trials.iter().zip(silent(trials, baseline));
    let own = own.rev().filter(|(trial, _)| trial.knobs == *values && !is_cut(trial));
    own.take_while(|(_, silent)| *silent).count() >= TRIES
}

/// Whether the machine may be at fault for the last failures: the baseline failed last, or a
/// finalist in its confirmation, where one failure costs its gain, or others failed one after
/// another. Trials that ended by a signal count, those that the tuner itself ended don't.
pub fn is_machine_in_doubt(trials: &[Trial], baseline: &Values) -> bool {
    // A larger size of the job may be too much for the baseline, too.
    let counts =
        |t: &&Trial| t.outcome != Outcome::Illegal && t.phase.is_comparable() && !is_cut(t);
    let last = || trials.iter().rev().filter(counts).take_while(|trial| !is_sound(trial));
    let matters = |t: &Trial| t.phase == Phase::Confirmation || t.knobs == *baseline;
    last().next().is_some_and(|trial| trial.outcome.is_failure() && matters(trial))
        || last().count() >= IN_A_ROW
}

/// The last trial of the baseline, if it failed and nothing ran well since.
pub fn failing_baseline<'t>(trials: &'t [Trial], baseline: &Values) -> Option<&'t Trial> {
    let since = trials.iter().rev().take_while(|trial| !is_sound(trial));
    let failing = since.filter(|trial| trial.outcome.is_failure() && trial.phase.is_comparable());
    failing.into_iter().find(|trial| trial.knobs == *baseline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Value;

    fn knobs(batch: i64) -> Values {
        [("batch_size".to_owned(), Value::Integer(batch))].into()
    }

    /// Trials of batch sizes; the baseline's is 0.
    fn trials(rows: &[(i64, Outcome)]) -> Vec<Trial> {
        let trial = |&(batch, outcome): &(i64, Outcome)| Trial {
            knobs: knobs(batch),
            outcome,
            ..Trial::default()
        };
        rows.iter().map(trial).collect()
    }

    fn held(trials: &[Trial]) -> Vec<Values> {
        failures(trials, &knobs(0)).into_iter().map(|trial| trial.knobs.clone()).collect()
    }

    use Outcome::{Crashed, Illegal, Interrupted, Misapplied, Ok, PoorQuality, Timeout};

    #[test]
    fn failures_around_one_of_the_baselines_are_nobodys() {
        let rows = [
            (0, Ok),
            (1, Crashed),
            (2, Ok),
            (3, Misapplied),
            (4, Timeout),
            (5, Illegal),
            (0, Crashed),
            (6, Crashed),
            (0, Ok),
            (7, Crashed),
        ];
        assert_eq!(held(&trials(&rows)), [1, 5, 7].map(knobs));
        assert_eq!(held(&trials(&rows[..5])), [1, 3, 4].map(knobs));
        // A poor picture took a machine that works.
        let rows = [(0, Ok), (1, Crashed), (2, PoorQuality), (3, Crashed), (0, Crashed)];
        assert_eq!(held(&trials(&rows)), [1, 2].map(knobs));
        assert_eq!(held(&trials(&rows[1..])), [1, 2, 3, 0].map(knobs), "it never ran");
    }

    /// Another node's baseline neither excuses a failure nor cuts the block in which it is excused.
    #[test]
    fn each_nodes_failures_are_its_own() {
        let mut rows =
            trials(&[(0, Ok), (0, Ok), (1, Crashed), (2, Crashed), (0, Ok), (0, Crashed)]);
        for (row, node) in rows.iter_mut().zip(["a", "b", "a", "b", "a", "b"]) {
            node.clone_into(&mut row.node);
        }
        assert_eq!(held(&rows), [1].map(knobs));
    }

    #[test]
    fn a_round_in_which_the_baseline_failed_is_nobodys() {
        let mut rows =
            trials(&[(3, Crashed), (1, Ok), (0, Crashed), (1, Ok), (3, Crashed), (0, Ok)]);
        for (row, pair) in rows.iter_mut().zip([1, 1, 1, 2, 2, 2]) {
            (row.phase, row.pair) = (Phase::Confirmation, Some(pair));
        }
        let held: Vec<Option<u64>> =
            failures(&rows, &knobs(0)).iter().map(|trial| trial.pair).collect();
        assert_eq!(held, [Some(2)]);
    }

    #[test]
    fn three_failures_in_a_row_or_one_of_the_baseline_put_the_machine_in_doubt() {
        let doubt = |rows: &[(i64, Outcome)]| is_machine_in_doubt(&trials(rows), &knobs(0));
        assert!(!doubt(&[]));
        assert!(!doubt(&[(0, Ok), (1, Crashed), (2, Timeout)]));
        assert!(doubt(&[(0, Ok), (1, Crashed), (2, Timeout), (3, Interrupted)]));
        assert!(doubt(&[(1, Crashed), (2, Timeout), (4, Illegal), (3, Misapplied)]));
        assert!(!doubt(&[(1, Crashed), (2, Timeout), (3, PoorQuality), (4, Crashed)]));
        assert!(doubt(&[(1, Ok), (0, Crashed)]));
        assert!(!doubt(&[(0, Crashed), (1, Ok)]));
        let mut stopped = trials(&[(1, Crashed), (2, Crashed), (3, Interrupted)]);
        stopped[2].detail = STOPPED.to_owned();
        assert!(!is_machine_in_doubt(&stopped, &knobs(0)));
        let mut confirming = trials(&[(0, Ok), (1, Crashed)]);
        confirming[1].phase = Phase::Confirmation;
        assert!(is_machine_in_doubt(&confirming, &knobs(0)));
    }

    #[test]
    fn what_is_ended_again_and_again_is_given_up() {
        let ended = (1, Interrupted);
        let given_up = |rows: &[Trial]| is_given_up(rows, &knobs(0), &knobs(1));
        assert!(!given_up(&trials(&[ended, (2, Ok), ended])));
        assert!(given_up(&trials(&[ended, (2, Ok), ended, (0, Ok), ended])));
        assert!(!given_up(&trials(&[ended, ended, (1, Ok), ended])));
        let mut stopped = trials(&[ended, ended, ended]);
        stopped[1].detail = STOPPED.to_owned();
        assert!(!given_up(&stopped));
    }
}
