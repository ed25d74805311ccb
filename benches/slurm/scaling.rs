//! Scaling: one search on one, two and four nodes at the same time.

use anyhow::{Context, Result};
use wan22_tune::profile::Profile;
use wan22_tune::stats;
use wan22_tune::trial::Outcome;

use crate::batch;
use crate::cluster::Cluster;
use crate::setting::setting;
use crate::truth::{Truth, quoted, tables};

/// The nodes of each search, which run side by side, so that all find the host alike.
const SEARCHES: [&[usize]; 3] = [&[1], &[2, 3], &[4, 5, 6, 7]];

/// How many times as long everything takes on each node; of each search about 1 in the mean.
const FACTORS: [f64; 7] = [1.0, 1.04, 0.96, 1.08, 0.94, 1.04, 0.95];

/// What one search came to.
struct Found {
    trials: f64,
    /// True regret of the best by its own ranking, and of what is shipped, which is the baseline where
    /// nothing is proven.
    regret: f64,
    shipped: f64,
}

pub fn print() -> Result<()> {
    let (seed, seeds): (u64, u64) = (setting("SEED", 1)?, setting("SEEDS", 5)?);
    let budget = setting("BUDGET", "60s".to_owned())?;
    let cluster = Cluster::up(FACTORS.len(), "linuxproc");
    let (truth, tables) = (Truth::pipeline(), tables(cluster.path()));
    for (node, factor) in FACTORS.iter().enumerate() {
        truth.write(&tables, &format!("n{}", node + 1), *factor)?;
    }
    println!(
        "{seeds} seeds from {seed} on, {budget} each: trials that succeeded, and true regret in %"
    );
    println!("| seed | nodes | trials | of the best found | of what is shipped |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    let mut all: [Vec<Found>; 3] = Default::default();
    for seed in seed..seed + seeds {
        let jobs = SEARCHES.map(|nodes| {
            let (count, words) = (nodes.len(), quoted(&truth.words(&tables)));
            let name = format!("{seed}-{count}");
            let words = format!(
                "--budget {budget} --nodes {count} --seed {seed} --quiet --results {name} {words}"
            );
            (batch::submit(&cluster, nodes, &words), name)
        });
        for (place, (job, name)) in jobs.iter().enumerate() {
            batch::ended(&cluster, job);
            let found = found(&cluster, &truth, name).with_context(|| batch::log(&cluster, job))?;
            println!(
                "| {seed} | {} | {} | {:.1} | {:.1} |",
                SEARCHES[place].len(),
                found.trials,
                found.regret,
                found.shipped
            );
            all[place].push(found);
        }
    }
    summary(&all);
    Ok(())
}

fn found(cluster: &Cluster, truth: &Truth, name: &str) -> Result<Found> {
    let folder = batch::folder(cluster, name).context("no results")?;
    let results = batch::whole(&folder).context("its journal is not whole")?;
    let is_ok = |trial: &&wan22_tune::trial::Trial| trial.outcome == Outcome::Ok;
    let findings = results.findings();
    let best = findings.ranking.first().context("nothing was measured")?;
    Ok(Found {
        trials: results.trials.iter().filter(is_ok).count() as f64,
        regret: 100.0 * truth.regret(&best.knobs)?,
        shipped: 100.0 * truth.regret(&Profile::read(&folder.profile())?.values())?,
    })
}

fn summary(all: &[Vec<Found>; 3]) {
    let middle = |values: Vec<f64>| stats::median(&values).unwrap_or(f64::NAN);
    for (found, nodes) in all.iter().zip(SEARCHES) {
        let over = found.iter().zip(&all[0]).map(|(many, one)| many.trials / one.trials);
        println!(
            "{} nodes: {:.2} times the trials of one; median regret {:.1}%, of what is shipped {:.1}%",
            nodes.len(),
            middle(over.collect()),
            middle(found.iter().map(|found| found.regret).collect()),
            middle(found.iter().map(|found| found.shipped).collect())
        );
    }
}
