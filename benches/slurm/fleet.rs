//! Fleet: six nodes whose optima differ, each of which is tuned.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wan22_tune::profile::Profile;

use crate::cluster::{Cluster, said};
use crate::cpu;
use crate::setting::setting;
use crate::truth::{Truth, tables};

/// The best number of blocks on each node.
const OPTIMA: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 6.0, 8.0];

/// Seconds at the optimum, and for each block beside it.
const BEST_S: f64 = 0.2;
const BLOCK_S: f64 = 0.04;

/// Calls once all is done.
const CALLS: usize = 5;

fn cost(optimum: f64, blocks: f64) -> f64 {
    BEST_S + BLOCK_S * (blocks - optimum).abs()
}

/// How much more a number of blocks costs than the best, as a share, where that is most.
fn worst(blocks: f64) -> f64 {
    OPTIMA.iter().map(|optimum| cost(*optimum, blocks) / BEST_S - 1.0).fold(0.0, f64::max)
}

pub fn print() -> Result<()> {
    let budget = setting("BUDGET", "30s".to_owned())?;
    let cluster = Cluster::up(OPTIMA.len(), "linuxproc");
    let tables = tables(cluster.path());
    let blocks = ("blocks", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][..], "9");
    let mut words = Vec::new();
    for (node, optimum) in OPTIMA.iter().enumerate() {
        let seconds = |words: &[&str]| cost(*optimum, words[0].parse().unwrap_or(f64::NAN));
        let truth = Truth::of(&[blocks], seconds);
        truth.write(&tables, &format!("n{}", node + 1), 1.0)?;
        words = truth.words(&tables);
    }
    let budget_word = format!("--budget={budget}");
    let call = || -> Result<[f64; 2]> {
        let fixed = ["fleet", "fleet", "--each=node", "--partition=tune", "--quiet"];
        let (started, before_s) = (Instant::now(), cpu::seconds("self")?[1]);
        let done = cluster.tuner(&fixed).arg(&budget_word).args(&words).output()?;
        ensure!(done.status.success(), "{}", said(&done));
        Ok([started.elapsed().as_secs_f64(), cpu::seconds("self")?[1] - before_s])
    };
    let jobs = || cluster.slurm("squeue", &["-h", "-t", "all"]).lines().count();
    let [wall_s, cpu_s] = call()?;
    println!(
        "{} nodes, tunes of {budget}: {wall_s:.1} s, of which the coordinator and what it called took \
         {cpu_s:.2} s of CPU, {:.2}% of one",
        OPTIMA.len(),
        100.0 * cpu_s / wall_s
    );
    let before = jobs();
    let again: Vec<[f64; 2]> = (0..CALLS).map(|_| call()).collect::<Result<_>>()?;
    for [wall_s, cpu_s] in again {
        println!("called again: {wall_s:.2} s, {cpu_s:.2} s of CPU");
    }
    println!("{} jobs more", jobs() - before);
    profiles(&cluster)
}

/// The worst regret of each profile on the members, as their own trials say it and in truth.
fn profiles(cluster: &Cluster) -> Result<()> {
    let dir = cluster.path().join("fleet");
    let found: Value = serde_json::from_slice(&fs::read(dir.join("fleet.json"))?)?;
    let chosen = Profile::read(&dir.join("profiles/fleet.json"))?;
    let chosen = chosen.values().get("blocks").context("blocks")?.to_string();
    println!("| blocks | of nodes | worst regret by their trials | in truth | `fleet.json` |");
    println!("| ---: | ---: | ---: | ---: | --- |");
    for profile in found["comparison"]["portability"]["profiles"].as_array().context("profiles")? {
        let blocks = profile["knobs"]["blocks"].to_string();
        println!(
            "| {blocks} | {} | {:.1}% | {:.1}% | {} |",
            profile["of"].as_array().map_or(0, Vec::len),
            100.0 * profile["worst_regret"].as_f64().context("worst_regret")?,
            100.0 * worst(blocks.parse()?),
            if blocks == chosen { "this one" } else { "" }
        );
    }
    Ok(())
}
