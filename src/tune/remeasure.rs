//! Upkeep: what keeps a noisy search honest between a strategy's own trials. The baseline comes
//! back as sentinel, and promising candidates are measured again, both spread over time.

use std::time::Duration;

use anyhow::Result;

use super::{Session, TrialRequest};
use crate::evidence::blame;
use crate::evidence::confirmation::pairs_for;
use crate::evidence::drift::Drift;
use crate::evidence::ranking;
use crate::evidence::ranking::Ranked;
use crate::evidence::win_probability;
use crate::evidence::win_probability::WinProbability;
use crate::knobs::Values;
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// A sentinel is due when other trials took so many times as long as one of the baseline.
const SENTINEL_EVERY: f64 = 8.0;

/// Trials of the search before anything is measured again: a short tune spends its time on looking
/// further.
const FIRST: usize = 6;

/// Of so many trials one may be a repetition.
const REPEAT_EVERY: usize = 4;

/// The probability of being the fastest from which a candidate needs no more repetitions.
const SURE: f64 = 0.99;

/// Measurements of the best before that is believed: while there is something new to look at, and
/// when there is not.
const ENOUGH: (usize, usize) = (2, 6);

/// A void trial this much slower than the best is not worth repeating.
const PROMISING: f64 = 1.1;

/// Sentinels and repetitions leave room for so many trials of the baseline's length.
const ROOM: u32 = 3;

impl Session<'_> {
    /// Runs what is due before the strategy's next trial.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub(super) fn remeasure(&mut self, workload: &Workload) -> Result<()> {
        self.catch_up(workload, false)
    }

    /// When the strategy has nothing left to try: measures again what the noise can't tell from
    /// the best, while there is time.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub(super) fn remeasure_finally(&mut self, workload: &Workload) -> Result<()> {
        self.catch_up(workload, true)
    }

    fn catch_up(&mut self, workload: &Workload, settles: bool) -> Result<()> {
        while let Some((phase, values)) = self.due(workload, settles) {
            let left = self.left_for_remeasuring(settles);
            self.run(&TrialRequest {
                phase,
                pair: None,
                strategy: "",
                workload,
                values: &values,
                min_psnr_db: self.min_psnr_db(&values),
                limit: self.limit().unwrap_or(left),
                left,
                ready_s: None,
                early_stop_s: None,
            })?;
        }
        Ok(())
    }

    fn due(&self, workload: &Workload, settles: bool) -> Option<(Phase, Values)> {
        if self.is_stopped() || self.left_for_remeasuring(settles) < self.baseline_trial() * ROOM {
            return None;
        }
        let drift = Drift::of(&self.trials);
        if self.is_sentinel_due(&drift) {
            return Some((Phase::Sentinel, self.runner.baseline()));
        }
        let is_done = if settles { self.has_repeated_enough() } else { !self.is_repeat_due() };
        if is_done {
            return None;
        }
        let values = self.doubtful(&drift, settles)?;
        self.runner.identity(workload, &values)?;
        Some((Phase::Repeat, values))
    }

    /// Whether the baseline has to come back: after a while, after a break, and when its last
    /// return was so odd that another one has to explain it.
    fn is_sentinel_due(&self, drift: &Drift) -> bool {
        let baseline = self.runner.baseline();
        let own = |trial: &&Trial| trial.knobs == baseline;
        let others: f64 =
            self.trials.iter().rev().take_while(|t| !own(t)).map(|trial| trial.wall_s).sum();
        let mut last = self.trials.iter().rev();
        let of_sentinel = |trial: Option<&Trial>| trial.is_some_and(|t| t.phase == Phase::Sentinel);
        let odd = of_sentinel(last.next()) && !of_sentinel(last.next()) && drift.is_in_doubt();
        let is_back = self.is_back && self.trials.len() == self.before;
        odd || is_back || others > SENTINEL_EVERY * self.baseline_trial().as_secs_f64()
    }

    /// Whether a search of a given number of trials has repeated as many: equal candidates would
    /// otherwise be measured again until the budget is spent.
    fn has_repeated_enough(&self) -> bool {
        let repeats = self.trials.iter().filter(|trial| trial.phase == Phase::Repeat).count();
        repeats >= self.most_trials
    }

    /// Whether the search has looked far enough since the last repetition.
    fn is_repeat_due(&self) -> bool {
        let searched = |t: &&Trial| matches!(t.phase, Phase::Search | Phase::Repeat);
        let since = self.trials.iter().rev().take_while(|t| t.phase != Phase::Repeat);
        let search = self.trials.iter().filter(|trial| trial.phase == Phase::Search).count();
        search >= FIRST && since.filter(searched).count() + 1 >= REPEAT_EVERY
    }

    /// The candidate that is most worth measuring again: one that looked good while the machine
    /// changed, or the likeliest to be the fastest, or the one that it is in doubt with.
    fn doubtful(&self, drift: &Drift, settles: bool) -> Option<Values> {
        let searched = |t: &&Trial| matches!(t.phase, Phase::Search | Phase::Repeat);
        let ranking = ranking::rank_with(&self.trials, drift);
        let best_s = ranking.first()?.score_s;
        let is_ranked = |trial: &&Trial| ranking.iter().any(|ranked| ranked.knobs == trial.knobs);
        let is_promising = |trial: &&Trial| {
            drift.score_s(trial).is_some_and(|score_s| score_s < PROMISING * best_s)
        };
        let mut void =
            self.trials.iter().filter(searched).filter(|trial| drift.is_invalidated(trial));
        let is_wanted = |trial: &&Trial| {
            is_promising(trial) && !is_ranked(trial) && !self.is_given_up(&trial.knobs)
        };
        if let Some(trial) = void.find(is_wanted) {
            return Some(trial.knobs.clone());
        }
        // What failed in a repetition is no contender, whatever its first time was.
        let failures = blame::failures(&self.trials, &self.runner.baseline());
        let failed = |values: &Values| {
            failures.iter().any(|trial| trial.knobs == *values) || self.is_given_up(values)
        };
        let mut odds = win_probability::of_search(&self.trials, drift);
        odds.retain(|one| !failed(&one.knobs));
        let (leader, others) = odds.split_first()?;
        if settles {
            // A single time speaks against a candidate only if no disturbance explains it.
            let explained = |ranked: &&Ranked| {
                let is_other = odds.iter().any(|one| one.knobs == ranked.knobs);
                ranked.trials == 1 && is_other && ranked.score_s < leader.level_s * drift.worst()
            };
            if let Some(single) = ranking.iter().find(explained) {
                return Some(single.knobs.clone());
            }
        }
        let enough = if settles { ENOUGH.1 } else { ENOUGH.0 };
        if leader.p_best >= SURE && leader.trials >= enough {
            return None;
        }
        // Of the others the one that is most likely to be better, for as often as it was looked at;
        // and the leader as often as that one, since it is their difference that counts.
        let worth = |one: &WinProbability| one.p_best / one.trials as f64;
        let other = others.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
        let other = other.filter(|other| other.trials < leader.trials);
        Some(other.unwrap_or(leader).knobs.clone())
    }

    /// Seconds a clip above which a candidate is given up after its first repetition: far from the
    /// best so far, however noisy the machine.
    pub(super) fn early_stop_s(&self) -> Option<f64> {
        let drift = Drift::of(&self.trials);
        let best_s = ranking::rank_with(&self.trials, &drift).first()?.score_s;
        let now = self.trials.last().map_or(1.0, |trial| drift.factor(trial));
        Some(best_s * now * (EARLY_STOP * drift.deviation()).exp().max(FAR))
    }

    /// What is left for the search: all of it while there is nothing to confirm.
    pub(super) fn left_for_search(&self) -> Duration {
        if self.promising().is_empty() { self.budget.left() } else { self.left_beside_reserve() }
    }

    fn left_for_remeasuring(&self, settles: bool) -> Duration {
        // What has to be settled may turn out to be worth confirming.
        if settles { self.left_beside_reserve() } else { self.left_for_search() }
    }

    pub(super) fn left_beside_reserve(&self) -> Duration {
        let pairs = pairs_for(&Drift::of(&self.trials));
        self.budget.left_for_search(self.trial_in_pair(), pairs)
    }
}

/// A candidate is hopeless when its first repetition is so many deviations off,
const EARLY_STOP: f64 = 6.0;

/// and so many times as slow as the best.
const FAR: f64 = 1.5;
