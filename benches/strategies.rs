//! Replays every strategy over recorded spaces and prints how far from the optimum it ends. The loop and
//! its policies are a tune's own; an evaluation is a trial of the search or a repetition.
//!
//! `cargo bench --bench strategies`, with `TABLES=DIR` for a folder of tables, `SEEDS=30` from `SEED=0`
//! on, `STRATEGIES=portfolio,random`, `BUDGET=120`, `EACH=1` for every table by itself. `share` is regret
//! over that of random draws, `noisy` the true regret of what is chosen after 120 evaluations with 5%
//! noise (`NOISE=0` leaves it out). Standard errors, over the seeds, stand behind `±`.
//!
//! `WARM=3` gives each run as many earlier searches of 120 evaluations each. They were made on the
//! other tables of the same family (`conv_A100`: `conv`) or, where there is none, on a table that is
//! made of this one: other effects of every level and of every pair of levels are added to its log
//! costs, with `APART=0.75` (0 to 10) of their deviation. `APART=10` misleads.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod setting;

use std::collections::BTreeMap;
use std::env;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use strum::VariantArray;

use wan22_tune::knobs::Values;
use wan22_tune::search::Recorded;
use wan22_tune::search::{Observation, Plan, StrategyName, Study, Transfer};
use wan22_tune::space::{Candidate, Space, SpaceFile};
use wan22_tune::stats;
use wan22_tune::tune::regret::{Run, above, random_draws, replay};

use setting::setting;

/// Evaluations after which regret is printed.
const AT: [usize; 4] = [30, 60, 120, 240];
/// Evaluations after which a choice is made under noise.
const NOISY_AT: usize = 120;
/// Evaluations of an earlier search, and how alike its machine is taken to be.
const SEARCHED: usize = 120;
const ALIKE: f64 = 0.6;
/// From here on the score is averaged.
const SCORED_FROM: usize = 10;

fn main() -> anyhow::Result<()> {
    let named = env::var("TABLES");
    let folder = named.as_deref().unwrap_or("results");
    let (seed, seeds): (u64, u64) = (setting("SEED", 0)?, setting("SEEDS", 30)?);
    let noise = setting("NOISE", 0.05)?;
    let each = setting("EACH", 0)? == 1;
    let (warm, apart): (usize, f64) = (setting("WARM", 0)?, setting("APART", 0.75)?);
    let budget = setting("BUDGET", AT[AT.len() - 1])?;
    anyhow::ensure!(budget >= SCORED_FROM, "BUDGET={budget}: {SCORED_FROM} at the least");
    // Without a name those of our own that were measured whole: other journals are what tunes left.
    let is_wanted = |path: &Path| named.is_ok() || path.to_string_lossy().contains("/recorded-");
    let tables = tables(Path::new(folder), is_wanted)?;
    anyhow::ensure!(!tables.is_empty(), "no recorded space under {folder}: TABLES=DIR names some");
    let regret = format!("regret at {AT:?}");
    let titles = "within 5%                   | share               | score | noisy";
    println!("{:16} | {regret:47} | {titles}", "mean in %");
    for strategy in strategies()? {
        let started = Instant::now();
        let jobs: Vec<(usize, u64)> = (0..tables.len())
            .flat_map(|table| (seed..seed + seeds).map(move |seed| (table, seed)))
            .collect();
        let run = |(table, seed): (usize, u64)| {
            let transfers = sources(&tables, table, seed, (warm, apart))?;
            let plan = Plan { strategy, seed, transfers, ..Plan::default() };
            let clean = replay(&tables[table], plan.clone(), budget, 0.0)?;
            let noisy = match noise > 0.0 {
                true => replay(&tables[table], plan, budget.min(NOISY_AT), noise)?.chosen,
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

struct Row {
    regret: [Mean; 4],
    near: [f64; 4],
    share: [f64; 4],
    score: f64,
    noisy: Mean,
}

/// A mean and its standard error.
#[derive(Clone, Copy)]
struct Mean {
    mean: f64,
    error: f64,
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = stats::deviation(values).unwrap_or(f64::NAN);
        Self { mean, error: deviation / count.sqrt() }
    }

    /// The mean of independent ones.
    fn over(means: impl Iterator<Item = Self> + Clone) -> Self {
        let count = means.clone().count() as f64;
        let mean = means.clone().map(|one| one.mean).sum::<f64>() / count;
        Self { mean, error: means.map(|one| one.error.powi(2)).sum::<f64>().sqrt() / count }
    }

    fn cell(self, digits: usize) -> String {
        let Self { mean, error } = self;
        format!("{:5.digits$} ±{:<3.digits$}", mean * 100.0, error * 100.0)
    }
}

impl Row {
    fn new(table: &Recorded, runs: &[Run], noisy: &[f64]) -> Self {
        let budget = runs[0].regret.len();
        let ranked = table.ranked();
        let worst = ranked.iter().rev().find(|cost| cost.is_finite());
        let worst = worst.map_or(0.0, |worst| above(*worst, &ranked));
        let regret = |n: usize| {
            Mean::of(&runs.iter().map(|r| r.regret[n - 1].min(worst)).collect::<Vec<_>>())
        };
        let noisy: Vec<f64> = noisy.iter().map(|regret| regret.min(worst)).collect();
        let random = random_draws(&ranked, budget);
        let share = |n: usize| match random[n - 1] > 1e-9 {
            true => regret(n).mean / random[n - 1],
            false => 0.0,
        };
        let scores = (SCORED_FROM..=budget).map(|n| 1.0 - share(n));
        let scored = budget + 1 - SCORED_FROM;
        Self {
            regret: AT.map(|n| regret(n.min(budget))),
            share: AT.map(|n| share(n.min(budget))),
            near: AT.map(|n| {
                runs.iter().filter(|r| r.regret[n.min(budget) - 1] <= 0.05).count() as f64
                    / runs.len() as f64
            }),
            score: scores.sum::<f64>() / scored as f64,
            noisy: Mean::of(&noisy),
        }
    }

    fn mean(rows: &[Self]) -> Self {
        let count = rows.len() as f64;
        let over = |f: &dyn Fn(&Self) -> f64| rows.iter().map(f).sum::<f64>() / count;
        Self {
            regret: std::array::from_fn(|i| Mean::over(rows.iter().map(move |row| row.regret[i]))),
            near: std::array::from_fn(|i| over(&|row| row.near[i])),
            share: std::array::from_fn(|i| over(&|row| row.share[i])),
            score: over(&|row| row.score),
            noisy: Mean::over(rows.iter().map(|row| row.noisy)),
        }
    }

    fn print(&self, name: &str) {
        let regret = self.regret.map(|regret| regret.cell(1)).join(" ");
        let near = self.near.map(|near| format!("{:6.1}", near * 100.0)).join(" ");
        let share = self.share.map(|share| format!("{share:4.2}")).join(" ");
        let (score, noisy) = (self.score, self.noisy.cell(2));
        println!("{name:16} | {regret:47} | {near} | {share} | {score:5.2} | {noisy}");
    }
}

fn strategies() -> anyhow::Result<Vec<StrategyName>> {
    let Ok(words) = env::var("STRATEGIES") else { return Ok(StrategyName::VARIANTS.to_vec()) };
    words.split(',').map(|word| word.parse().map_err(anyhow::Error::msg)).collect()
}

/// What `count` earlier searches found, for a run on the table at `place`.
fn sources(
    tables: &[Recorded],
    place: usize,
    seed: u64,
    (count, apart): (usize, f64),
) -> anyhow::Result<Vec<Transfer>> {
    let here = &tables[place];
    let family_of = |table: &Recorded| table.space.name.split('_').next().map(str::to_owned);
    let mut relatives: Vec<&Recorded> =
        tables.iter().filter(|one| family_of(one) == family_of(here)).collect();
    relatives.retain(|one| one.space.name != here.space.name);
    let source = |number: usize| {
        // Other seeds than those of the runs.
        let other = 1_000_000 + 1_000 * number as u64 + seed;
        if relatives.is_empty() {
            return searched(&made(here, apart, other), &here.space, other);
        }
        searched(relatives[(number + seed as usize) % relatives.len()], &here.space, other)
    };
    (0..count).map(source).collect()
}

/// What the default finds on `table`, for a search of `space`.
fn searched(table: &Recorded, space: &Space, seed: u64) -> anyhow::Result<Transfer> {
    let plan = Plan { seed, ..Plan::default() };
    let number = |candidate: &Candidate| {
        Some(BuildHasherDefault::<DefaultHasher>::default().hash_one(candidate))
    };
    let mut study = Study::new(&table.space, plan, Box::new(number));
    for _ in 0..SEARCHED {
        let Some(candidate) = study.ask(&[]) else { break };
        let finding = table.cost(&candidate).into();
        study.tell(Observation::new(candidate, finding));
    }
    let named = |one: &Observation| {
        let values = table.space.named(&one.candidate);
        let values: Values = values.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        (values, one.clone())
    };
    let measured: Vec<(Values, Observation)> = study.observations().iter().map(named).collect();
    let measured = measured.iter().map(|(values, one)| (values, one.clone()));
    Ok(Transfer::of(space, ALIKE, 1.0, measured))
}

/// A table of the same candidates with other costs.
fn made(table: &Recorded, apart: f64, seed: u64) -> Recorded {
    let costs = table.ranked().into_iter().filter(|cost| cost.is_finite() && *cost > 0.0);
    let logs: Vec<f64> = costs.map(f64::ln).collect();
    let knobs = table.space.knobs.len();
    let scale = stats::deviation(&logs).unwrap_or(0.0) * apart
        / ((knobs * (knobs + 1)) as f64 / 2.0).sqrt();
    let effect = |candidate: &Candidate| -> f64 {
        let levels: Vec<usize> = candidate.levels().collect();
        let pairs = (0..knobs).flat_map(|one| (one..knobs).map(move |other| (one, other)));
        pairs.map(|(one, other)| drawn(seed, [one, levels[one], other, levels[other]])).sum()
    };
    let mut made = table.clone();
    for (candidate, costs) in &mut made.costs {
        let factor = (scale * effect(candidate)).exp();
        costs.iter_mut().for_each(|cost| *cost *= factor);
    }
    made
}

/// An even draw of variance 1 that is a function of `key`.
fn drawn(seed: u64, key: [usize; 4]) -> f64 {
    let key = key.into_iter().fold(seed, |hash, part| {
        (hash ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    });
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(key);
    (rng.random::<f64>() - 0.5) * 12_f64.sqrt()
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
