//! How far a tune's word can be trusted: whole tunes of simulated machines whose truth is known.
//!
//! `cargo bench --bench trust` prints four tables or a fifth. `TABLES=scenarios,nothing,coverage,power` picks
//! some, `RUNS=200` is the tunes of each line, `SEED=1` that of the first of them, and `STRATEGY`
//! is `portfolio` for scenarios and `random` for the others.
//!
//! - **scenarios**: the worker's trials, with noise that is drawn from a recorded journal: how much
//!   longer than the fastest one each process of the same settings took, and how much each
//!   repetition in a process differs from its middle one. `BUDGET=60m`;
//!   `NOISE=results/FOLDER/trials.csv` for the journal.
//! - **nothing**: a command that costs the same whatever its settings, under each kind of noise.
//! - **nodes** (only where it is named): a command on several nodes, `NODES=2,4,8`, whose speeds differ
//!   by `OFFSET=0.05`, and on which a candidate's cost differs by `INTERACTION=0.02` beside.
//! - **coverage** and **power**: a command that is faster by a known share, under normal noise.
//!
//! The tuner's own session searches and confirms; only the trials are made up.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod command;
mod end;
mod kind;
mod nodes;
mod recorded;
mod session;
#[path = "../setting/mod.rs"]
mod setting;
mod table;
mod worker;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::runner::Repetitions;
use wan22_tune::search::StrategyName;
use wan22_tune::tune::budget;

use end::End;
use recorded::Noise;
use session::{all, compete, space};
use setting::setting;
use worker::{Simulated, truth};

/// What a simulated machine does to a tune.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// How much slower it is at the end, as a share.
    drift: f64,
    /// Whether candidates differ at all.
    differs: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "nothing to find", drift: 0.0, differs: false },
    Scenario { name: "steady machine", drift: 0.0, differs: true },
    Scenario { name: "20% linear drift", drift: 0.2, differs: true },
];

fn main() -> Result<()> {
    let (runs, seed) = (setting("RUNS", 200)?, setting("SEED", 1)?);
    let tables = setting("TABLES", "scenarios,nothing,coverage,power".to_owned())?;
    for table in tables.split(',') {
        match table {
            "scenarios" => scenarios(runs, seed)?,
            "nothing" => table::nothing(runs, seed)?,
            "coverage" => table::coverage(runs, seed)?,
            "power" => table::power(runs, seed)?,
            "nodes" => nodes::nodes(runs, seed)?,
            _ => anyhow::bail!("TABLES={tables}: no table `{table}`"),
        }
    }
    Ok(())
}

fn scenarios(runs: u64, seed: u64) -> Result<()> {
    let total = setting("BUDGET", "60m".to_owned())?;
    let total = budget::parse(&total).map_err(anyhow::Error::msg)?;
    let strategy = setting("STRATEGY", StrategyName::Portfolio)?;
    let recorded: PathBuf = setting("NOISE", recorded::newest_journal()?)?;
    let noise = Noise::recorded(&recorded)?;
    println!("noise of {}: {noise}", recorded.display());
    println!(
        "{runs} tunes a scenario from seed {seed}, {} min each, {strategy}",
        total.as_secs() / 60
    );
    for scenario in SCENARIOS {
        let ends = all(runs, |run| tune(scenario, &noise, seed + run, total, strategy))?;
        end::report(scenario, &ends);
    }
    Ok(())
}

fn tune(
    scenario: Scenario,
    noise: &Noise,
    seed: u64,
    total: Duration,
    strategy: StrategyName,
) -> Result<End> {
    let space = space()?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let times = truth(&space, scenario.differs, &mut rng);
    let baseline = space.values(&space.baseline());
    let (drift, total_s) = (scenario.drift, total.as_secs_f64());
    let runner = Simulated { noise, times, baseline, drift, total_s, rng: RefCell::new(rng) };
    let trials = compete(&runner.runner(), Repetitions::USUAL, total, (strategy, seed))?;
    Ok(end::end(&runner, &trials))
}
