//! The final remeasurement: what the noise can't tell from the best, once the search has nothing left
//! to try.

use anyhow::Result;

use super::{Next, Policy, RemeasureWhen};
use crate::evidence::blame;
use crate::evidence::ranking::{self, Ranked};
use crate::evidence::win_probability::{self, WinProbability};
use crate::knobs::Values;
use crate::trial::Phase;
use crate::tune::state::State;
use crate::workload::Workload;

/// The probability of being the fastest from which a candidate needs no more repetitions.
const SURE_P_BEST: f64 = 0.99;

/// That holds for a candidate with at least this many trials.
const ENOUGH_TRIALS: usize = 6;

/// Measures finalists again.
pub(crate) struct FinalRemeasurement<'w> {
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for FinalRemeasurement<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let left = RemeasureWhen::Final.left(state).filter(|_| !has_repeated_enough(state));
        let Some(left) = left else { return Ok(None) };
        let runs = |values: &Values| state.runner.identity(self.workload, values).is_some();
        let request = |values| state.request(Phase::Repeat, self.workload, values, left);
        Ok(unsettled(state).filter(runs).map(request).map(Next::Run))
    }
}

/// Whether a search of a given number of trials has repeated as many: equal candidates would
/// otherwise be measured again until the budget is spent.
fn has_repeated_enough(state: &State<'_>) -> bool {
    let repeats = state.trials().iter().filter(|trial| trial.phase == Phase::Repeat).count();
    repeats >= state.config.most_trials
}

/// The candidate that is most worth measuring again: the likeliest to be the fastest, or the one that
/// it is in doubt with.
fn unsettled(state: &State<'_>) -> Option<Values> {
    let (trials, drift) = (state.trials(), state.drift());
    // What failed in a repetition is no finalist, whatever its first time was.
    let failures = blame::failures(trials, &state.baseline);
    let mut odds = win_probability::of_search(trials, drift);
    odds.retain(|one| {
        !failures.iter().any(|trial| trial.knobs == one.knobs) && !state.is_given_up(&one.knobs)
    });
    let (leader, others) = odds.split_first()?;
    let ranking = ranking::rank(trials, drift);
    if let Some(single) = explained_by_a_disturbance(state, &ranking, &odds) {
        return Some(single);
    }
    if leader.p_best >= SURE_P_BEST && leader.trials >= ENOUGH_TRIALS {
        return None;
    }
    // Of the others the one that is most likely to be better, for as often as it was looked at;
    // and the leader as often as that one, since it is their difference that counts.
    let worth = |one: &WinProbability| one.p_best / one.trials as f64;
    let other = others.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
    let other = other.filter(|other| other.trials < leader.trials);
    Some(other.unwrap_or(leader).knobs.clone())
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
