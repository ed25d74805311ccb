//! One search over several equal nodes, replayed over recorded spaces: how much sooner many nodes come
//! near the optimum than one.
//!
//! `TABLES=DIR cargo bench --no-default-features --bench nodes`, DIR holding recorded spaces. `SEEDS=6`
//! from `SEED=0` on, `NODES=1,2,4,8,16,32`, `STRATEGY=portfolio`.
//!
//! Time is in trials of the table's median candidate. A trial takes 0.35 of that for starting and 0.65
//! times what it costs over the median, 2.3 at the most, where it is cut; one that fails takes 0.35. A
//! node is given the next candidate as soon as its last one ends. The baseline, a candidate that
//! succeeded, by chance, is known before.
//!
//! - **time**: the median over tables and seeds of the time until something within 5% (2%) of the
//!   optimum was measured, and one node's over it.
//! - **regret**: the mean regret after 30 of one node's trials.
//! - **speeds** (`SPEEDS=8`, nodes; 0 leaves it out): the true regret of what is chosen after 15 with 5%
//!   noise, on equal nodes, on nodes whose speeds differ by 10%, and on those with their speeds
//!   estimated from one trial of the baseline each.
#![allow(clippy::print_stdout, reason = "it prints for those who run it")]

mod setting;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use wan22_tune::search::{Finding, Observation, Plan, Recorded, StrategyName, Study, remeasure};
use wan22_tune::space::Candidate;
use wan22_tune::stats;
use wan22_tune::tune::regret::above;

use setting::setting;

/// What starting takes, what a median run takes, and the most that a trial takes.
const START: f64 = 0.35;
const RUN: f64 = 0.65;
const CUT: f64 = 2.3;
/// Times at which regret is printed and until which nodes of different speeds search.
const AT: f64 = 30.0;
const NOISY_AT: f64 = 15.0;
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
enum Speeds {
    Exact,
    Equal,
    Apart,
    Estimated,
}

fn main() -> anyhow::Result<()> {
    let folder = setting("TABLES", "results".to_owned())?;
    let (seed, seeds): (u64, u64) = (setting("SEED", 0)?, setting("SEEDS", 6)?);
    let nodes = setting("NODES", "1,2,4,8,16,32".to_owned())?;
    let nodes: Vec<usize> = nodes.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let strategy = setting("STRATEGY", StrategyName::Portfolio)?;
    let speeds = setting("SPEEDS", 8)?;
    let tables = tables(Path::new(&folder))?;
    anyhow::ensure!(!tables.is_empty(), "no recorded space under {folder}: TABLES=DIR names some");
    let jobs: Vec<(usize, u64)> = (0..tables.len())
        .flat_map(|table| (seed..seed + seeds).map(move |seed| (table, seed)))
        .collect();
    println!("{} tables, {seeds} seeds from {seed} on, {strategy}", tables.len());
    println!("nodes | time to 5%, one node's over it | to 2% | mean regret in % after {AT}");
    let mut first: Option<[f64; 2]> = None;
    for count in nodes {
        let runs = jobs.par_iter().map(|(table, seed)| {
            let search = Search { table: &tables[*table], seed: *seed, strategy, nodes: count };
            search.run(Speeds::Exact, LAST)
        });
        let runs: Vec<Run> = runs.collect();
        let reached = [0, 1].map(|near| {
            let times: Vec<f64> = runs.iter().map(|run| run.reached[near]).collect();
            stats::median(&times).unwrap_or(f64::NAN)
        });
        let one = *first.get_or_insert(reached);
        let regrets: Vec<f64> = runs.iter().map(|run| 100.0 * run.regret).collect();
        let [five, two] =
            [0, 1].map(|near| format!("{:5.1} {:5.1}", reached[near], one[near] / reached[near]));
        println!("{count:5} | {five} | {two} | {}", mean(&regrets));
    }
    if speeds > 0 {
        println!(
            "{speeds} nodes, noise of 5%: true regret in % of what is chosen after {NOISY_AT}"
        );
        for (name, kind) in [
            ("equal nodes", Speeds::Equal),
            ("10% apart", Speeds::Apart),
            ("10% apart, speeds from one baseline each", Speeds::Estimated),
        ] {
            let regrets = jobs.par_iter().map(|(table, seed)| {
                let search =
                    Search { table: &tables[*table], seed: *seed, strategy, nodes: speeds };
                100.0 * search.run(kind, NOISY_AT).chosen
            });
            println!("{name}: {}", mean(&regrets.collect::<Vec<_>>()));
        }
    }
    Ok(())
}

/// One search on a number of nodes.
struct Search<'t> {
    table: &'t Recorded,
    seed: u64,
    strategy: StrategyName,
    nodes: usize,
}

/// How it went.
struct Run {
    /// When something was measured that is near the optimum; infinite where that is too late.
    reached: [f64; 2],
    /// Of the best that was measured by [`AT`].
    regret: f64,
    /// Of what is chosen in the end.
    chosen: f64,
}

impl Search<'_> {
    fn run(&self, speeds: Speeds, until: f64) -> Run {
        let (table, rng) = (self.table, &mut Xoshiro256PlusPlus::seed_from_u64(!self.seed));
        let ranked = table.ranked();
        let finite: Vec<f64> = ranked.iter().copied().filter(|cost| cost.is_finite()).collect();
        let (middle, worst) = (finite[finite.len() / 2], finite[finite.len() - 1]);
        let succeeded = table.succeeded();
        let baseline = succeeded[rng.random_range(0..succeeded.len())].clone();
        let spread = if matches!(speeds, Speeds::Exact | Speeds::Equal) { 0.0 } else { APART };
        let noise = if speeds == Speeds::Exact { 0.0 } else { NOISE };
        let slower: Vec<f64> = (0..self.nodes).map(|_| spread * normal(rng)).collect();
        let known = match speeds {
            Speeds::Estimated => estimated(&slower, rng),
            _ => vec![0.0; self.nodes],
        };
        let plan = Plan { strategy: self.strategy, seed: self.seed, ..Plan::default() };
        let number = |candidate: &Candidate| {
            Some(BuildHasherDefault::<DefaultHasher>::default().hash_one(candidate))
        };
        let mut study = Study::new(&table.space, plan, Box::new(number));
        study.tell(Observation::new(baseline.clone(), table.cost(&baseline).into()));
        let regret_of = |cost: Option<f64>| above(cost.unwrap_or(worst).min(worst), &ranked);
        let mut best = regret_of(table.cost(&baseline));
        let mut run = Run { reached: [f64::INFINITY; 2], regret: best, chosen: best };
        let mut running: Vec<(f64, usize, Candidate)> = Vec::new();
        let mut idle: Vec<usize> = (0..self.nodes).collect();
        let mut now = 0.0;
        let goes_on = |now: f64, best: f64, trials: usize| {
            now <= until && trials < MOST_TRIALS && (best > NEAR[1] || now < AT && best > 0.0)
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
            run.regret = if now <= AT { best } else { run.regret };
            let seen = |cost: f64| cost * (slower[node] - known[node] + noise * normal(rng)).exp();
            let finding: Finding = table.cost(&candidate).map(seen).into();
            study.tell(Observation::new(candidate, finding));
        }
        let chosen = remeasure::choose(&table.space, study.observations());
        run.chosen = chosen.map_or(best, |chosen| regret_of(table.cost(&chosen)));
        run
    }
}

/// What one noisy trial of the baseline on each node says of their speeds, shrunk as a random effect.
fn estimated(slower: &[f64], rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let seen: Vec<f64> = slower.iter().map(|log| log + NOISE * normal(rng)).collect();
    let middle = stats::mean(&seen).unwrap_or(0.0);
    let shrunk = APART.powi(2) / (APART.powi(2) + NOISE.powi(2));
    seen.iter().map(|log| shrunk * (log - middle)).collect()
}

/// A standard normal value.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A mean with its standard error.
fn mean(values: &[f64]) -> String {
    let mean = stats::mean(values).unwrap_or(f64::NAN);
    let error = stats::deviation(values).unwrap_or(f64::NAN) / (values.len() as f64).sqrt();
    format!("{mean:.2} ±{error:.2}")
}

/// The recorded spaces in `folder`.
fn tables(folder: &Path) -> anyhow::Result<Vec<Recorded>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    let is_table = |path: &Path| path.extension().is_some_and(|word| word == "csv");
    paths.iter().filter(|path| is_table(path)).map(|path| Recorded::read(path)).collect()
}
