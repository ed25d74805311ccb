//! The proof: the finalists against the baseline, in rounds of fresh processes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::round_order::round_order;
use super::{Session, TrialRequest};
use crate::evidence::confirmation::Confirmation;
use crate::evidence::drift::Drift;
use crate::evidence::win_probability;
use crate::knobs::Values;
use crate::space::Ended;
use crate::trial::{Phase, Trial};
use crate::tune::budget::SLACK;
use crate::workload::Workload;

/// Finalists at the most.
const FINALISTS: usize = 4;

/// Candidates this much less likely to be the fastest than the likeliest are no finalists.
const UNLIKELY: f64 = 0.02;

/// The probability of a gain worth having from which a candidate may be a finalist.
const PROMISING: f64 = 0.25;

/// Runs of a profile that is the baseline itself.
const AGAIN: u64 = 6;

/// Rounds that the time has to suffice for before it is shared with one more finalist.
const ROUNDS: u32 = 8;

impl Session<'_> {
    /// Runs the best candidates against the baseline, in rounds of balanced order, until the answer
    /// is clear for each or the budget spent.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn confirm(&mut self, workload: &Workload) -> Result<()> {
        let finalists = self.finalists(workload);
        self.confirm_all(workload, &finalists)
    }

    /// Runs `values` against the baseline until the answer is clear or the budget spent; the
    /// baseline itself, a few times.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn verify(&mut self, workload: &Workload, values: &Values) -> Result<()> {
        if *values != self.runner.baseline() {
            return self.confirm_all(workload, std::slice::from_ref(values));
        }
        for pair in 1..=AGAIN {
            if self.is_stopped() || self.budget.left() < self.trial_in_pair() {
                return Ok(());
            }
            self.confirm_once(workload, values, pair)?;
        }
        Ok(())
    }

    fn confirm_all(&mut self, workload: &Workload, finalists: &[Values]) -> Result<()> {
        let first = self.trials.iter().filter_map(|trial| trial.pair).max().unwrap_or(0) + 1;
        let candidates = [finalists, &[self.runner.baseline()]].concat();
        for pair in first.. {
            let open = self.open(finalists);
            if open.is_empty() || self.is_stopped() || self.budget.left() < self.round(&open) {
                return Ok(());
            }
            let mut order = self.next_order(&candidates);
            order.retain(|values| open.contains(values) || *values == self.runner.baseline());
            for values in &order {
                self.confirm_once(workload, values, pair)?;
            }
        }
        Ok(())
    }

    /// How the tune ended, once [`Session::compete`] is over.
    pub fn ended(&self) -> Ended {
        let confirmed = Confirmation::all(&self.trials, &self.runner.baseline());
        let finalists: Vec<Values> = confirmed.into_iter().map(|one| one.finalist).collect();
        if self.is_stopped() {
            Ended::Stopped
        } else if !finalists.is_empty() && self.open(&finalists).is_empty() {
            Ended::Decided
        } else if self.is_exhausted && finalists.is_empty() && self.promising().is_empty() {
            Ended::Exhausted
        } else {
            Ended::Budget
        }
    }

    /// The order of the next round: after an odd number of them the reverse of the last, also where
    /// a tune that was resumed has other finalists.
    fn next_order(&self, candidates: &[Values]) -> Vec<Values> {
        let rounds = self.rounds();
        let mut order = round_order(candidates, self.bench.seed, rounds.len());
        if let Some(last) = rounds.last().filter(|_| rounds.len() % 2 == 1) {
            order.sort_by_key(|values| Reverse(last.iter().position(|before| *before == values)));
        }
        order
    }

    /// Who ran in each round that can be compared, in its order. One that a stop cut short before
    /// that, or in which the baseline failed, is run again in the same order.
    fn rounds(&self) -> Vec<Vec<&Values>> {
        let baseline = self.runner.baseline();
        let mut rounds: BTreeMap<u64, Vec<&Values>> = BTreeMap::new();
        for trial in self.trials.iter().filter(|trial| trial.score_s().is_some()) {
            if let Some(pair) = trial.pair {
                rounds.entry(pair).or_default().push(&trial.knobs);
            }
        }
        let whole = |round: &Vec<&Values>| round.len() > 1 && round.contains(&&baseline);
        rounds.into_values().filter(whole).collect()
    }

    fn confirm_once(&mut self, workload: &Workload, values: &Values, pair: u64) -> Result<Trial> {
        let left = self.budget.left();
        self.run(&TrialRequest {
            phase: Phase::Confirmation,
            pair: Some(pair),
            strategy: "",
            workload,
            values,
            min_psnr_db: self.min_psnr_db(values),
            limit: self.limit().unwrap_or(left),
            left,
            ready_s: None,
            early_stop_s: None,
        })
    }

    /// The finalists of whom more rounds could tell something.
    fn open(&self, finalists: &[Values]) -> Vec<Values> {
        let all = Confirmation::all(&self.trials, &self.runner.baseline());
        // Which one to go on with may be learnt from all trials; what is claimed of it may not.
        let counts = |t: &&Trial| t.phase != Phase::Calibration && finalists.contains(&t.knobs);
        let trials = self.trials.iter().filter(counts);
        let odds = win_probability::win_probabilities(trials, None, &Drift::of(&self.trials));
        let is_out = |finalist: &Values| {
            odds.iter().any(|one| one.knobs == *finalist && one.p_best < UNLIKELY)
        };
        let is_open = |finalist: &&Values| {
            if is_out(finalist) || self.is_given_up(finalist) {
                return false;
            }
            let Some(own) = all.iter().find(|one| one.finalist == **finalist) else { return true };
            !own.is_decided() && !all.iter().any(|other| own.is_beaten_by(other))
        };
        finalists.iter().filter(is_open).cloned().collect()
    }

    /// The candidates that promise more than the baseline and that the search could not tell from
    /// the best, as many as there is time for; the most promising first.
    fn finalists(&self, workload: &Workload) -> Vec<Values> {
        let mut finalists = Vec::new();
        for (place, values) in self.promising().into_iter().take(FINALISTS).enumerate() {
            let values = self.runner.plainest(workload, values);
            let is_known = self
                .trials
                .iter()
                .any(|trial| trial.phase == Phase::Confirmation && trial.knobs == values);
            let rounds = self.trial_in_pair() * (place as u32 + 2) * ROUNDS;
            if place == 0 || is_known || rounds <= self.budget.left() {
                finalists.push(values);
            }
        }
        finalists
    }

    /// The candidates in question for the confirmation, the likeliest to be the fastest first.
    pub(super) fn promising(&self) -> Vec<Values> {
        let mut odds = win_probability::of_search(&self.trials, &Drift::of(&self.trials));
        let likeliest = odds.first().map_or(0.0, |odds| odds.p_best);
        odds.retain(|odds| odds.p_best >= UNLIKELY * likeliest && odds.p_gain >= PROMISING);
        odds.into_iter().map(|odds| odds.knobs).collect()
    }

    /// What a round of the baseline and these finalists takes: as long as the one before did for
    /// each; before the first, as [`crate::tune::budget::in_pair`] has it.
    fn round(&self, finalists: &[Values]) -> Duration {
        let confirming = self.trials.iter().rev().filter(|t| t.phase == Phase::Confirmation);
        let last = confirming.clone().next().and_then(|trial| trial.pair);
        let walls: Vec<f64> =
            confirming.take_while(|trial| trial.pair == last).map(|trial| trial.wall_s).collect();
        let one = match walls.len() {
            0 | 1 => self.trial_in_pair(),
            count => Duration::from_secs_f64(SLACK * walls.iter().sum::<f64>() / count as f64),
        };
        one * (finalists.len() as u32 + 1)
    }
}
