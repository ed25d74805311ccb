//! Kills: an agent, a node or the tuner of a search over three nodes, at random moments.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::results::Folder;
use wan22_tune::space::Ended;

use crate::batch::{self, TUNER};
use crate::cluster::{Cluster, until};
use crate::setting::setting;
use crate::truth::{Truth, quoted, tables};

/// Searches side by side, and the nodes of each.
const SEARCHES: usize = 3;
const NODES: usize = 3;

/// Seconds of a tune, and of what it is given after its end.
const BUDGET_S: u64 = 20;
const MORE_S: u64 = 10;

/// Who is killed, in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Agent,
    Node,
    Tuner,
}

const VICTIMS: [Victim; 3] = [Victim::Agent, Victim::Node, Victim::Tuner];

/// What became of a tune.
struct End {
    victim: Victim,
    rows_lost: usize,
    is_readable: bool,
    /// Whether it came to its end by itself, and whether it did so at last.
    by_itself: bool,
    at_last: bool,
}

pub fn print() -> Result<()> {
    let (kills, seed): (usize, u64) = (setting("KILLS", 50)?, setting("SEED", 1)?);
    let cluster = Cluster::up(SEARCHES * NODES, "linuxproc");
    let (truth, tables) = (Truth::pipeline(), tables(cluster.path()));
    for node in 1..=SEARCHES * NODES {
        truth.write(&tables, &format!("n{node}"), 1.0)?;
    }
    let words = quoted(&truth.words(&tables));
    let ends: Vec<End> = thread::scope(|scope| {
        let search = |place: usize| {
            let (cluster, words) = (&cluster, &words);
            let own = (place..kills).step_by(SEARCHES);
            scope.spawn(move || {
                own.map(|number| kill(cluster, place, number, seed, words)).collect::<Vec<End>>()
            })
        };
        let searches: Vec<_> = (0..SEARCHES).map(search).collect();
        searches.into_iter().flat_map(|search| search.join().expect("a search is made")).collect()
    });
    println!("tunes of {BUDGET_S} s on {NODES} nodes, seed {seed}");
    println!("| killed | moments | rows lost | unreadable | ended by themselves | went on at last |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for victim in VICTIMS {
        let of: Vec<&End> = ends.iter().filter(|end| end.victim == victim).collect();
        let count = |is: fn(&End) -> bool| of.iter().filter(|end| is(end)).count();
        println!(
            "| {victim:?} | {} | {} | {} | {} | {} |",
            of.len(),
            of.iter().map(|end| end.rows_lost).sum::<usize>(),
            count(|end| !end.is_readable),
            count(|end| end.by_itself),
            count(|end| end.at_last)
        );
    }
    Ok(())
}

/// Kills at a random moment of a tune, again where it came too late to meet anybody.
fn kill(cluster: &Cluster, place: usize, number: usize, seed: u64, words: &str) -> End {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed ^ ((number as u64 + 1) << 32));
    for attempt in 0.. {
        let name = format!("t{number}-{attempt}");
        if let Some(end) = killed(cluster, place, (number, &name), rng, words) {
            return end;
        }
    }
    unreachable!("a moment meets somebody");
}

fn killed(
    cluster: &Cluster,
    place: usize,
    (number, name): (usize, &str),
    rng: &mut impl Rng,
    words: &str,
) -> Option<End> {
    let victim = VICTIMS[number / SEARCHES % VICTIMS.len()];
    let nodes: Vec<usize> = (1..=NODES).map(|node| place * NODES + node).collect();
    let tune = format!(
        "--budget {BUDGET_S}s --nodes {NODES} --seed {number} --quiet --results {name} {words}"
    );
    let mut job = batch::submit(cluster, &nodes, &tune);
    batch::begun(cluster, &job);
    thread::sleep(Duration::from_secs_f64(rng.random_range(0.0..BUDGET_S as f64)));
    let folder = batch::folder(cluster, name);
    let before = folder.as_ref().map(batch::rows).unwrap_or_default();
    let node = nodes[rng.random_range(0..NODES)];
    let is_met = !batch::is_over(cluster, &job) && strike(cluster, victim, node, nodes[0]);
    if victim == Victim::Node && is_met {
        thread::sleep(Duration::from_secs(2));
        cluster.start_node(node);
    }
    batch::ended(cluster, &job);
    if !is_met {
        return None;
    }
    let by_itself = batch::folder(cluster, name).is_some_and(|folder| is_done(&folder));
    for _ in 0..3 {
        let folder = batch::folder(cluster, name);
        if folder.as_ref().is_some_and(is_done) {
            break;
        }
        free(cluster, &nodes);
        // What was cut before its first trial begins anew.
        let begun = folder.filter(|folder| !batch::rows(folder).is_empty());
        let again = begun.filter(|folder| batch::rows(folder).lines().count() > 1);
        let again = again.map(|folder| {
            format!("resume {} --wait --budget {MORE_S}s --quiet", folder.path().display())
        });
        if again.is_none() {
            let _ = fs::remove_dir_all(cluster.path().join(name));
        }
        job = batch::submit(cluster, &nodes, again.as_deref().unwrap_or(&tune));
        batch::ended(cluster, &job);
    }
    let end = end(cluster, victim, (&before, by_itself), name);
    if end.rows_lost > 0 || !end.is_readable || !end.at_last {
        println!("{name}, {victim:?} on n{node}: {}", batch::log(cluster, &job));
    }
    Some(end)
}

fn end(cluster: &Cluster, victim: Victim, (before, by_itself): (&str, bool), name: &str) -> End {
    let Some(folder) = batch::folder(cluster, name) else {
        let (rows_lost, is_readable) = (before.lines().count(), false);
        return End { victim, rows_lost, is_readable, by_itself, at_last: false };
    };
    let now = batch::rows(&folder);
    let kept: std::collections::BTreeSet<&str> = now.lines().collect();
    End {
        victim,
        rows_lost: before.lines().filter(|row| !kept.contains(row)).count(),
        is_readable: batch::whole(&folder).is_some(),
        by_itself,
        at_last: is_done(&folder),
    }
}

/// Whether the tune came to its end and wrote what came out.
fn is_done(folder: &Folder) -> bool {
    let ended = batch::whole(folder).and_then(|results| results.tune.ended);
    ended.is_some_and(|ended| ended != Ended::Stopped) && folder.profile().exists()
}

/// Kills somebody; whether there was anybody.
fn strike(cluster: &Cluster, victim: Victim, node: usize, first: usize) -> bool {
    match victim {
        Victim::Node => {
            cluster.kill_node(node);
            true
        }
        Victim::Agent => kill_programs(cluster, node, |verb| verb == "agent"),
        Victim::Tuner => {
            kill_programs(cluster, first, |verb| verb == "resume" || verb == "--budget")
        }
    }
}

/// Kills the tuners in a node's namespaces whose first word is wanted.
fn kill_programs(cluster: &Cluster, node: usize, is_wanted: impl Fn(&str) -> bool) -> bool {
    let space = cluster.on(node, &["readlink", "/proc/self/ns/mnt"]).output().unwrap();
    let space = String::from_utf8_lossy(&space.stdout).trim().to_owned();
    let is_victim = |pid: &str| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let is_tuner = words.next().is_some_and(|program| program == TUNER);
        is_tuner
            && words.next().is_some_and(|verb| is_wanted(&verb))
            && fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|own| own.as_os_str() == &*space)
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let victims: Vec<String> = all
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && is_victim(name))
        .collect();
    for pid in &victims {
        let _ = Command::new("kill").args(["-KILL", pid]).status();
    }
    !victims.is_empty()
}

/// Waits until these nodes wait for jobs.
fn free(cluster: &Cluster, nodes: &[usize]) {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    let names = names.join(",");
    until("the nodes are idle", || {
        let idle = cluster.slurm("sinfo", &["-h", "-N", "-p", "tune", "-t", "idle", "-n", &names]);
        (idle.lines().count() == nodes.len()).then_some(())
    });
}
