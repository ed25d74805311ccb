//! One search over several nodes of a real Slurm, which it submits itself to.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use wan22_tune::knobs::{Value, Values};
use wan22_tune::results::{Folder, Results};
use wan22_tune::trial::{Outcome, Trial};

use crate::cluster::{Cluster, JOB, TUNE, said, until};

/// Submits a tune over this many nodes; the number of its job.
fn submit(cluster: &Cluster, results: &str, nodes: &str, budget: &str) -> String {
    let mut tuner = cluster.tuner(&["--budget", budget, "--nodes", nodes, "--results", results]);
    let submitted = tuner.args(TUNE).args(["--", JOB, "{blocks=8}"]).output().unwrap();
    let text = said(&submitted);
    assert!(submitted.status.success(), "{text}");
    let job = text.split("Submitted as job ").nth(1).and_then(|rest| rest.split('.').next());
    job.unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn folder(cluster: &Cluster, results: &str) -> Option<PathBuf> {
    let folders = fs::read_dir(cluster.path().join(results)).ok()?;
    folders.flatten().map(|entry| entry.path()).find(|path| path.join("trials.csv").exists())
}

fn rows(cluster: &Cluster, results: &str) -> usize {
    let journal = folder(cluster, results).map(|folder| folder.join("trials.csv"));
    let text = journal.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    text.lines().count().saturating_sub(1)
}

/// What a job left behind, once it is over.
fn ended(cluster: &Cluster, results: &str, job: &str) -> Results {
    until("the job ends", || {
        let state = cluster.slurm("squeue", &["-h", "-t", "all", "-j", job, "-o", "%T"]);
        let state = state.trim();
        // Nothing is printed where the controller does not answer.
        let is_over = !state.is_empty() && !["PENDING", "RUNNING", "COMPLETING"].contains(&state);
        is_over.then_some(())
    });
    let log = cluster.path().join(format!("wan22-tune-{job}.log"));
    let log = fs::read_to_string(log).unwrap_or_default();
    let folder = folder(cluster, results).unwrap_or_else(|| panic!("{log}"));
    assert!(folder.join("profile.json").exists(), "{log}");
    Results::open(&Folder::new(folder)).unwrap()
}

fn nodes(trials: &[Trial]) -> BTreeSet<&str> {
    trials.iter().map(|trial| trial.node.as_str()).collect()
}

/// Every trial has a row of its own.
fn assert_whole(trials: &[Trial]) {
    let numbers: Vec<u64> = trials.iter().map(|trial| trial.number).collect();
    assert_eq!(numbers, (1..=trials.len() as u64).collect::<Vec<_>>());
}

/// How many blocks a trial of [`JOB`] has more or fewer than the fastest.
fn off(knobs: &Values) -> u64 {
    match knobs["blocks"] {
        Value::Integer(blocks) => blocks.abs_diff(3),
        _ => panic!("{knobs:?}"),
    }
}

#[test]
fn two_and_four_nodes_search_together_and_one_may_die() {
    let cluster = Cluster::up(4, "linuxproc");
    let mut trials = Vec::new();
    // The first two side by side, on three of the nodes; the third when they are over.
    let jobs = ["1", "2", "4"].map(|count| (count, submit(&cluster, count, count, "14s")));
    for ((count, job), wanted) in jobs.into_iter().zip([1, 2, 4]) {
        let results = ended(&cluster, count, &job);
        assert_eq!(nodes(&results.trials).len(), wanted);
        assert_whole(&results.trials);
        let measured = results.trials.iter().filter(|trial| trial.outcome == Outcome::Ok);
        let nearest = measured.map(|trial| off(&trial.knobs)).min().unwrap();
        // Two blocks are 40 ms; a busy node may not come to all of them.
        let best = off(&results.findings().ranking[0].knobs);
        assert!(best <= nearest + 2, "{best} blocks off, where {nearest} was measured");
        trials.push(results.trials.len());
    }
    println!("trials in 14 s on 1, 2 and 4 nodes: {trials:?}");

    let job = submit(&cluster, "killed", "n[1-4]", "25s");
    until("some trials are made", || (rows(&cluster, "killed") > 12).then_some(()));
    let before = rows(&cluster, "killed") as u64;
    cluster.kill_node(3);
    let results = ended(&cluster, "killed", &job);
    assert_whole(&results.trials);
    let lost = |trial: &&Trial| trial.detail.contains("was lost");
    assert!(results.trials.iter().filter(lost).all(|trial| trial.node == "n3"));
    // Beyond what ran at that time on the four.
    let goes_on = |trial: &&Trial| trial.number > before + 4 && trial.node != "n3";
    assert!(results.trials.iter().any(|trial| goes_on(&trial)), "the others go on");
}

/// Where cgroups keep the nodes' CPUs apart, each has other ones, of the same number and in the same
/// places: they search together, and one stands for the other in a fleet.
#[test]
fn nodes_whose_jobs_get_other_cpus_are_of_one_class() {
    let cluster = Cluster::up(2, "cgroup");
    let job = submit(&cluster, "results", "n[1-2]", "12s");
    let results = ended(&cluster, "results", &job);
    assert_eq!(nodes(&results.trials), BTreeSet::from(["n1", "n2"]));
    let mut fleet = cluster.tuner(&["fleet", "fleet", "--poll=0.5", "--each=class=0"]);
    let output = fleet.args(["--budget=8s"]).args(TUNE).args(["--", JOB, "{blocks=8}"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found = fs::read(cluster.path().join("fleet/fleet.json")).unwrap();
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    let state = |place: usize| found["nodes"][place]["state"].as_str().unwrap();
    let states = BTreeSet::from([state(0), state(1)]);
    assert_eq!(states, BTreeSet::from(["tuned", "covered"]), "{found}");
}

#[test]
fn what_is_cancelled_writes_what_it_has() {
    let cluster = Cluster::up(2, "linuxproc");
    let job = submit(&cluster, "results", "2", "10m");
    until("some trials are made", || (rows(&cluster, "results") > 8).then_some(()));
    cluster.slurm("scancel", &[&job]);
    let results = ended(&cluster, "results", &job);
    assert_whole(&results.trials);
    assert_eq!(nodes(&results.trials).len(), 2);
}
