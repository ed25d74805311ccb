//! One search of a recorded space on simulated nodes, each of which is given the next candidate as
//! soon as its last one ends.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::search::{
    Measurement, Observation, Plan, Recorded, StrategyName, Study, remeasure,
};
use wan22_tune::space::Candidate;
use wan22_tune::stats;
use wan22_tune::tune::regret::above;

/// What starting takes, what a median run takes, and the most that a trial takes.
const START: f64 = 0.35;
const RUN: f64 = 0.65;
const CUT: f64 = 2.3;
/// No search goes on for longer, or for more trials.
const LAST: f64 = 120.0;
const MOST_TRIALS: usize = 480;
/// Deviations of a trial and of a node's speed, in logs.
const NOISE: f64 = 0.05;
const APART: f64 = 0.10;
/// What counts as near the optimum.
const NEAR: [f64; 2] = [0.05, 0.02];

/// How nodes differ, and what is known of it.
#[derive(Clone, Copy, PartialEq)]
pub enum Speeds {
    /// Not at all, and there is no noise: the search goes on until it is near the optimum.
    Exact,
    /// Not at all.
    Equal,
    /// Nothing is known.
    Apart,
    /// What one noisy trial of the baseline on each says.
    Estimated,
}

/// One search on a number of nodes.
pub struct Search<'t> {
    pub table: &'t Recorded,
    pub seed: u64,
    pub strategy: StrategyName,
    pub nodes: usize,
}

/// How it went.
pub struct Run {
    /// When something was measured that is near the optimum; infinite where that is too late.
    pub reached: [f64; 2],
    /// Of the best that was measured by the time asked for.
    pub regret: f64,
    /// Of what is chosen in the end.
    pub chosen: f64,
}

impl Search<'_> {
    /// Until a time `at`, and without noise until it is near the optimum.
    pub fn run(&self, speeds: Speeds, at: f64) -> Run {
        let until = if speeds == Speeds::Exact { LAST } else { at };
        let (table, rng) = (self.table, &mut Xoshiro256PlusPlus::seed_from_u64(!self.seed));
        let ranked = table.ranked();
        let finite: Vec<f64> = ranked.iter().copied().filter(|cost| cost.is_finite()).collect();
        let (middle, worst) = (finite[finite.len() / 2], finite[finite.len() - 1]);
        let succeeded = table.succeeded();
        let baseline = succeeded[rng.random_range(0..succeeded.len())].clone();
        let spread = if matches!(speeds, Speeds::Exact | Speeds::Equal) { 0.0 } else { APART };
        let noise = if speeds == Speeds::Exact { 0.0 } else { NOISE };
        let slower: Vec<f64> = (0..self.nodes).map(|_| spread * stats::normal(rng)).collect();
        let known = match speeds {
            Speeds::Estimated => estimated(&slower, rng),
            _ => vec![0.0; self.nodes],
        };
        let plan = Plan { strategy: self.strategy, seed: self.seed, ..Plan::default() };
        let mut study = Study::of_distinct(&table.space, plan);
        study.tell(Observation::new(baseline.clone(), table.cost(&baseline).into()));
        let regret_of = |cost: Option<f64>| above(cost.unwrap_or(worst).min(worst), &ranked);
        let mut best = regret_of(table.cost(&baseline));
        let mut run = Run { reached: [f64::INFINITY; 2], regret: best, chosen: best };
        let mut running: Vec<(f64, usize, Candidate)> = Vec::new();
        let mut idle: Vec<usize> = (0..self.nodes).collect();
        let mut now = 0.0;
        let goes_on = |now: f64, best: f64, trials: usize| {
            // With noise nobody knows that it is there.
            let is_known = speeds == Speeds::Exact;
            let is_there = is_known && best <= NEAR[1] && (now >= at || best <= 0.0);
            now <= until && trials < MOST_TRIALS && !is_there
        };
        while goes_on(now, best, study.observations().len()) {
            while let Some(&node) = idle.last() {
                let pending: Vec<Candidate> = running.iter().map(|one| one.2.clone()).collect();
                let Some(asked) = study.ask(&pending) else { break };
                let cost = table.cost(&asked);
                let takes = cost.map_or(START, |cost| START + RUN * cost / middle).min(CUT);
                running.push((now + takes * slower[node].exp(), node, asked));
                idle.pop();
            }
            let next = (0..running.len()).min_by(|&a, &b| running[a].0.total_cmp(&running[b].0));
            let Some(next) = next else { break };
            let (end, node, candidate) = running.swap_remove(next);
            (now, best) = (end, best.min(regret_of(table.cost(&candidate))));
            idle.push(node);
            for (reached, near) in run.reached.iter_mut().zip(NEAR) {
                *reached = if best <= near { reached.min(now) } else { *reached };
            }
            run.regret = if now <= at { best } else { run.regret };
            let seen =
                |cost: f64| cost * (slower[node] - known[node] + noise * stats::normal(rng)).exp();
            let measurement: Measurement = table.cost(&candidate).map(seen).into();
            study.tell(Observation::new(candidate, measurement));
        }
        let chosen = remeasure::choose(&table.space, study.observations());
        run.chosen = chosen.map_or(best, |chosen| regret_of(table.cost(&chosen)));
        run
    }
}

/// What one noisy trial of the baseline on each node says of their speeds, shrunk as a random effect.
fn estimated(slower: &[f64], rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let seen: Vec<f64> = slower.iter().map(|log| log + NOISE * stats::normal(rng)).collect();
    let middle = stats::mean(&seen).unwrap_or(0.0);
    let shrunk = APART.powi(2) / (APART.powi(2) + NOISE.powi(2));
    seen.iter().map(|log| shrunk * (log - middle)).collect()
}
