//! How long a fleet of a thousand nodes takes its coordinator, on an engine in memory whose jobs take
//! no time: `cargo bench --no-default-features --bench fleet [NODES]`. At the end it prints the CPU time
//! of a coordinator that looks every 5 s at half an hour's tunes of as many nodes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

#[path = "setting/cpu.rs"]
mod cpu;
#[path = "../tests/harness/folders.rs"]
mod folders;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use folders::MadeUp;
use wan22_tune::fleet::engine::SubmittedJob;
use wan22_tune::fleet::{
    Coordinator, Engine, EngineJob, FleetEnd, Folder, JobState, Limits, Node, Overview, Probe,
    Scope, Step, Task, gather,
};
use wan22_tune::machine::Machine;
use wan22_tune::profile::build;
use wan22_tune::results::{self, Results};

/// Classes of nodes.
const CLASSES: usize = 20;

/// Seconds between two looks at the jobs, and those that a tune takes where it takes any.
const LOOK_S: f64 = 5.0;
const TUNE_S: f64 = 1800.0;

/// Jobs in memory.
struct InMemory {
    folder: Folder,
    nodes: usize,
    made: PathBuf,
    /// Each with the look from which on it is over.
    jobs: Vec<(SubmittedJob, usize)>,
    /// How many looks there were, and for how many a tune runs.
    looks: usize,
    tune_looks: usize,
    /// CPU seconds of what jobs do, which is no coordinator's.
    jobs_s: f64,
}

impl InMemory {
    fn new(folder: &Folder, nodes: usize, made: PathBuf, tune_looks: usize) -> Self {
        let (folder, jobs) = (folder.clone(), Vec::new());
        Self { folder, nodes, made, jobs, looks: 0, tune_looks, jobs_s: 0.0 }
    }

    fn class(name: &str) -> usize {
        name[1..].parse::<usize>().unwrap() % CLASSES
    }

    fn made(&self, node: &str) -> PathBuf {
        self.made.join(format!("c{}", Self::class(node)))
    }

    /// What a job leaves; copies, which cost what reading does.
    fn leave(&self, task: Task, node: &str) {
        if task == Task::Probe {
            let text = fs::read_to_string(self.made(node).join("machine.json")).unwrap();
            let mut machine: Machine = serde_json::from_str(&text).unwrap();
            node.clone_into(&mut machine.host);
            return self.folder.put_probe(node, &Probe { worker: None, machine }).unwrap();
        }
        let to = self.folder.results(node).join("r");
        fs::create_dir_all(&to).unwrap();
        for file in ["space.toml", "trials.csv", "machine.json", "profile.json"] {
            fs::copy(self.made(node).join(file), to.join(file)).unwrap();
        }
        let text = fs::read_to_string(to.join("machine.json")).unwrap();
        let mut machine: Machine = serde_json::from_str(&text).unwrap();
        node.clone_into(&mut machine.host);
        fs::write(to.join("machine.json"), serde_json::to_string(&machine).unwrap()).unwrap();
        let results = results::Folder::new(&to);
        let profile = build::profile(&Results::open(&results).unwrap()).unwrap();
        profile.write(&results.profile()).unwrap();
    }
}

impl Engine for InMemory {
    fn nodes(&mut self) -> Result<Vec<Node>> {
        Ok((0..self.nodes).map(|n| Node::named(format!("n{n:04}"))).collect())
    }

    fn submit(&mut self, job: &EngineJob) -> Result<String> {
        let id = self.jobs.len().to_string();
        let node = job.place[0].clone();
        let before_s = cpu::of_thread()?;
        self.leave(job.task, &node);
        self.jobs_s += cpu::of_thread()? - before_s;
        let (task, key, node) = (job.task, job.key.clone(), Some(node));
        let known = SubmittedJob { id: id.clone(), task, key, node, state: JobState::Running };
        let runs = if task == Task::Tune { self.tune_looks } else { 0 };
        self.jobs.push((known, self.looks + runs));
        Ok(id)
    }

    fn described(&self, _: &EngineJob) -> String {
        String::new()
    }

    fn jobs(&mut self) -> Result<Vec<SubmittedJob>> {
        self.looks += 1;
        let over = || JobState::Over("COMPLETED".to_owned());
        let state = |end: usize| if self.looks > end { over() } else { JobState::Running };
        let now = |(known, end): &(SubmittedJob, usize)| SubmittedJob {
            state: state(*end),
            ..known.clone()
        };
        Ok(self.jobs.iter().map(now).collect())
    }

    fn cancel(&mut self, _: &str) {}

    fn is_lasting(&self) -> bool {
        true
    }
}

fn main() {
    let nodes = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1000);
    for (name, scope) in
        [("one node of each class", Scope::Class { witnesses: 0 }), ("each node", Scope::Node)]
    {
        measure(nodes, name, scope);
    }
    watch(nodes);
}

/// The CPU time of the whole of a fleet whose every node is tuned for a while.
fn watch(nodes: usize) {
    let root = tempfile::tempdir().unwrap();
    let (made, folder) = (root.path().join("made"), Folder::new(root.path().join("fleet")));
    make(&made);
    fs::create_dir_all(folder.profiles()).unwrap();
    let mut engine = InMemory::new(&folder, nodes, made, (TUNE_S / LOOK_S) as usize);
    let patience = Duration::from_secs(60);
    let limits = Limits { scope: Scope::Node, at_once: nodes, tries: 3, patience };
    let before_s = cpu::of_thread().unwrap();
    run(&mut engine, &folder, limits);
    let spent_s = cpu::of_thread().unwrap() - before_s - engine.jobs_s;
    let share = 100.0 * spent_s / (LOOK_S * engine.looks as f64);
    println!(
        "{nodes} nodes, each tuned for {TUNE_S:.0} s (simulated), {} looks: {spent_s:.2} s of CPU, {share:.3}% of one",
        engine.looks
    );
}

/// A tune of each class.
fn make(root: &Path) {
    for class in 0..CLASSES {
        let topology = format!("package:1 [numa] l3:{} core:{} pu:1", 1 + class % 4, 2 + class);
        let made = MadeUp::new(&format!("c{class}"), &topology).write(root);
        let space = made.join("space.toml");
        let text =
            fs::read_to_string(&space).unwrap().replace("[tune]\n", "[tune]\nended = \"budget\"\n");
        fs::write(space, text).unwrap();
        fs::write(made.join("profile.json"), "").unwrap();
    }
}

fn measure(nodes: usize, name: &str, scope: Scope) {
    let root = tempfile::tempdir().unwrap();
    let (made, dir) = (root.path().join("made"), root.path().join("fleet"));
    make(&made);
    let folder = Folder::new(&dir);
    fs::create_dir_all(folder.profiles()).unwrap();
    let mut engine = InMemory::new(&folder, nodes, made, 0);
    let patience = Duration::from_secs(60);
    let limits = Limits { scope, at_once: nodes, tries: 3, patience };
    let started = Instant::now();
    run(&mut engine, &folder, limits);
    let all_s = started.elapsed().as_secs_f64();
    let jobs = engine.jobs.len();
    println!(
        "{nodes} nodes of {CLASSES} classes, {name}: {jobs} jobs started; all their files made and judged \
         in {all_s:.2} s"
    );
    for call in ["called again", "and again"] {
        let (tunes, [planned_s, all_s]) = gather_again(&mut engine, &folder, limits);
        let more = engine.jobs.len() - jobs;
        println!(
            "  {call}: {more} jobs more; read and planned {planned_s:.2} s, with gathering {all_s:.2} s, \
             {tunes} tunes compared"
        );
    }
}

/// A call once all is done: how many tunes it compares, and the seconds until all is planned and until
/// all is gathered.
fn gather_again(engine: &mut InMemory, folder: &Folder, limits: Limits) -> (usize, [f64; 2]) {
    let started = Instant::now();
    let mut coordinator = Coordinator::new(engine, folder, limits).unwrap();
    assert_eq!(coordinator.step(Duration::ZERO).unwrap(), Step::Over(FleetEnd::All));
    let planned = started.elapsed();
    let (records, barred) = (coordinator.records(), coordinator.barred());
    let overview = Overview::of(records, limits.scope, barred, coordinator.jobs());
    let gathered = gather::gather(folder, records, limits.scope, &overview).unwrap();
    let times = [planned, started.elapsed()].map(|time| time.as_secs_f64());
    (gathered.comparison.members.len(), times)
}

fn run(engine: &mut InMemory, folder: &Folder, limits: Limits) {
    let mut coordinator = Coordinator::new(engine, folder, limits).unwrap();
    for look in 0.. {
        if let Step::Over(ended) = coordinator.step(Duration::from_secs(look)).unwrap() {
            return assert_eq!(ended, FleetEnd::All);
        }
    }
}
