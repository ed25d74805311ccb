//! Signals: what a scheduler does to a tune that knows nothing of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::{Cluster, JOB, TUNE, journal, trials, until};

/// The folder of a plain tune's only results.
fn results(dir: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(dir.join("nodes/n1/results")).ok()?.next()?.ok()?.path())
}

/// Starts a tune as a batch job, or as a step of one, sends it what `send` says in mid-trial, and
/// looks at what it leaves.
fn after(cluster: &Cluster, name: &str, is_step: bool, send: impl Fn(&str)) {
    let dir = cluster.path().join(name);
    let step = if is_step { "srun --cpu-bind=none " } else { "" };
    let tuner = env!("CARGO_BIN_EXE_wan22-tune");
    // A fleet's folders, so that its journal is found by the same words.
    let results_dir = dir.join("nodes/n1/results");
    let tune = TUNE.join(" ");
    let script = format!(
        "--wrap=exec {step}{tuner} --budget 60s --quiet --results {} {tune} -- {JOB} '{{blocks=8}}'",
        results_dir.display()
    );
    let log = format!("--output={}", cluster.path().join(format!("{name}.log")).display());
    let id = cluster.slurm("sbatch", &["--parsable", "--exclusive", &log, &script]);
    let id = id.trim();
    until("two trials", || journal(&dir, "n1").filter(|rows| trials(rows) >= 2));
    send(id);
    let state = || cluster.slurm("squeue", &["-h", "-t", "all", "-j", id, "-o", "%T"]);
    until("its end", || {
        let state = state();
        let state = state.trim();
        let is_over = !state.is_empty() && !["RUNNING", "COMPLETING", "PENDING"].contains(&state);
        is_over.then_some(())
    });
    let folder = results(&dir).unwrap();
    until("its profile", || folder.join("profile.json").exists().then_some(()));
    let rows = journal(&dir, "n1").unwrap();
    assert!(!rows.contains(",crashed,"), "{name}: {rows}");
    let space = fs::read_to_string(folder.join("space.toml")).unwrap();
    assert!(space.contains("ended = \"stopped\""), "{name}: {space}");
}

/// Each on a node, side by side.
fn all_signals(tracked: &str) {
    let cluster = &Cluster::up(8, tracked);
    let send = |words: &[&str], id: &str| {
        cluster.slurm("scancel", &[words, &[id]].concat());
    };
    let send = &send;
    std::thread::scope(|scope| {
        scope.spawn(move || after(cluster, "batch", false, |id| send(&[], id)));
        scope.spawn(move || after(cluster, "step", true, |id| send(&[], id)));
        for signal in ["TERM", "USR1", "USR2", "HUP", "INT"] {
            scope.spawn(move || {
                let (name, flag) = (format!("full-{signal}"), format!("--signal={signal}"));
                after(cluster, &name, false, |id| send(&["--full", &flag], id));
            });
        }
        scope.spawn(move || {
            after(cluster, "twice", false, |id| {
                send(&["--full", "--signal=TERM"], id);
                send(&["--full", "--signal=TERM"], id);
            });
        });
    });
}

#[test]
fn signals_that_reach_every_process() {
    all_signals("linuxproc");
}

#[test]
fn signals_where_cgroups_hold_the_processes() {
    all_signals("cgroup");
}
