//! Kills: an agent, a node or the tuner of a search over three nodes, at random moments.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::results::Folder;
use wan22_tune::space::TuneEnd;

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

/// How often it is gone on with.
const TRIES: usize = 3;

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
    table(&ends);
    Ok(())
}

fn table(ends: &[End]) {
    println!(
        "| killed | moments | rows lost | unreadable | ended by themselves | went on at last |"
    );
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
}

/// Kills at a random moment of a tune, again where it came too late to meet anybody.
fn kill(cluster: &Cluster, place: usize, number: usize, seed: u64, words: &str) -> End {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed ^ ((number as u64 + 1) << 32));
    let nodes: Vec<usize> = (1..=NODES).map(|node| place * NODES + node).collect();
    let victim = VICTIMS[number / SEARCHES % VICTIMS.len()];
    let met = (0..).find_map(|attempt| {
        let name = format!("t{number}-{attempt}");
        let node = nodes[rng.random_range(0..NODES)];
        let tune = format!(
            "--budget {BUDGET_S}s --nodes {NODES} --seed {number} --quiet --results {name} {words}"
        );
        let moment = Moment { cluster, nodes: nodes.clone(), victim, node, name, tune };
        moment.end(rng.random_range(0.0..BUDGET_S as f64))
    });
    met.expect("a moment meets somebody")
}

/// One moment of one tune.
struct Moment<'c> {
    cluster: &'c Cluster,
    nodes: Vec<usize>,
    victim: Victim,
    node: usize,
    name: String,
    /// The tune's words.
    tune: String,
}

impl Moment<'_> {
    /// What becomes of the tune that meets it after these seconds; nothing where nobody was met.
    fn end(&self, after_s: f64) -> Option<End> {
        let job = batch::submit(self.cluster, &self.nodes, &self.tune);
        batch::begun(self.cluster, &job);
        thread::sleep(Duration::from_secs_f64(after_s));
        let before = self.folder().as_ref().map(batch::rows).unwrap_or_default();
        let is_met = !batch::is_over(self.cluster, &job) && self.strike();
        batch::ended(self.cluster, &job);
        if !is_met {
            return None;
        }
        let by_itself = self.is_done();
        let last = (0..TRIES).take_while(|_| !self.is_done()).map(|_| self.go_on()).last();
        let end = self.found(&before, by_itself);
        if end.rows_lost > 0 || !end.is_readable || !end.at_last {
            let said = batch::log(self.cluster, last.as_ref().unwrap_or(&job));
            println!(
                "{}, {:?} of n{} after {after_s} s: {said}",
                self.name, self.victim, self.node
            );
        }
        Some(end)
    }

    fn folder(&self) -> Option<Folder> {
        batch::folder(self.cluster, &self.name)
    }

    /// Kills somebody; whether there was anybody.
    fn strike(&self) -> bool {
        let (cluster, is_tuner) =
            (self.cluster, |verb: &str| ["resume", "--budget"].contains(&verb));
        match self.victim {
            Victim::Agent => kill_programs(cluster, self.node, |verb| verb == "agent"),
            Victim::Tuner => kill_programs(cluster, self.nodes[0], is_tuner),
            Victim::Node => {
                cluster.kill_node(self.node);
                thread::sleep(Duration::from_secs(2));
                cluster.start_node(self.node);
                true
            }
        }
    }

    /// Goes on with the tune, from its start where it was cut before its first trial; the job's number.
    fn go_on(&self) -> String {
        free(self.cluster, &self.nodes);
        let begun = self.folder().filter(|folder| batch::rows(folder).lines().count() > 1);
        let again = begun.map(|folder| {
            format!("resume {} --wait --budget {MORE_S}s --quiet", folder.path().display())
        });
        if again.is_none() {
            let _ = fs::remove_dir_all(self.cluster.path().join(&self.name));
        }
        let job = batch::submit(self.cluster, &self.nodes, again.as_ref().unwrap_or(&self.tune));
        batch::ended(self.cluster, &job);
        job
    }

    /// Whether the tune came to its end and wrote what came out.
    fn is_done(&self) -> bool {
        self.folder().is_some_and(|folder| {
            let ended = batch::whole(&folder).and_then(|results| results.tune.ended);
            ended.is_some_and(|ended| ended != TuneEnd::Stopped) && folder.profile().exists()
        })
    }

    fn found(&self, before: &str, by_itself: bool) -> End {
        let folder = self.folder();
        let now = folder.as_ref().map(batch::rows).unwrap_or_default();
        let kept: BTreeSet<&str> = now.lines().collect();
        End {
            victim: self.victim,
            rows_lost: before.lines().filter(|row| !kept.contains(row)).count(),
            is_readable: folder.is_some_and(|folder| batch::whole(&folder).is_some()),
            by_itself,
            at_last: self.is_done(),
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
            && fs::read_link(format!("/proc/{pid}/ns/mnt"))
                .is_ok_and(|own| own.as_os_str() == &*space)
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
