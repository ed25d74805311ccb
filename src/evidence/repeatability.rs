//! Repeatability: how far apart two trials of the same candidate lie.

use std::collections::BTreeMap;

use crate::evidence::drift::Drift;
use crate::knobs::Values;
use crate::stats;
use crate::trial::Trial;

/// Trials that tell it, the last ones: the machine may have been another before, and
/// the drift of thousands takes long to find.
const RECENT_TRIALS: usize = 300;

/// Fewer deviations than this say nothing.
const FEWEST: usize = 4;

/// Of the deviations, the share that lies below the one that counts: few disturbed trials don't
/// matter, and noise of two values shows even where most trials had the same one.
const SHARE: f64 = 0.75;

/// That quantile of the size of a standard normal value.
const NORMAL_QUANTILE: f64 = 1.150;

/// The deviation of the middle one of three normal values, as a share of the range that three have
/// in the middle of cases; of more values it is less.
const OF_RANGE: f64 = 0.4;

/// The standard deviation of one trial, in logs, at least: by the trials of the search that ran the
/// same candidate again, or by the runs within trials, whichever says more; 0 where neither says
/// anything. What trials of the confirmation say beyond that is in their own scatter.
pub fn repeatability(trials: &[Trial]) -> f64 {
    across_trials(trials).unwrap_or(0.0).max(within_trials(trials).unwrap_or(0.0))
}

/// The machine's drift is taken out.
fn across_trials(trials: &[Trial]) -> Option<f64> {
    let searches = |t: &Trial| t.phase.is_ranked();
    let last = trials.iter().enumerate().rev().filter(|(_, trial)| searches(trial));
    let trials = &trials[last.take(RECENT_TRIALS).last()?.0..];
    let drift = Drift::of(trials);
    let counts = |trial: &&Trial| searches(trial) && !drift.is_invalidated(trial);
    let mut logs: BTreeMap<&Values, Vec<f64>> = BTreeMap::new();
    for trial in trials.iter().filter(counts) {
        if let Some(score_s) = drift.score(trial) {
            logs.entry(&trial.knobs).or_default().push(score_s.ln());
        }
    }
    let mut off: Vec<f64> = logs.values().flat_map(|logs| deviations(logs)).collect();
    off.sort_by(f64::total_cmp);
    let place = (SHARE * off.len() as f64) as usize;
    off.get(place).filter(|_| off.len() >= FEWEST).map(|off| off / NORMAL_QUANTILE)
}

/// By the range of the runs of a trial, as it is in the middle of trials. What runs in the same place
/// have in common, such as a first one that warms up, is taken out.
fn within_trials(trials: &[Trial]) -> Option<f64> {
    let counts = |trial: &&Trial| trial.phase.is_comparable() && trial.samples.len() > 2;
    let runs = |trial: &Trial| {
        let middle = trial.score()?.ln();
        Some(trial.samples.iter().map(|sample| sample.cost().ln() - middle).collect::<Vec<_>>())
    };
    let last = trials.iter().rev().filter(counts).take(RECENT_TRIALS);
    let trials: Vec<Vec<f64>> = last.filter_map(runs).collect();
    let places = trials.iter().map(Vec::len).max()?;
    let of_place = |place: usize| trials.iter().filter_map(move |runs| runs.get(place).copied());
    let usual = |place| stats::median(of_place(place)).unwrap_or(0.0);
    let usual: Vec<f64> = (0..places).map(usual).collect();
    let range = |runs: &Vec<f64>| {
        let off = || runs.iter().zip(&usual).map(|(run, usual)| run - usual);
        off().fold(f64::NEG_INFINITY, f64::max) - off().fold(f64::INFINITY, f64::min)
    };
    Some(OF_RANGE * stats::median(trials.iter().map(range))?)
}

/// How far each lies from the mean, as if that were known; none of a single value.
fn deviations(logs: &[f64]) -> Vec<f64> {
    let (n, mean) = (logs.len() as f64, stats::mean(logs).unwrap_or(0.0));
    let whole = if n > 1.0 { (n / (n - 1.0)).sqrt() } else { return Vec::new() };
    logs.iter().map(|log| whole * (log - mean).abs()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Phase, Sample};

    /// By hand: two of one candidate that are exp(0.02) apart deviate by sqrt(2) * 0.01 each, two
    /// others that are exp(0.04) apart by twice that, which is the fourth of four.
    #[test]
    fn deviations_of_the_same_candidate_count() {
        let mut trials = vec![
            Trial::made(Phase::Baseline, 1, 1.0),
            Trial::made(Phase::Search, 2, 3.0),
            Trial::made(Phase::Search, 3, 7.0),
            Trial::made(Phase::Repeat, 2, 3.0 * 0.04_f64.exp()),
        ];
        assert_eq!(repeatability(&trials), 0.0);
        trials.push(Trial::made(Phase::Sentinel, 1, 0.02_f64.exp()));
        trials.push(Trial::made(Phase::Confirmation, 1, 5.0));
        let right = 2.0_f64.sqrt() * 0.02 / 1.15;
        assert!((repeatability(&trials) - right).abs() < 1e-9);
        assert_eq!(repeatability(&[]), 0.0);
    }

    /// By hand: second runs lie 0, ln 2 and ln 4 above the others, ln 2 in the middle; so the ranges
    /// are ln 2, 0 and ln 2.
    #[test]
    fn runs_within_a_trial_count_in_every_phase() {
        let trials: Vec<Trial> = [1.0, 2.0, 4.0]
            .into_iter()
            .map(|slowest| {
                let run = |seconds| Sample { seconds, ..Sample::default() };
                let mut trial = Trial::made(Phase::Confirmation, 1, 1.0);
                trial.samples.extend([run(slowest), run(1.0)]);
                trial
            })
            .collect();
        assert!((repeatability(&trials) - 0.4 * 2.0_f64.ln()).abs() < 1e-9);
    }
}
