//! Faults: nodes of one fleet, each with its own misfortune; no finished trial is lost in any.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::cluster::{Cluster, JOB, Running, TUNE, journal, said, trials, until};

/// Seconds of each tune.
const BUDGET: &str = "--budget=10s";

/// What journals held when something happened to their tune.
#[derive(Default)]
struct Kept(BTreeMap<String, String>);

impl Kept {
    /// Waits for some trials of a node, and keeps the rows that are whole.
    fn keep(&mut self, fleet: &Path, node: &str) {
        let rows = until(&format!("two trials of {node}"), || {
            journal(fleet, node).filter(|rows| trials(rows) >= 2)
        });
        let whole = rows.rfind('\n').map_or("", |end| &rows[..=end]);
        self.0.insert(node.to_owned(), whole.to_owned());
    }

    fn is_lost(&self, fleet: &Path) -> Vec<&String> {
        let is_lost = |(node, rows): &(&String, &String)| {
            !journal(fleet, node).is_some_and(|now| now.starts_with(rows.as_str()))
        };
        self.0.iter().filter(is_lost).map(|(node, _)| node).collect()
    }
}

/// The numbers of trials are those from 1 without a gap, and none crashed.
fn is_sound(rows: &str) {
    let mut reader = csv::Reader::from_reader(rows.as_bytes());
    let column = |name: &str| {
        let header = rows.lines().next().unwrap();
        header.split(',').position(|title| title == name).unwrap()
    };
    let (number, outcome) = (column("trial"), column("outcome"));
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record[number], (place + 1).to_string(), "{rows}");
        assert!(["ok", "interrupted"].contains(&&record[outcome]), "{rows}");
    }
}

fn all_faults(tracked: &str) {
    let cluster = Cluster::up(8, tracked);
    let dir = cluster.path().join("fleet");
    let mut kept = Kept::default();
    // Two nodes of one image, and one of which somebody knows that its disk is bad.
    let clone = cluster.path().join("slurm/machine-id.n1");
    let bind = ["mount", "--bind", clone.to_str().unwrap(), "/etc/machine-id"];
    assert!(cluster.on(5, &bind).status().unwrap().success());
    cluster.slurm("scontrol", &["update", "nodename=n2", "state=drain", "reason=bad disk"]);
    // A node that is busy, and one on which somebody measures outside of Slurm.
    let busy = ["--exclusive", "--nodelist=n6", "--output=/dev/null", "--wrap=sleep 15"];
    cluster.slurm("sbatch", &busy);
    let tuner = env!("CARGO_BIN_EXE_wan22-tune");
    let other = [tuner, "--budget=12s", "--quiet", "--results=other", "--", "sleep", "0.3"];
    let mut other = Running::start(cluster.on(7, &other));
    until("the other tune", || cluster.path().join("other").exists().then_some(()));
    // A node that can't write what its jobs print.
    fs::create_dir_all(dir.join("log")).unwrap();
    let log = dir.join("log");
    let empty = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", log.to_str().unwrap()];
    assert!(cluster.on(8, &empty).status().unwrap().success());

    let words = [BUDGET, "--patience=20s"];
    let first = Running::start(cluster.fleet("fleet", &words));
    kept.keep(&dir, "n1");
    // A second coordinator is refused; the first one is killed, and its place taken.
    let second = cluster.fleet("fleet", &words).output().unwrap();
    assert_eq!(second.status.code(), Some(75), "{}", said(&second));
    first.kill();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let third = Running::start(cluster.fleet("fleet", &words));
    // A node dies, another is wanted by somebody else, a job is cancelled: all in mid-trial.
    kept.keep(&dir, "n3");
    cluster.kill_node(3);
    kept.keep(&dir, "n4");
    let urgent = ["--partition=urgent", "--exclusive", "--nodelist=n4", "--output=/dev/null"];
    cluster.slurm("sbatch", &[&urgent[..], &["--wrap=sleep 3"]].concat());
    kept.keep(&dir, "n5");
    if let Some(job) = cluster.job_on("n5") {
        cluster.slurm("scancel", &[&job]);
    }
    // The controller goes away for a while.
    cluster.kill_controller();
    std::thread::sleep(std::time::Duration::from_secs(5));
    cluster.start_controller();
    cluster.start_node(3);
    let third = third.end();
    assert_eq!(third.status.code(), Some(6), "{}", said(&third));
    let shown = said(&third);
    assert!(shown.contains("n2 failed: unreachable: ReqNodeNotAvail"), "{shown}");
    assert!(shown.contains("(bad disk"), "{shown}");
    assert!(
        shown.contains("n8 failed: its program did not start (FAILED, JobLaunchFailure"),
        "{shown}"
    );
    for node in ["n1", "n3", "n4", "n5", "n6", "n7"] {
        assert!(
            shown.lines().any(|line| line.starts_with(node) && line.contains(" tuned")),
            "{shown}"
        );
    }
    assert_eq!(kept.is_lost(&dir), Vec::<&String>::new());

    // What was mended is tuned by the same command; a last one finds nothing to do.
    cluster.slurm("scontrol", &["update", "nodename=n2", "state=resume"]);
    assert!(cluster.on(8, &["umount", log.to_str().unwrap()]).status().unwrap().success());
    let again = cluster.fleet("fleet", &words).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    let jobs = cluster.slurm("squeue", &["-h", "-t", "all"]);
    let started = Instant::now();
    let last = cluster.fleet("fleet", &words).output().unwrap();
    println!(
        "{tracked}: a call with nothing left to do took {:.2} s",
        started.elapsed().as_secs_f64()
    );
    assert_eq!(last.status.code(), Some(0), "{}", said(&last));
    assert_eq!(cluster.slurm("squeue", &["-h", "-t", "all"]), jobs);
    assert_eq!(kept.is_lost(&dir), Vec::<&String>::new());
    (1..=8).for_each(|node| is_sound(&journal(&dir, &format!("n{node}")).unwrap()));
    gathered(&cluster, &dir);
    drop(other.0.take().map(|mut child| child.wait()));
}

/// What was gathered is the truth, and can be used as it is.
fn gathered(cluster: &Cluster, dir: &Path) {
    let value: Value = serde_json::from_slice(&fs::read(dir.join("fleet.json")).unwrap()).unwrap();
    let runs = value["comparison"]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    let identities: std::collections::BTreeSet<&str> = runs
        .iter()
        .map(|run| run["machine"]["fingerprint"]["identity"].as_str().unwrap())
        .collect();
    assert_eq!(identities.len(), 8, "n1 and n5 are of one image, and two machines");
    let proven = runs.iter().filter(|run| run["proven"] == true);
    let best = proven.filter(|run| run["profile"]["blocks"] == 3).count();
    println!("{best} of 8 nodes found and proved the truth");
    assert!(dir.join("report.html").exists() && dir.join("profiles/fleet.json").exists());
    let launched = cluster
        .on(3, &[env!("CARGO_BIN_EXE_wan22-tune"), "exec", "--auto", "--folder"])
        .arg(dir.join("profiles"))
        .args(["--", "echo", "{blocks}"])
        .output()
        .unwrap();
    assert!(said(&launched).contains("same machine"), "{}", said(&launched));
}

#[test]
fn faults_where_signals_reach_every_process() {
    all_faults("linuxproc");
}

#[test]
fn faults_where_cgroups_hold_the_processes() {
    all_faults("cgroup");
}

/// A job that has a minute for a longer tune: it is told to end, asks to be started again, and goes on.
#[test]
fn a_time_limit_is_no_end() {
    let cluster = Cluster::up(1, "linuxproc");
    let dir = cluster.path().join("fleet");
    // Slurm looks at limits every half minute: it tells of them up to that much early or late.
    let limits = ["--budget=95s", "--sbatch=--time=1 --signal=TERM@5"];
    let mut command = cluster.tuner(&["fleet", "fleet", "--poll=0.5", "--partition=tune"]);
    // There is always something left to measure.
    command.args(limits).args(["--cold", "--", "sleep", "0.4"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = journal(&dir, "n1").unwrap();
    is_sound(&rows);
    let folder = fs::read_dir(dir.join("nodes/n1/results")).unwrap().next().unwrap().unwrap();
    let space = fs::read_to_string(folder.path().join("space.toml")).unwrap();
    assert!(space.contains("[[tune.resumed]]"), "it was started again:\n{space}");
}

#[test]
fn one_node_of_a_class_stands_for_the_others() {
    let cluster = Cluster::up(3, "linuxproc");
    let planned =
        cluster.tuner(&["fleet", "fleet", "--dry-run", BUDGET]).args(TUNE).output().unwrap();
    let planned = said(&planned);
    assert!(planned.contains("sbatch --parsable --job-name=wan22:"), "{planned}");
    assert!(planned.contains("at most 3 tunes of 10 s"), "{planned}");
    assert!(!cluster.path().join("fleet").exists(), "a dry run leaves nothing");
    let left = cluster
        .tuner(&["fleet", "fleet", "--poll=0.5", "--partition=tune", BUDGET, "--detach"])
        .args(TUNE)
        .args(["--", JOB, "{blocks=8}"])
        .output()
        .unwrap();
    assert_eq!(left.status.code(), Some(0), "{}", said(&left));
    let rows = fs::read_to_string(cluster.path().join("fleet/fleet.csv")).unwrap();
    assert!(rows.contains("tune submitted"), "all is started that is not behind others: {rows}");
    let status = cluster.tuner(&["fleet", "fleet", "--status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    // The folder alone says what was asked.
    let output = cluster.tuner(&["fleet", "fleet", "--poll=0.5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let shown = said(&output);
    let count = |state: &str| {
        shown.lines().filter(|line| line.split_whitespace().nth(2) == Some(state)).count()
    };
    let found = fs::read(cluster.path().join("fleet/fleet.json")).unwrap();
    let found: Value = serde_json::from_slice(&found).unwrap();
    // There is nothing to verify where the machine was too busy to prove a gain.
    let proven = usize::from(found["comparison"]["runs"][0]["proven"] == true);
    let counts = [count("tuned"), count("verified"), count("covered")];
    assert_eq!(counts, [1, proven, 2 - proven], "{shown}");
    let other = cluster.fleet("fleet", &["--budget=99s"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
}

/// A command that nobody can run is a mistake everywhere: it is said once.
#[test]
fn a_mistake_is_told_by_the_first_node() {
    let cluster = Cluster::up(2, "linuxproc");
    let mut command: Command =
        cluster.tuner(&["fleet", "fleet", "--poll=0.5", "--each=node", BUDGET]);
    let output = command.args(["--images=nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--images"), "{}", said(&output));
}

/// `KILLS=50` for more.
#[test]
fn a_coordinator_that_is_killed_starts_nothing_twice() {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8);
    let cluster = Cluster::up(3, "linuxproc");
    let dir = cluster.path().join("fleet");
    // One that is asked to end leaves its jobs to themselves, and says that it is not done.
    let asked = Running::start(cluster.fleet("fleet", &[BUDGET]));
    until("its first job", || {
        fs::read_to_string(dir.join("fleet.csv")).ok()?.contains("submitted").then_some(())
    });
    asked.tell("INT");
    let asked = asked.end();
    assert_eq!(asked.status.code(), Some(6), "{}", said(&asked));
    assert!(said(&asked).contains("The jobs run on."), "{}", said(&asked));
    for kill in 0..kills {
        let running = Running::start(cluster.fleet("fleet", &[BUDGET]));
        // Anywhere from its start to some looks at the jobs.
        std::thread::sleep(std::time::Duration::from_millis(37 * (kill * 29 % 41)));
        running.kill();
    }
    // A call of Slurm's that the last one made may still hold its place.
    let last = until("its turn", || {
        let last = cluster.fleet("fleet", &[BUDGET]).output().unwrap();
        (last.status.code() != Some(75)).then_some(last)
    });
    assert_eq!(last.status.code(), Some(0), "{}", said(&last));
    let names = cluster.slurm("squeue", &["-h", "-t", "all", "-o", "%j"]);
    let jobs =
        |task: &str| names.lines().filter(|name| name.contains(&format!(":{task}:"))).count();
    println!("{kills} kills: {} probes and {} tunes of 3 nodes", jobs("probe"), jobs("tune"));
    assert_eq!((jobs("probe"), jobs("tune")), (3, 3), "{names}");
    (1..=3).for_each(|node| is_sound(&journal(&dir, &format!("n{node}")).unwrap()));
    let left = cluster.slurm("squeue", &["-h", "-t", "pending,running"]);
    assert_eq!(left, "", "no job is left over");
}

/// A job that takes no time even where the worker was built for tests.
#[cfg(feature = "torch")]
const SMALL: &str = r#"
schema = 1
name = "i2v"
why = "Small pictures."
model = "ti2v-5b"
stages = ["read", "preprocess", "pack"]

[[size]]
clips = 4
width = 128
height = 128
frames = 1
window_width = 128
window_height = 128
window_frames = 1
"#;

/// The real worker, through the same jobs of Slurm.
#[cfg(feature = "torch")]
#[test]
fn the_real_worker_is_tuned() {
    let cluster = Cluster::up(1, "linuxproc");
    fs::write(cluster.path().join("small.toml"), SMALL).unwrap();
    let words = ["fleet", "fleet", "--poll=0.5", "--partition=tune", "--budget=30s"];
    let mut command = cluster.tuner(&words);
    let output = command.args(["--workload=small.toml", "--cold"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let dir = cluster.path().join("fleet");
    is_sound(&journal(&dir, "n1").unwrap());
    let probe = fs::read_to_string(dir.join("nodes/n1/probe.json")).unwrap();
    assert!(probe.contains("libtorch"), "the probe knows the worker");
}
