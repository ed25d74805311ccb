//! One search over several equal nodes, replayed over recorded spaces: how much sooner many nodes come
//! near the optimum than one.
//!
//! `TABLES=DIR cargo bench --no-default-features --bench nodes`, DIR holding recorded spaces. `SEEDS=6`
//! from `SEED=0` on, `NODES=1,2,4,8,16,32` (none where it is empty), `STRATEGY=portfolio`.
//!
//! Time is in trials of the table's median candidate. A trial takes 0.35 of that for starting and 0.65
//! times what it costs over the median, 2.3 at the most, where it is cut; one that fails takes 0.35. A
//! node is given the next candidate as soon as its last one ends. The baseline, a candidate that
//! succeeded, by chance, is known before.
//!
//! - **time**: the median over tables and seeds of the time until something within 5% (2%) of the
//!   optimum was measured, and the first number of nodes' over it, with its 95% interval over seeds.
//! - **regret**: the mean regret after `AT=30` of one node's trials; a search that is near the optimum
//!   ends there.
//! - **speeds** (`SPEEDS=8`, nodes; 0 leaves it out): the true regret of what is chosen after 15 with 5%
//!   noise, on equal nodes, on nodes whose speeds differ by 10%, and on those with their speeds
//!   estimated from one trial of the baseline each; and how much more that is than on equal nodes.
#![allow(clippy::print_stdout, reason = "it prints for those who run it")]

mod search;
#[path = "../setting/mod.rs"]
mod setting;

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use wan22_tune::search::{Recorded, StrategyName};
use wan22_tune::stats;

use search::{Run, Search, Speeds};
use setting::setting;

/// Time until which nodes of different speeds search.
const NOISY_AT: f64 = 15.0;

/// Draws of seeds, with replacement, that an interval is of.
const DRAWS: usize = 2000;

/// The searches of each number of nodes, and of each kind of speeds.
struct Bench {
    tables: Vec<Recorded>,
    seeds: std::ops::Range<u64>,
    strategy: StrategyName,
}

fn main() -> anyhow::Result<()> {
    let folder = setting("TABLES", "results".to_owned())?;
    let (seed, seeds): (u64, u64) = (setting("SEED", 0)?, setting("SEEDS", 6)?);
    let nodes = setting("NODES", "1,2,4,8,16,32".to_owned())?;
    let nodes = nodes.split(',').filter(|count| !count.is_empty()).map(str::parse);
    let nodes: Vec<usize> = nodes.collect::<Result<_, _>>()?;
    let strategy = setting("STRATEGY", StrategyName::Portfolio)?;
    let (speeds, at) = (setting("SPEEDS", 8)?, setting("AT", 30.0)?);
    let tables = tables(Path::new(&folder))?;
    anyhow::ensure!(!tables.is_empty(), "no recorded space under {folder}: TABLES=DIR names some");
    println!("{} tables, {seeds} seeds from {seed} on, {strategy}", tables.len());
    let bench = Bench { tables, seeds: seed..seed + seeds, strategy };
    if !nodes.is_empty() {
        bench.print_times(&nodes, at);
    }
    if speeds > 0 {
        bench.print_speeds(speeds);
    }
    Ok(())
}

impl Bench {
    /// A run of each seed, of the first table first.
    fn runs<T: Send>(&self, run: impl Fn(Search<'_>) -> T + Sync, nodes: usize) -> Vec<T> {
        let jobs = self.tables.iter().flat_map(|table| self.seeds.clone().map(move |s| (table, s)));
        let jobs: Vec<(&Recorded, u64)> = jobs.collect();
        let strategy = self.strategy;
        let run = |(table, seed)| run(Search { table, seed, strategy, nodes });
        jobs.into_par_iter().map(run).collect()
    }

    fn print_times(&self, nodes: &[usize], at: f64) {
        println!("nodes | time to 5%, one node's over it | to 2% | mean regret in % after {at}");
        let mut first: Option<[Vec<f64>; 2]> = None;
        for &count in nodes {
            let runs: Vec<Run> = self.runs(|search| search.run(Speeds::Exact, at), count);
            let reached =
                [0, 1].map(|near| runs.iter().map(|run| run.reached[near]).collect::<Vec<f64>>());
            let one = first.get_or_insert_with(|| reached.clone());
            let [five, two] = [0, 1].map(|near| {
                let middle = stats::median(&reached[near]).unwrap_or(f64::NAN);
                let [ratio, low, high] = self.ratio(&one[near], &reached[near]);
                format!("{middle:5.1} {ratio:5.1} [{low:.1}, {high:.1}]")
            });
            let regrets: Vec<f64> = runs.iter().map(|run| 100.0 * run.regret).collect();
            println!("{count:5} | {five} | {two} | {}", mean(&regrets));
        }
    }

    /// The median of `one` over that of `many`, and where the middle 95% lie of what other seeds might
    /// have said.
    fn ratio(&self, one: &[f64], many: &[f64]) -> [f64; 3] {
        let seeds = one.len() / self.tables.len();
        let of = |drawn: &[usize]| {
            let [one, many] = [one, many].map(|times| {
                let tables = times.chunks(seeds);
                let times = tables.flat_map(|table| drawn.iter().map(|&seed| table[seed]));
                stats::median(times).unwrap_or(f64::NAN)
            });
            one / many
        };
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
        let mut ratios: Vec<f64> = (0..DRAWS)
            .map(|_| of(&(0..seeds).map(|_| rng.random_range(0..seeds)).collect::<Vec<_>>()))
            .collect();
        ratios.sort_by(f64::total_cmp);
        [of(&(0..seeds).collect::<Vec<_>>()), ratios[DRAWS / 40], ratios[DRAWS - 1 - DRAWS / 40]]
    }

    fn print_speeds(&self, nodes: usize) {
        println!("{nodes} nodes, noise of 5%: true regret in % of what is chosen after {NOISY_AT}");
        let mut equal: Option<Vec<f64>> = None;
        for (name, speeds) in [
            ("equal nodes", Speeds::Equal),
            ("10% apart", Speeds::Apart),
            ("10% apart, speeds from one baseline each", Speeds::Estimated),
        ] {
            let chosen = |search: Search<'_>| 100.0 * search.run(speeds, NOISY_AT).chosen;
            let regrets: Vec<f64> = self.runs(chosen, nodes);
            let equal = equal.get_or_insert_with(|| regrets.clone());
            let more: Vec<f64> =
                regrets.iter().zip(&*equal).map(|(one, equal)| one - equal).collect();
            println!("{name}: {}, {} more", mean(&regrets), mean(&more));
        }
    }
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
