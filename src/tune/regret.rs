//! Regret: how far the best that a strategy found lies above a recorded space's optimum.

use anyhow::Result;

use super::budget::Budget;
use super::{NoObserver, Session, TuneConfig};
use crate::knobs::Values;
use crate::runner::{Repetitions, ReplayRunner, Runner, fake};
use crate::search::{Plan, Recorded};
use crate::stats;
use crate::trial::Phase;
use crate::workload::{BUILT_IN, WorkloadFile};

/// How one replayed search went.
#[derive(Clone, Debug)]
pub struct ReplayedSearch {
    /// After each evaluation, the lowest recorded cost among the candidates measured so far, the
    /// baseline among them, over the optimum, minus one.
    pub regret: Vec<f64>,
    /// The lowest of those that were measured again; of all, where none was.
    pub finalists: f64,
    /// That of the candidate that is chosen in the end, which under noise need not be the
    /// one that looked best.
    pub chosen: f64,
}

/// Replays a tune by `plan` over a record: for `budget` trials of the search and repetitions, each
/// with multiplicative `noise` (0.05 for 5%). What is chosen is [`Session::best`].
///
/// # Errors
/// The candidate that stands for the baseline failed.
pub fn replay(
    recorded: &Recorded,
    plan: Plan,
    budget: usize,
    noise: f64,
) -> Result<ReplayedSearch> {
    let seed = plan.seed;
    let repetitions = Repetitions::exactly(1);
    // Every recorded candidate counts.
    let config = TuneConfig { seed, repetitions, prunes_no_effect: false, ..TuneConfig::default() };
    let runner = ReplayRunner::new(recorded, noise, seed);
    fake::set_now_s(0.0);
    let mut session = Session::new(&config, &runner, &NoObserver, Budget::in_trials(budget));
    let workload = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?.size(0);
    session.search(&recorded.space, &workload, plan)?;
    let ranked = recorded.ranked();
    let regret_of = |values: &Values| {
        let candidate = recorded.space.candidate(values);
        let cost = candidate.and_then(|candidate| recorded.cost(&candidate));
        cost.map_or(f64::INFINITY, |cost| above(cost, &ranked))
    };
    let mut best = regret_of(&runner.baseline());
    let (mut regret, mut again): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let counts = |phase| matches!(phase, Phase::Search | Phase::Repeat);
    for trial in session.trials().iter().filter(|trial| counts(trial.phase)) {
        let found = regret_of(&trial.knobs);
        best = best.min(found);
        regret.push(best);
        again.extend((trial.phase == Phase::Repeat).then_some(found));
    }
    let finalists = again.into_iter().reduce(f64::min).unwrap_or(best);
    regret.resize(budget, best);
    let chosen = session.best(&recorded.space).map_or(f64::INFINITY, |values| regret_of(&values));
    Ok(ReplayedSearch { regret, finalists, chosen })
}

/// Regret of `cost`, as a share of the optimum's size, or of the mean size where the optimum is 0, from
/// costs sorted upwards, failures (infinite costs) last.
pub fn above(cost: f64, ranked: &[f64]) -> f64 {
    let usual = || {
        let finite = ranked.iter().filter(|cost| cost.is_finite());
        stats::mean(finite.map(|cost| cost.abs())).unwrap_or(0.0)
    };
    let size = if ranked[0] == 0.0 { usual() } else { ranked[0].abs() };
    (cost - ranked[0]) / size.max(f64::MIN_POSITIVE)
}

/// The expected regret of the best of 1, 2, … `budget` random draws without repeats, from costs
/// sorted upwards; failures (infinite costs) are draws that find nothing.
///
/// The best of b draws among n is the i-th cheapest with probability
/// C(n - i, b - 1) / C(n, b), i from 1.
pub fn random_draws(ranked: &[f64], budget: usize) -> Vec<f64> {
    let worst = ranked.iter().rev().find(|cost| cost.is_finite()).copied().unwrap_or(0.0);
    let n = ranked.len();
    let expected = |draws: usize| {
        let draws = draws.min(n);
        // The probability that none of the draws is among the first i, as i grows.
        let mut none = 1.0;
        let mut mean = 0.0;
        for (i, cost) in ranked.iter().enumerate().take(n + 1 - draws) {
            let next = none * (1.0 - draws as f64 / (n - i) as f64).max(0.0);
            mean += (none - next) * cost.min(worst);
            none = next;
        }
        above(mean, ranked)
    };
    (1..=budget).map(expected).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regret_is_a_share_of_the_optimums_size() {
        assert_eq!(above(3.0, &[2.0, 3.0, f64::INFINITY]), 0.5);
        assert_eq!(above(-1.0, &[-4.0, -1.0]), 0.75);
        // Nothing is a share of zero: of the mean of 0, 1 and 5 then.
        assert_eq!(above(1.0, &[0.0, 1.0, 5.0, f64::INFINITY]), 0.5);
        assert_eq!(above(0.0, &[0.0, 0.0]), 0.0);
    }

    /// Of {2, 3, 4} two draws hold a 2 in two cases of three and no better than a 3 in the other.
    #[test]
    fn the_best_of_random_draws_is_expected() {
        let expected = random_draws(&[2.0, 3.0, 4.0], 4);
        for (found, cost) in expected.iter().zip([3.0, 7.0 / 3.0, 2.0, 2.0]) {
            assert!((found - above(cost, &[2.0])).abs() < 1e-12, "{expected:?}");
        }
    }
}
