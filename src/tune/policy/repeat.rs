//! Repeats: promising candidates are measured again, spread over time.

use anyhow::Result;

use super::{Next, Policy, Stage};
use crate::evidence::blame;
use crate::evidence::ranking::{self, Ranked};
use crate::evidence::win_probability::{self, WinProbability};
use crate::knobs::Values;
use crate::trial::{Phase, Trial};
use crate::tune::state::State;
use crate::workload::Workload;

/// Trials of the search before anything is measured again: a short tune spends its time on looking
/// further.
const FIRST: usize = 6;

/// Of so many trials one may be a repetition.
const EVERY: usize = 4;

/// The probability of being the fastest from which a candidate needs no more repetitions.
const SURE: f64 = 0.99;

/// A void trial this much slower than the best is not worth repeating.
const PROMISING: f64 = 1.1;

/// Measures promising candidates again.
pub(crate) struct Repeats<'w> {
    pub stage: Stage,
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Repeats<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let is_due = match self.stage {
            Stage::Search => is_due(state),
            Stage::Final => !has_repeated_enough(state),
        };
        let Some(left) = self.stage.left(state).filter(|_| is_due) else { return Ok(None) };
        let values = doubtful(state, self.stage);
        let runs = |values: &Values| state.runner.identity(self.workload, values).is_some();
        let request = |values| state.request(Phase::Repeat, self.workload, values, left);
        Ok(values.filter(runs).map(request).map(Next::Alone))
    }
}

/// Whether a search of a given number of trials has repeated as many: equal candidates would
/// otherwise be measured again until the budget is spent.
fn has_repeated_enough(state: &State<'_>) -> bool {
    let repeats = state.trials().iter().filter(|trial| trial.phase == Phase::Repeat).count();
    repeats >= state.config.most_trials
}

fn is_searched(trial: &&Trial) -> bool {
    matches!(trial.phase, Phase::Search | Phase::Repeat)
}

/// Whether the search has looked far enough since the last repetition.
fn is_due(state: &State<'_>) -> bool {
    let trials = state.trials();
    let since = trials.iter().rev().take_while(|trial| trial.phase != Phase::Repeat);
    let search = trials.iter().filter(|trial| trial.phase == Phase::Search).count();
    search >= FIRST && since.filter(is_searched).count() + 1 >= EVERY
}

/// The candidate that is most worth measuring again: one that looked good while the machine
/// changed, or the likeliest to be the fastest, or the one that it is in doubt with.
fn doubtful(state: &State<'_>, stage: Stage) -> Option<Values> {
    let (trials, drift) = (state.trials(), state.drift());
    let ranking = ranking::rank_with(trials, drift);
    if let Some(values) = promising_but_invalidated(state, &ranking) {
        return Some(values);
    }
    // What failed in a repetition is no contender, whatever its first time was.
    let failures = blame::failures(trials, &state.baseline);
    let mut odds = win_probability::of_search(trials, drift);
    odds.retain(|one| {
        !failures.iter().any(|trial| trial.knobs == one.knobs) && !state.is_given_up(&one.knobs)
    });
    let (leader, others) = odds.split_first()?;
    if stage == Stage::Final
        && let Some(single) = explained_by_a_disturbance(state, &ranking, &odds)
    {
        return Some(single);
    }
    if leader.p_best >= SURE && leader.trials >= stage.enough() {
        return None;
    }
    // Of the others the one that is most likely to be better, for as often as it was looked at;
    // and the leader as often as that one, since it is their difference that counts.
    let worth = |one: &WinProbability| one.p_best / one.trials as f64;
    let other = others.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
    let other = other.filter(|other| other.trials < leader.trials);
    Some(other.unwrap_or(leader).knobs.clone())
}

impl Stage {
    /// Measurements of the best before that is believed: fewer while there is something new to look
    /// at.
    fn enough(self) -> usize {
        match self {
            Self::Search => 2,
            Self::Final => 6,
        }
    }
}

fn promising_but_invalidated(state: &State<'_>, ranking: &[Ranked]) -> Option<Values> {
    let drift = state.drift();
    let best_s = ranking.first()?.score_s;
    let is_ranked = |trial: &Trial| ranking.iter().any(|ranked| ranked.knobs == trial.knobs);
    let is_promising =
        |trial: &Trial| drift.score_s(trial).is_some_and(|score_s| score_s < PROMISING * best_s);
    let mut invalidated =
        state.trials().iter().filter(is_searched).filter(|trial| drift.is_invalidated(trial));
    let found = invalidated.find(|trial| {
        is_promising(trial) && !is_ranked(trial) && !state.is_given_up(&trial.knobs)
    });
    found.map(|trial| trial.knobs.clone())
}

/// A candidate with a single time: that speaks against it only if no disturbance explains it.
fn explained_by_a_disturbance(
    state: &State<'_>,
    ranking: &[Ranked],
    odds: &[WinProbability],
) -> Option<Values> {
    let explains_s = odds.first()?.level_s * state.drift().worst();
    let single = ranking.iter().find(|ranked| {
        ranked.trials == 1
            && ranked.score_s < explains_s
            && odds.iter().any(|one| one.knobs == ranked.knobs)
    });
    single.map(|single| single.knobs.clone())
}
