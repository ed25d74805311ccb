//! The folder of a fleet, which is all that is known of it: what was asked, and of each node what its
//! jobs left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Node;
use crate::io::digest::digest;
use crate::io::lock::Lock;
use crate::io::{atomic_write, input};
use crate::machine::{Limits, Machine, threads};
use crate::profile::Profile;
use crate::runner::nodes::is_name;
use crate::space::{SpaceFile, TuneEnd};

/// The largest file of a node: a description of a machine of thousands of CPUs takes a few MiB.
const LARGEST_BYTES: u64 = 64 << 20;

/// The folder of a fleet.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// What a probe says of its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The worker's version and that of its libtorch, where the job needs it.
    pub worker: Option<String>,
    /// The machine, as the probe's process saw it.
    pub machine: Machine,
}

/// The last job on a node, as it described itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its task.
    pub task: String,
    /// The engine's number of it, where it has one.
    pub job: Option<String>,
    /// When it began, ISO 8601.
    pub began: String,
    /// Its exit status; `None` while it runs and after it was killed.
    pub status: Option<i32>,
    /// What it said last, where it failed.
    pub detail: String,
    /// Whether the baseline itself does not run there.
    pub is_broken: bool,
}

/// How far the tune of a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tuned {
    /// Nothing was measured.
    #[default]
    Not,
    /// It can go on.
    Begun {
        /// The results.
        results: PathBuf,
        /// Rows of its journal.
        trials: usize,
    },
    /// It went on until its end.
    Done {
        /// The results.
        results: PathBuf,
        /// Rows of its journal.
        trials: usize,
        /// Whether its profile is proven to gain anything.
        is_gain: bool,
    },
}

impl Tuned {
    /// Rows of its journal.
    pub fn trials(&self) -> usize {
        match self {
            Self::Not => 0,
            Self::Begun { trials, .. } | Self::Done { trials, .. } => *trials,
        }
    }

    /// The results of a tune that is over.
    pub fn done(&self) -> Option<&Path> {
        match self {
            Self::Done { results, .. } => Some(results),
            Self::Not | Self::Begun { .. } => None,
        }
    }
}

/// What a node said of another's profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The profile, below the fleet's folder.
    pub profile: PathBuf,
    /// Whether it holds there; `None` where too few pairs were measured to say.
    pub holds: Option<bool>,
    /// In words.
    pub finding: String,
    /// The share that it saves there over the baseline.
    pub gain: Option<f64>,
}

/// All that is known of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// As the engine lists it.
    pub node: Node,
    /// Its class, where it was probed.
    pub class: Option<String>,
    /// The last job on it.
    pub status: Option<NodeStatus>,
    /// Whether that job runs, whoever started it: it holds the node's lock.
    pub is_busy: bool,
    /// Its tune.
    pub tuned: Tuned,
    /// What it said of another's profile.
    pub verified: Option<Verified>,
}

impl Record {
    /// Whether it denies what another's profile claims; `None` where it said nothing.
    pub fn is_denied(&self) -> Option<bool> {
        Some(self.verified.as_ref()?.holds == Some(false))
    }
}

impl Folder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Tells it from other folders; eight digits.
    pub fn digest(&self) -> String {
        digest(self.0.as_os_str().as_encoded_bytes())[..8].to_owned()
    }

    /// What was asked.
    pub fn request(&self) -> PathBuf {
        self.0.join("fleet.toml")
    }

    /// What happened, in rows.
    pub fn journal(&self) -> PathBuf {
        self.0.join("fleet.csv")
    }

    /// What the jobs said.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The profiles to ship.
    pub fn profiles(&self) -> PathBuf {
        self.0.join("profiles")
    }

    /// What belongs to a node.
    pub fn node(&self, name: &str) -> PathBuf {
        self.0.join("nodes").join(name)
    }

    /// The results of a node's tunes.
    pub fn results(&self, name: &str) -> PathBuf {
        self.node(name).join("results")
    }

    /// The nodes of which something is kept, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("nodes")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_name(name)).collect();
        names.sort();
        names
    }

    /// Leaves what a probe found.
    pub fn put_probe(&self, name: &str, probe: &Probe) -> Result<()> {
        write(&self.node(name).join("probe.json"), probe)
    }

    /// Takes away how a node's last job ended.
    pub fn forget_status(&self, name: &str) {
        let _ = fs::remove_file(self.node(name).join("status.json"));
    }

    /// Takes away what is known of a node on which nothing was measured: it may be another one.
    pub fn forget_node(&self, name: &str) {
        self.forget_status(name);
        let _ = fs::remove_file(self.node(name).join("probe.json"));
    }

    /// Leaves how a job stands.
    pub fn put_status(&self, name: &str, status: &NodeStatus) -> Result<()> {
        write(&self.node(name).join("status.json"), status)
    }

    /// Leaves what a node says of a profile.
    pub fn put_verified(&self, name: &str, verified: &Verified) -> Result<()> {
        write(&self.node(name).join("verify.json"), verified)
    }

    /// How the last job on a node stands.
    pub fn status(&self, name: &str) -> Option<NodeStatus> {
        read(&self.node(name).join("status.json"))
    }

    /// All that is known of these nodes, by name.
    pub fn records(&self, nodes: Vec<Node>) -> BTreeMap<String, Record> {
        let named = |node: Node| (node.name.clone(), self.record(node));
        threads::pooled(|| nodes.into_par_iter().map(named).collect())
    }

    /// All that is known of a node.
    pub fn record(&self, node: Node) -> Record {
        let folder = self.node(&node.name);
        let probe: Option<Probe> = read(&folder.join("probe.json"));
        let status = self.status(&node.name);
        let is_open = status.as_ref().is_some_and(|status| status.status.is_none());
        Record {
            is_busy: is_open && Lock::is_held_in(&folder),
            class: probe.map(|probe| class(&node, &probe)),
            status,
            tuned: tuned(&self.results(&node.name)),
            verified: self.verified(&folder),
            node,
        }
    }

    fn verified(&self, node: &Path) -> Option<Verified> {
        let verified: Verified = read(&node.join("verify.json"))?;
        Some(Verified { profile: self.0.join(&verified.profile), ..verified })
    }

    /// How far a node's tune is.
    pub fn tuned(&self, name: &str) -> Tuned {
        tuned(&self.results(name))
    }
}

/// The same for nodes of one class, with the same programs, and CPUs for a job. A probe may have had
/// but one of them: what a job gets is the engine's word, where it says that.
fn class(node: &Node, probe: &Probe) -> String {
    let Probe { worker, machine } = probe;
    let mut machine = machine.clone();
    let mut given = String::new();
    if let Some(cpus) = node.cpus {
        let known = node.given(&machine);
        given = if known.is_some() { String::new() } else { format!("{cpus} {}", node.kept) };
        machine.allowed = known.unwrap_or_else(|| machine.all_cpus());
        machine.limits = Limits::default();
    }
    digest(format!("{} {given} {} {worker:?}", machine.class(), node.kind))[..8].to_owned()
}

/// The tune in a folder of results: one that is over, else that with the most trials, and of equal ones
/// always the same.
fn tuned(folder: &Path) -> Tuned {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let rank = |tuned: &Tuned| (tuned.done().is_some(), tuned.trials());
    paths.into_iter().filter_map(of_results).max_by_key(rank).unwrap_or_default()
}

fn of_results(results: PathBuf) -> Option<Tuned> {
    let text = input::text(&results.join("space.toml"), LARGEST_BYTES).ok()?;
    let tune = SpaceFile::parse(&text).ok()?.tune?;
    // A line of it may be damaged, and then it is no text.
    let journal = input::bytes(&results.join("trials.csv"), LARGEST_BYTES).ok()?;
    let trials = journal.split_inclusive(|byte| *byte == b'\n').count().saturating_sub(1);
    let profile = results.join("profile.json");
    Some(match tune.ended {
        // One that ended before a run of the baseline did has none.
        Some(ended) if ended != TuneEnd::Stopped && profile.exists() => {
            let profile = Profile::read(&profile);
            let is_gain = profile.is_ok_and(|profile| profile.proof().is_gain());
            Tuned::Done { results, trials, is_gain }
        }
        _ if trials == 0 => Tuned::Not,
        _ => Tuned::Begun { results, trials },
    })
}

/// What can't be read is not there: it is made again.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_str(&input::text(path, LARGEST_BYTES).ok()?).ok()
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    atomic_write::replace(path, format!("{}\n", serde_json::to_string_pretty(value)?).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_row_takes_no_tune_along() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        let made = crate::report::fixture::Made::new().baseline(&[2.0; 5]);
        for name in ["b", "a"] {
            let path = folder.results("n1").join(name);
            fs::create_dir_all(&path).unwrap();
            made.write(&crate::results::Folder::new(&path));
        }
        let journal = folder.results("n1").join("b/trials.csv");
        let mut bytes = fs::read(&journal).unwrap();
        let last = bytes.len() - 9;
        bytes[last] = 0xff;
        fs::write(&journal, bytes).unwrap();
        let results = folder.results("n1").join("b");
        assert_eq!(folder.tuned("n1"), Tuned::Begun { results, trials: 5 });
    }

    #[test]
    fn equal_nodes_are_of_one_class_whichever_cpus_their_jobs_get() {
        let whole = Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:2").unwrap();
        let of = |cpus: usize, kept: &str, allowed: &str| {
            let machine = Machine { allowed: allowed.parse().unwrap(), ..whole.clone() };
            let node = Node { cpus: Some(cpus), kept: kept.to_owned(), ..Node::named("n1") };
            class(&node, &Probe { worker: None, machine })
        };
        // A probe has one CPU, a job all that Slurm does not keep.
        assert_eq!(of(8, "", "3"), of(8, "", "0-7"));
        assert_eq!(of(6, "0-1", "3"), of(6, "6-7", "0"));
        assert_ne!(of(6, "0-1", "3"), of(6, "0,2", "3"), "three cores are not two and two halves");
        assert_ne!(of(6, "0-1", "3"), of(8, "", "3"));
        // What can't be told apart by place is told apart by its list.
        assert_eq!(of(3, "0", "3"), of(3, "0", "1"));
        assert_ne!(of(3, "0", "3"), of(3, "3", "3"));
        // Where the engine tells nothing, it is what the probe may use.
        let unlisted = |allowed: &str| {
            let machine = Machine { allowed: allowed.parse().unwrap(), ..whole.clone() };
            class(&Node::named("n1"), &Probe { worker: None, machine })
        };
        assert_eq!(unlisted("0-3"), unlisted("4-7"));
        assert_ne!(unlisted("0-3"), unlisted("0-7"));
    }
}
