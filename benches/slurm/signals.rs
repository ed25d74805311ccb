//! Signals: SIGTERM to every process of a tune's job at random moments, and then `resume`.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::profile::Profile;
use wan22_tune::results::Folder;

use crate::batch;
use crate::cluster::{Cluster, JOB, TUNE};
use crate::setting::setting;

/// Tunes side by side, each on a node of its own.
const NODES: usize = 6;

/// Seconds of a tune, of which the moment is one, and of what it is given afterwards.
const BUDGET_S: u64 = 20;

/// What one stop came to.
struct Stop {
    /// The phase of the trial that ran.
    phase: String,
    crashed: usize,
    rows_lost: usize,
    is_readable: bool,
    /// Whether a gain was proven when it had stopped, and after it went on.
    gains: [bool; 2],
}

pub fn print() -> Result<()> {
    let (stops, seed): (usize, u64) = (setting("STOPS", 100)?, setting("SEED", 1)?);
    println!(
        "tunes of {BUDGET_S} s, stopped at random moments, and {BUDGET_S} s more, seed {seed}"
    );
    println!(
        "| tracked by | stops | in phases | rows `crashed` | rows lost | unreadable | gains before, \
         lost | gains at last |"
    );
    println!("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for (first, tracked) in [(0, "linuxproc"), (1, "cgroup")] {
        let own: Vec<usize> = (first..stops).step_by(2).collect();
        let cluster = Cluster::up(NODES, tracked);
        let stopped: Vec<Stop> = thread::scope(|scope| {
            let node = |place: usize| {
                let (cluster, own) = (&cluster, own.iter().skip(place).step_by(NODES));
                let stop = move |number: &usize| stop(cluster, place + 1, *number, seed);
                scope.spawn(move || own.map(stop).collect::<Vec<Stop>>())
            };
            let nodes: Vec<_> = (0..NODES).map(node).collect();
            nodes.into_iter().flat_map(|node| node.join().expect("tunes are made")).collect()
        });
        line(tracked, &stopped);
    }
    Ok(())
}

fn line(tracked: &str, stops: &[Stop]) {
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    stops.iter().for_each(|stop| *phases.entry(&stop.phase).or_default() += 1);
    let phases: Vec<String> = phases.iter().map(|(phase, n)| format!("{phase} {n}")).collect();
    let count = |is: fn(&Stop) -> bool| stops.iter().filter(|stop| is(stop)).count();
    println!(
        "| {tracked} | {} | {} | {} | {} | {} | {}, {} | {} |",
        stops.len(),
        phases.join(", "),
        stops.iter().map(|stop| stop.crashed).sum::<usize>(),
        stops.iter().map(|stop| stop.rows_lost).sum::<usize>(),
        count(|stop| !stop.is_readable),
        count(|stop| stop.gains[0]),
        count(|stop| stop.gains[0] && !stop.gains[1]),
        count(|stop| stop.gains[1])
    );
}

/// Stops a tune at a random moment, another one where it was over by then.
fn stop(cluster: &Cluster, node: usize, number: usize, seed: u64) -> Stop {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed ^ ((number as u64 + 1) << 32));
    for attempt in 0.. {
        let moment = Duration::from_secs_f64(rng.random_range(0.0..BUDGET_S as f64));
        if let Some(stop) = stopped(cluster, node, &format!("t{number}-{attempt}"), moment) {
            return stop;
        }
    }
    unreachable!("some moment is in the tune");
}

fn stopped(cluster: &Cluster, node: usize, name: &str, moment: Duration) -> Option<Stop> {
    let tune = format!(
        "--budget {BUDGET_S}s --quiet --results {name} {} -- {JOB} '{{blocks=8}}'",
        TUNE.join(" ")
    );
    let job = batch::submit(cluster, &[node], &tune);
    batch::begun(cluster, &job);
    thread::sleep(moment);
    let folder = batch::folder(cluster, name);
    let before = folder.as_ref().map(batch::rows).unwrap_or_default();
    let phase = folder.as_ref().map_or("before", phase);
    let is_late = folder.as_ref().is_some_and(|folder| folder.profile().exists());
    if !is_late {
        cluster.slurm("scancel", &["--full", "--signal=TERM", &job]);
    }
    batch::ended(cluster, &job);
    if is_late {
        return None;
    }
    let gain = batch::folder(cluster, name).as_ref().is_some_and(is_gain);
    let job = go_on(cluster, node, name, &tune);
    let stop = found(cluster, name, (phase, &before, gain));
    if stop.crashed + stop.rows_lost > 0 || !stop.is_readable || !stop.gains[1] {
        println!("{name}, {phase}, stopped after {moment:?}: {}", batch::log(cluster, &job));
    }
    Some(stop)
}

/// Goes on with the tune, from its start where it was cut before its first trial; the job's number.
fn go_on(cluster: &Cluster, node: usize, name: &str, tune: &str) -> String {
    let begun = batch::folder(cluster, name);
    let begun = begun.filter(|folder| batch::rows(folder).lines().count() > 1);
    let again = begun
        .map(|folder| format!("resume {} --budget {BUDGET_S}s --quiet", folder.path().display()));
    if again.is_none() {
        let _ = std::fs::remove_dir_all(cluster.path().join(name));
    }
    let job = batch::submit(cluster, &[node], again.as_deref().unwrap_or(tune));
    batch::ended(cluster, &job);
    job
}

/// What is left of a tune that went on.
fn found(cluster: &Cluster, name: &str, (phase, before, gain): (&str, &str, bool)) -> Stop {
    let folder = batch::folder(cluster, name).unwrap_or_else(|| Folder::new(cluster.path()));
    let rows = batch::rows(&folder);
    let kept: BTreeSet<&str> = rows.lines().collect();
    Stop {
        phase: phase.to_owned(),
        crashed: rows.matches(",crashed,").count(),
        rows_lost: before.lines().filter(|row| !kept.contains(row)).count(),
        is_readable: batch::whole(&folder).is_some(),
        gains: [gain, is_gain(&folder)],
    }
}

/// The phase of the trial under way.
fn phase(folder: &Folder) -> &'static str {
    let note = std::fs::read_to_string(folder.path().join(".running.json")).unwrap_or_default();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap_or_default();
    let known = ["calibration", "baseline", "search", "repeat", "sentinel", "confirmation"];
    known.into_iter().find(|phase| note["phase"] == *phase).unwrap_or("between")
}

fn is_gain(folder: &Folder) -> bool {
    Profile::read(&folder.profile()).is_ok_and(|profile| profile.proof().is_gain())
}
