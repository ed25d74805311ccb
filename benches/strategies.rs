//! Replays every strategy over recorded spaces and prints how far from the optimum it ends. The loop and
//! its policies are a tune's own; an evaluation is a trial of the search or a repetition.
//!
//! `cargo bench --bench strategies`, with `TABLES=DIR` for a folder of tables, `SEEDS=30`,
//! `STRATEGIES=portfolio,random`, `BUDGET=120`, `EACH=1` for every table by itself. `noisy` is the
//! true regret of what is chosen after 120 evaluations with 5% noise (`NOISE=0` leaves it out).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod setting;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use strum::VariantArray;

use wan22_tune::search::Recorded;
use wan22_tune::search::{Observation, Plan, StrategyName, Study};
use wan22_tune::space::{Candidate, Space, SpaceFile};
use wan22_tune::tune::regret::{Run, above, random_draws, replay};

use setting::setting;

/// Evaluations after which regret is printed.
const AT: [usize; 4] = [30, 60, 120, 240];
/// Evaluations after which a choice is made under noise.
const NOISY_AT: usize = 120;
/// From here on the score is averaged.
const SCORED_FROM: usize = 10;

fn main() -> anyhow::Result<()> {
    let named = env::var("TABLES");
    let folder = named.as_deref().unwrap_or("results");
    let seeds = setting("SEEDS", 30)?;
    let noise = setting("NOISE", 0.05)?;
    let each = setting("EACH", 0)? == 1;
    let budget = setting("BUDGET", AT[AT.len() - 1])?;
    anyhow::ensure!(budget >= SCORED_FROM, "BUDGET={budget}: {SCORED_FROM} at the least");
    // Without a name those of our own that were measured whole: other journals are what tunes left.
    let is_wanted = |path: &Path| named.is_ok() || path.to_string_lossy().contains("/recorded-");
    let tables = tables(Path::new(folder), is_wanted)?;
    anyhow::ensure!(!tables.is_empty(), "no recorded space under {folder}: TABLES=DIR names some");
    println!("{:16} | regret at {AT:?} | share within 5% | score | noisy", "mean in %");
    for strategy in strategies()? {
        let started = Instant::now();
        let jobs: Vec<(usize, u64)> =
            (0..tables.len()).flat_map(|table| (0..seeds).map(move |seed| (table, seed))).collect();
        let run = |(table, seed): (usize, u64)| {
            let clean = replay(&tables[table], strategy, seed, budget, 0.0)?;
            let noisy = match noise > 0.0 {
                true => replay(&tables[table], strategy, seed, budget.min(NOISY_AT), noise)?.chosen,
                false => clean.chosen,
            };
            anyhow::Ok((table, clean, noisy))
        };
        let runs: anyhow::Result<Vec<(usize, Run, f64)>> = jobs.into_par_iter().map(run).collect();
        let mut by_table: BTreeMap<usize, (Vec<Run>, Vec<f64>)> = BTreeMap::new();
        for (table, clean, noisy) in runs? {
            let runs = by_table.entry(table).or_default();
            runs.0.push(clean);
            runs.1.push(noisy);
        }
        let row = |(table, runs): (&usize, &(Vec<Run>, Vec<f64>))| {
            Row::new(&tables[*table], &runs.0, &runs.1)
        };
        let rows: Vec<Row> = by_table.iter().map(row).collect();
        if each {
            for (row, table) in rows.iter().zip(&tables) {
                row.print(&table.space.name);
            }
        }
        Row::mean(&rows).print(strategy.into());
        eprintln!("  {:.1} s", started.elapsed().as_secs_f64());
    }
    proposal_times()
}

/// A made-up space of over a million candidates with conditions and constraints.
const LARGE: &str = r#"
schema = 1
name = "large"
why = "how long a proposal takes"
given = { cores = 64 }
baseline = { intra_op_threads = 1, interop = 1, preprocess_workers = 1, io_workers = 1, batch_workers = 1, tile = 128, layout = "a", memory = "a", nodes = 1, pages = "a" }
[knob]
intra_op_threads = { why = "", range = { min = 1, max = "cores" } }
interop = { why = "", values = [1, 2, 4, 8] }
preprocess_workers = { why = "", values = [1, 2, 4, 8, 12, 16] }
io_workers = { why = "", values = [1, 2, 4, 8] }
batch_workers = { why = "", values = [1, 2, 4, 8] }
tile = { why = "", values = [128, 192, 256, 384, 512] }
layout = { why = "", values = ["a", "b", "c", "d", "e"] }
memory = { why = "", values = ["a", "b", "c"] }
nodes = { why = "", values = [1, 2, 4], when = "memory == \"b\"" }
pages = { why = "", values = ["a", "b"] }
[[constraint]]
holds = "intra_op_threads + preprocess_workers + io_workers <= 2 * cores"
why = ""
[[constraint]]
holds = "intra_op_threads * batch_workers >= preprocess_workers || layout != \"c\""
why = ""
"#;

/// The models', whose times add up to the cost, and the pools', which are never waited for.
const STAGES: [(&str, f64); 8] = [
    ("text", 0.05),
    ("encode", 0.15),
    ("denoise", 0.5),
    ("decode", 0.3),
    ("read", 1e-3),
    ("preprocess", 1e-2),
    ("pack", 1e-3),
    ("write", 1e-2),
];

/// A made-up cost, with what each stage of the models took of it if asked: a model of each stage is what
/// costs the portfolio most.
fn observation(candidate: Candidate, is_staged: bool) -> Observation {
    let slope = |(knob, level): (usize, usize)| (level as f64 - knob as f64 / 3.0).powi(2);
    let cost = 10.0 + candidate.levels().enumerate().map(slope).sum::<f64>();
    let cost = Some(cost).filter(|_| candidate.level(6) != 3);
    let share = |(stage, share): (&str, f64)| Some((stage.to_owned(), share * cost?));
    let stages = STAGES.into_iter().filter(|_| is_staged).filter_map(share).collect();
    Observation { candidate, finding: cost.into(), stages }
}

/// Prints what choosing costs after 300 trials.
fn proposal_times() -> anyhow::Result<()> {
    let file = SpaceFile::parse(LARGE).map_err(anyhow::Error::msg)?;
    let space = Space::reopen(&file)?;
    println!("choosing after 300 trials, {} candidates before constraints:", space.raw_count());
    let timed = strategies()?.into_iter().filter(|name| *name != StrategyName::Grid);
    for (strategy, is_staged) in timed.flat_map(|name| [(name, false), (name, true)]) {
        let number = |candidate: &Candidate| {
            Some(candidate.levels().fold(0, |sum, level| sum * 100 + level as u64))
        };
        let plan = Plan { strategy, ..Plan::default() };
        let mut study = Study::new(&space, plan, Box::new(number));
        let mut waits: Vec<f64> = Vec::new();
        for trial in 0..330 {
            let asked = Instant::now();
            let candidate = study.ask(&[]).expect("there are millions");
            if trial >= 300 {
                waits.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            study.tell(observation(candidate, is_staged));
        }
        waits.sort_by(f64::total_cmp);
        let (middle, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        let (strategy, stages) = (<&str>::from(strategy), if is_staged { "8 stages" } else { "" });
        println!("{strategy:16} | {stages:8} | median {middle:6.2} ms | most {most:6.2} ms");
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    regret: [f64; 4],
    near: [f64; 4],
    score: f64,
    noisy: f64,
}

impl Row {
    fn new(table: &Recorded, runs: &[Run], noisy: &[f64]) -> Self {
        let count = runs.len() as f64;
        let budget = runs[0].regret.len();
        let ranked = table.ranked();
        let worst = ranked.iter().rev().find(|cost| cost.is_finite());
        let worst = worst.map_or(0.0, |worst| above(*worst, &ranked));
        let mean = |n: usize| runs.iter().map(|r| r.regret[n - 1].min(worst)).sum::<f64>() / count;
        let random = random_draws(&ranked, budget);
        let scores = (SCORED_FROM..=budget)
            .map(|n| if random[n - 1] > 1e-9 { 1.0 - mean(n) / random[n - 1] } else { 1.0 });
        let scored = budget + 1 - SCORED_FROM;
        Self {
            regret: AT.map(|n| mean(n.min(budget))),
            near: AT.map(|n| {
                runs.iter().filter(|r| r.regret[n.min(budget) - 1] <= 0.05).count() as f64 / count
            }),
            score: scores.sum::<f64>() / scored as f64,
            noisy: noisy.iter().map(|regret| regret.min(worst)).sum::<f64>() / count,
        }
    }

    fn mean(rows: &[Self]) -> Self {
        let count = rows.len() as f64;
        let over = |f: &dyn Fn(&Self) -> f64| rows.iter().map(f).sum::<f64>() / count;
        Self {
            regret: std::array::from_fn(|i| over(&|row| row.regret[i])),
            near: std::array::from_fn(|i| over(&|row| row.near[i])),
            score: over(&|row| row.score),
            noisy: over(&|row| row.noisy),
        }
    }

    fn print(&self, name: &str) {
        let cells = |values: [f64; 4]| values.map(|v| format!("{:6.1}", v * 100.0)).join(" ");
        println!(
            "{name:16} | {} | {} | {:5.2} | {:5.2}",
            cells(self.regret),
            cells(self.near),
            self.score,
            self.noisy * 100.0
        );
    }
}

fn strategies() -> anyhow::Result<Vec<StrategyName>> {
    let Ok(words) = env::var("STRATEGIES") else { return Ok(StrategyName::VARIANTS.to_vec()) };
    words.split(',').map(|word| word.parse().map_err(anyhow::Error::msg)).collect()
}

/// The tables and journals of a folder and of those in it.
fn tables(folder: &Path, wanted: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<Recorded>> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
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
