//! Replays strategies over recorded spaces and prints how far from the optimum they end. The loop and
//! its policies are a tune's own; an evaluation is a trial of the search or a repetition.
//!
//! `cargo bench --bench strategies`, with `TABLES=DIR` for a folder of tables (`DIR:DIR` for two),
//! `SEEDS=30` seeds, `STRATEGIES=portfolio,random`, `BUDGET=240`, `EACH=1` for every table by itself. Tables
//! whose names begin with the same word are a family, which has a line of its own. `share` is regret over that
//! of as many random draws: 1 is no better, 0 the optimum. `noisy` is the true regret under 5% noise (`NOISE=0`
//! leaves it out) after 120 evaluations: of the best candidate that was measured, of the best of those that were
//! measured again, and of the one that is chosen. What the first loses to the regret after 120 evaluations without
//! noise is the search's, what the second loses to the first the finalists', and the rest is the last choice's.
//! Standard errors, over the seeds, stand behind `±`.
//!
//! Constants are chosen by the seeds from 0 on. `REPORT=1` takes seeds that none was ever chosen by.
//!
//! `WARM=cold,1,3,misled` replays each run with this many earlier searches of 120 evaluations each and prints
//! how much more each regret is than under the first. They were made on other tables of the family in turn or,
//! where there is none (`*`), on a table that is made of this one: other effects of every level and of every
//! pair of levels are added to its log costs, with 0.75 of its deviation. `misled` makes the table with 10
//! times its deviation.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod proposals;
mod row;
#[path = "../setting/mod.rs"]
mod setting;
mod sources;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use strum::VariantArray;

use wan22_tune::search::{Plan, Recorded, StrategyName};
use wan22_tune::tune::regret::{ReplayedSearch, replay};

use row::{Row, TITLES, more};
use setting::setting;
use sources::{Searches, Warm};

/// Evaluations after which regret is printed.
const AT: [usize; 4] = [30, 60, 120, 240];
/// Evaluations after which a choice is made under noise.
const NOISY_AT: usize = 120;
/// The first of the seeds that no constant was chosen by.
const REPORTED_FROM: u64 = 10_000;

/// What all replays share.
struct Bench {
    tables: Vec<Recorded>,
    seeds: std::ops::Range<u64>,
    budget: usize,
    noise: f64,
    /// Whether every table has its line.
    each: bool,
    searches: Searches,
}

/// One run without noise and one with it.
struct Pair {
    clean: ReplayedSearch,
    noisy: ReplayedSearch,
}

fn main() -> anyhow::Result<()> {
    let named = env::var("TABLES");
    let folders = named.as_deref().unwrap_or("results");
    let reported = if setting("REPORT", 0)? == 1 { REPORTED_FROM } else { 0 };
    let (seed, seeds): (u64, u64) = (setting("SEED", reported)?, setting("SEEDS", 30)?);
    // Without a name those of our own that were measured whole: other journals are what tunes left.
    let is_wanted = |path: &Path| named.is_ok() || path.to_string_lossy().contains("/recorded-");
    let tables = tables(folders, is_wanted)?;
    anyhow::ensure!(!tables.is_empty(), "no recorded space under {folders}: TABLES=DIR names some");
    let budget = setting("BUDGET", AT[AT.len() - 1])?;
    anyhow::ensure!(
        budget >= row::SCORED_FROM,
        "BUDGET={budget}: {} at the least",
        row::SCORED_FROM
    );
    let (noise, each) = (setting("NOISE", 0.05)?, setting("EACH", 0)? == 1);
    let searches = Searches::default();
    let bench = Bench { tables, seeds: seed..seed + seeds, budget, noise, each, searches };
    let warm: Vec<Warm> = setting("WARM", "cold".to_owned())?
        .split(',')
        .map(str::parse)
        .collect::<anyhow::Result<_>>()?;
    println!("{} tables, seeds {seed} to {}; means in %", bench.tables.len(), seed + seeds - 1);
    for strategy in strategies()? {
        let mut first: Option<Vec<Vec<Pair>>> = None;
        for &warm in &warm {
            let started = Instant::now();
            let runs = bench.runs(strategy, warm)?;
            bench.print(strategy, warm, &runs);
            if let Some(first) = &first {
                more(&bench.tables, first, &runs);
            }
            first.get_or_insert(runs);
            eprintln!("  {:.1} s", started.elapsed().as_secs_f64());
        }
    }
    if setting("PROPOSALS", 1)? == 1 { proposals::times(strategies()?) } else { Ok(()) }
}

impl Bench {
    /// The runs of each table, by seed.
    fn runs(&self, strategy: StrategyName, warm: Warm) -> anyhow::Result<Vec<Vec<Pair>>> {
        let places = 0..self.tables.len();
        let jobs: Vec<(usize, u64)> = places
            .clone()
            .flat_map(|table| self.seeds.clone().map(move |seed| (table, seed)))
            .collect();
        let run = |(place, seed): (usize, u64)| {
            let transfers = self.searches.before(&self.tables, place, seed, warm);
            let plan = Plan { strategy, seed, transfers, ..Plan::default() };
            let table = &self.tables[place];
            let clean = replay(table, plan.clone(), self.budget, 0.0)?;
            let noisy = match self.noise > 0.0 {
                true => replay(table, plan, self.budget.min(NOISY_AT), self.noise)?,
                false => clean.clone(),
            };
            anyhow::Ok((place, Pair { clean, noisy }))
        };
        let mut runs: Vec<Vec<Pair>> = places.map(|_| Vec::new()).collect();
        let found: anyhow::Result<Vec<(usize, Pair)>> = jobs.into_par_iter().map(run).collect();
        found?.into_iter().for_each(|(place, pair)| runs[place].push(pair));
        Ok(runs)
    }

    fn print(&self, strategy: StrategyName, warm: Warm, runs: &[Vec<Pair>]) {
        println!("\n{strategy}, {warm}\n{TITLES}");
        let mut families: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
        for (table, runs) in self.tables.iter().zip(runs) {
            let row = Row::new(table, runs);
            if self.each {
                let made = warm.is_made(&self.tables, table);
                row.print(&format!("{}{}", table.space.name, if made { "*" } else { "" }));
            }
            families.entry(sources::family(table)).or_default().push(row);
        }
        for (family, rows) in families.iter().filter(|(_, rows)| rows.len() > 1) {
            Row::mean(&rows.iter()).print(&format!("{family} ({})", rows.len()));
        }
        Row::mean(&families.values().flatten()).print("all");
    }
}

fn strategies() -> anyhow::Result<Vec<StrategyName>> {
    let Ok(words) = env::var("STRATEGIES") else { return Ok(StrategyName::VARIANTS.to_vec()) };
    words.split(',').map(|word| word.parse().map_err(anyhow::Error::msg)).collect()
}

/// The tables and journals of folders and of those in them.
fn tables(folders: &str, wanted: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<Recorded>> {
    let mut paths = Vec::new();
    folders.split(':').try_for_each(|folder| list(Path::new(folder), &mut paths))?;
    paths.retain(|path| wanted(path));
    paths.sort();
    paths.iter().map(|path| Recorded::read(path)).collect()
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, paths)?;
        } else if path.extension().is_some_and(|end| end == "csv") {
            paths.push(path);
        }
    }
    Ok(())
}
