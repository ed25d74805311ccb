//! Figures of tunes on a real Slurm of several nodes on this host, of jobs that sleep, whose truth is
//! known. Needs root and Slurm's programs, as `make slurm-test` does.
//!
//! `cargo bench --no-default-features --bench slurm -- scaling kills signals fleet agents`, or some of
//! them; all choices left to chance are decided by `SEED=1`.
//!
//! - **scaling**: one search on one, two and four nodes beside each other, of `SEEDS=5` seeds and
//!   `BUDGET=60s` each: trials, and the true regret of what was found and of what is shipped.
//! - **kills**: an agent, a whole node or the tuner is killed at `KILLS=50` random moments of tunes on
//!   three nodes each: rows lost, journals that can't be read, tunes that did not go on.
//! - **signals**: SIGTERM to every process of a job at `STOPS=100` random moments, half of them under
//!   each of Slurm's ways of tracking processes, and then `resume`: rows that say `crashed`, rows and
//!   gains lost.
//! - **fleet**: six nodes whose optima differ: what a call costs when all is done, what watching costs,
//!   and the worst regret of `profiles/fleet.json` beside each other profile's.
//! - **agents**: `NODES=64` agents on this machine: CPU time of their tuner in `BUDGET=5m`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod agents;
mod batch;
#[allow(dead_code, reason = "the tests need all of it")]
#[path = "../../tests/slurm/cluster.rs"]
mod cluster;
#[path = "../setting/cpu.rs"]
mod cpu;
mod fleet;
mod kills;
mod scaling;
#[path = "../setting/mod.rs"]
mod setting;
mod signals;
mod truth;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = words.iter().filter(|word| !word.starts_with('-'));
    for word in asked {
        match word.as_str() {
            "scaling" => scaling::print()?,
            "kills" => kills::print()?,
            "signals" => signals::print()?,
            "fleet" => fleet::print()?,
            "agents" => agents::print()?,
            other => anyhow::bail!("{other}: none of scaling, kills, signals, fleet, agents"),
        }
    }
    Ok(())
}
