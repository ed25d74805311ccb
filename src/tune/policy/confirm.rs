//! The confirmation: the finalists against the baseline, in rounds of fresh processes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::Result;

use super::round_order::round_order;
use super::search::pruned;
use super::{Next, Policy};
use crate::evidence::confirmation::Confirmation;
use crate::evidence::ranking::rank;
use crate::evidence::{blame, win_probability};
use crate::knobs::Values;
use crate::runner::TrialRequest;
use crate::space::Space;
use crate::trial::Phase;
use crate::tune::budget::PAIR_TIME_RATIO;
use crate::tune::observations::values as named;
use crate::tune::state::{FINALIST_LEAST_P_BEST, State};
use crate::workload::Workload;

/// Finalists at the most.
const MOST_FINALISTS: usize = 4;

/// The share by which single runs tell two candidates apart.
const LEAST_TOLD: f64 = 0.05;

/// Runs of a profile that is the baseline itself.
const BASELINE_RERUNS: u64 = 6;

/// Rounds that the time has to suffice for before it is shared with one more finalist.
const LEAST_ROUNDS_PER_FINALIST: u32 = 8;

/// Runs finalists against the baseline, in rounds of balanced order, until the answer is clear for each
/// or the budget spent.
pub(crate) struct Confirmations<'w> {
    workload: &'w Workload,
    finalists: Vec<Values>,
    /// The number of the last round that was begun.
    last: u64,
    /// By node, the number of its round under way and what is still to run in it: a round stays on
    /// one node.
    rounds: BTreeMap<String, (u64, VecDeque<Values>)>,
}

impl<'w> Confirmations<'w> {
    /// Confirms the best that the search found.
    pub fn of_search(space: &Space, workload: &'w Workload, state: &State<'_>) -> Self {
        Self::of(workload, finalists(space, workload, state), state)
    }

    /// The candidates that it confirms.
    pub fn finalists(&self) -> &[Values] {
        &self.finalists
    }

    /// Confirms these finalists.
    pub fn of(workload: &'w Workload, finalists: Vec<Values>, state: &State<'_>) -> Self {
        let last = state.trials().iter().filter_map(|trial| trial.pair).max().unwrap_or(0);
        Self { workload, finalists, last, rounds: BTreeMap::new() }
    }

    /// The node's next round; nothing where none can tell anything, or there is no time for one.
    fn begin(&mut self, state: &State<'_>) {
        let open = open(state, &self.finalists);
        if open.is_empty() || state.budget.left() < round_time(state, &open) {
            return;
        }
        let mut order = next_order(
            state,
            &[&self.finalists[..], std::slice::from_ref(&state.baseline)].concat(),
        );
        order.retain(|values| open.contains(values) || *values == state.baseline);
        self.last += 1;
        self.rounds.insert(state.node().to_owned(), (self.last, order.into()));
    }

    /// What is next in the round that the node is in.
    fn in_round(&mut self, state: &State<'_>) -> Option<(u64, Values)> {
        let (round, left) = self.rounds.get_mut(state.node())?;
        Some((*round, left.pop_front()?))
    }
}

impl<'a> Policy<'a> for Confirmations<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let next = self.in_round(state).or_else(|| {
            self.begin(state);
            self.in_round(state)
        });
        Ok(next.map(|(round, values)| Next::Run(request(state, self.workload, values, round))))
    }
}

/// Runs a profile that is the baseline itself a few times.
pub(crate) struct Reruns<'w> {
    pub workload: &'w Workload,
}

impl<'a> Policy<'a> for Reruns<'_> {
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>> {
        let pair = state.trials().iter().filter_map(|trial| trial.pair).max().unwrap_or(0) + 1;
        if pair > BASELINE_RERUNS || state.budget.left() < state.trial_in_pair() {
            return Ok(None);
        }
        let baseline = state.baseline.clone();
        Ok(Some(Next::Run(request(state, self.workload, baseline, pair))))
    }
}

fn request(state: &State<'_>, workload: &Workload, values: Values, pair: u64) -> TrialRequest {
    let request = state.request(Phase::Confirmation, workload, values, state.budget.left());
    TrialRequest { pair: Some(pair), ..request }
}

/// Whether the confirmation of what `trials` confirm came to an end.
pub(crate) fn is_decided(state: &State<'_>) -> bool {
    let confirmed = Confirmation::all(state.trials(), &state.baseline);
    let finalists: Vec<Values> = confirmed.into_iter().map(|one| one.finalist).collect();
    !finalists.is_empty() && open(state, &finalists).is_empty()
}

/// The order of the next round: after an odd number of them the reverse of the last, also where
/// a tune that was resumed has other finalists.
fn next_order(state: &State<'_>, candidates: &[Values]) -> Vec<Values> {
    let rounds = rounds(state);
    let mut order = round_order(candidates, state.config.seed, rounds.len());
    if let Some(last) = rounds.last().filter(|_| rounds.len() % 2 == 1) {
        order.sort_by_key(|values| Reverse(last.iter().position(|before| *before == values)));
    }
    order
}

/// Who ran in each round of the node that can be compared, in its order. One that a stop cut short before
/// that, or in which the baseline failed, is run again in the same order.
fn rounds<'t>(state: &'t State<'_>) -> Vec<Vec<&'t Values>> {
    let mut rounds: BTreeMap<u64, Vec<&Values>> = BTreeMap::new();
    for trial in state.own_trials().iter().filter(|trial| trial.score().is_some()) {
        if let Some(pair) = trial.pair {
            rounds.entry(pair).or_default().push(&trial.knobs);
        }
    }
    let whole = |round: &Vec<&Values>| round.len() > 1 && round.contains(&&state.baseline);
    rounds.into_values().filter(whole).collect()
}

/// The finalists of whom more rounds could tell something.
fn open(state: &State<'_>, finalists: &[Values]) -> Vec<Values> {
    let trials = state.trials();
    let all = Confirmation::all(trials, &state.baseline);
    // Which one to go on with may be learnt from all trials; what is claimed of it may not.
    let counts = trials
        .iter()
        .filter(|trial| trial.phase != Phase::Calibration && finalists.contains(&trial.knobs))
        // Samples of another size may be another level.
        .filter(|trial| state.confirmation_ratio == 1.0 || trial.phase == Phase::Confirmation);
    let odds = win_probability::win_probabilities(counts, None, state.drift());
    let is_out = |finalist: &Values| {
        odds.iter().any(|one| one.knobs == *finalist && one.p_best < FINALIST_LEAST_P_BEST)
    };
    let is_open = |finalist: &&Values| {
        if is_out(finalist) || state.is_given_up(finalist) {
            return false;
        }
        let Some(own) = all.iter().find(|one| one.finalist == **finalist) else { return true };
        !own.is_decided() && !all.iter().any(|other| own.is_beaten_by(other))
    };
    finalists.iter().filter(is_open).cloned().collect()
}

/// The candidates that may gain on the baseline and that the search could not tell from
/// the best, as many as there is time for; the likeliest first.
fn finalists(space: &Space, workload: &Workload, state: &State<'_>) -> Vec<Values> {
    let pruned = pruned(space, state);
    let mut finalists: Vec<Values> = Vec::new();
    let promising = promising(state);
    let lacking = blame::lacking_memory(state.trials());
    for values in &promising {
        let place = finalists.len();
        if place == MOST_FINALISTS {
            break;
        }
        // Nobody should ship a change that changes nothing.
        let frozen = |candidate| pruned.with_frozen(space, &candidate);
        let frozen = space.candidate(values).map(frozen);
        let values = frozen.map_or_else(|| values.clone(), |c| named(&state.baseline, space, &c));
        let values = state.runner.plainest(workload, values);
        if finalists.contains(&values) || lacking.contains(&&values) {
            continue;
        }
        let is_known = state
            .trials()
            .iter()
            .any(|trial| trial.phase == Phase::Confirmation && trial.knobs == values);
        let rounds = state.trial_in_pair() * (place as u32 + 2) * LEAST_ROUNDS_PER_FINALIST;
        if place == 0 || is_known || rounds <= state.budget.left() {
            finalists.push(values);
        }
    }
    finalists
}

/// The candidates in question. Few long runs can't tell small differences: of those that are about as
/// good as the best the one that changes least comes first.
fn promising(state: &State<'_>) -> Vec<Values> {
    let mut all = state.promising().to_vec();
    if !state.has_long_runs() {
        return all;
    }
    let ranking = rank(state.trials(), state.drift());
    let cost =
        |values: &Values| ranking.iter().find(|one| one.knobs == *values).map(|one| one.score_s);
    let lowest = all.iter().filter_map(cost).fold(f64::INFINITY, f64::min);
    let is_equal =
        |values: &Values| cost(values).is_some_and(|cost| cost <= lowest * (1.0 + LEAST_TOLD));
    let changes = |values: &Values| {
        values.iter().filter(|(name, value)| state.baseline.get(*name) != Some(value)).count()
    };
    all.sort_by_key(|values| if is_equal(values) { changes(values) } else { usize::MAX });
    all
}

/// What a round of the baseline and these finalists takes: as long as the one before did for
/// each; before the first, as [`crate::tune::budget::in_pair`] has it.
fn round_time(state: &State<'_>, finalists: &[Values]) -> Duration {
    let confirming = state.own_trials().iter().rev().filter(|t| t.phase == Phase::Confirmation);
    let last = confirming.clone().next().and_then(|trial| trial.pair);
    let walls: Vec<f64> =
        confirming.take_while(|trial| trial.pair == last).map(|trial| trial.wall_s).collect();
    let one = match walls.len() {
        0 | 1 => state.trial_in_pair(),
        count => {
            Duration::from_secs_f64(PAIR_TIME_RATIO * walls.iter().sum::<f64>() / count as f64)
        }
    };
    one * (finalists.len() as u32 + 1)
}
