//! Messages between a tuner and its agents: one JSON object per line, on the agent's stdin and stdout.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::knobs::Values;
use crate::machine::Machine;
use crate::runner::TrialRequest;
use crate::trial::Trial;

/// What the tuner tells an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunerMessage {
    /// The tune, before anything else.
    Setup(Setup),
    /// A trial to run; [`AgentMessage::Ended`] follows.
    Trial(Box<TrialRequest>),
    /// To end the trial under way.
    Stop,
}

/// A tune as an agent has to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Name and version of the tuner.
    pub tool: String,
    /// The working folder, in which relative paths are.
    pub folder: String,
    /// The folder of the user's own command, where a tune that goes on was begun in another one.
    pub custom_folder: Option<String>,
    /// The tune's words after the program's name, as `space.toml` has them.
    pub arguments: Vec<String>,
    /// Whether the agent waits for its machine's lock.
    pub waits: bool,
}

/// What an agent tells the tuner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentMessage {
    /// It asks its worker what runs today, for which that loads; its hello follows.
    Asks,
    /// It is ready for trials.
    Hello(Box<Hello>),
    /// It can't run any, and why.
    Refused(String),
    /// A trial ended.
    Ended(Box<TrialReport>),
}

/// What decides whether trials of two nodes are of the same things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Name and version of the agent.
    pub tool: String,
    /// What the worker says of itself and of its libtorch, where there is one.
    pub worker: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// The value of every knob under the baseline there.
    pub baseline: Values,
    /// The knobs that the user's own worker reads without saying what it runs.
    #[serde(default)]
    pub without_default: BTreeSet<String>,
}

/// A trial that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialReport {
    /// The trial.
    pub trial: Trial,
    /// What the agent found out, in sentences for people.
    pub news: Vec<String>,
    /// Digests of the reference pictures that it made, by name.
    pub references: BTreeMap<String, String>,
}

impl Hello {
    /// Why a node that says this may not take part beside one that said `first`.
    pub fn misfit(&self, first: &Self) -> Option<String> {
        let both = |what: &str, own: &str, other: &str| {
            (own != other).then(|| format!("its {what} is {own}, not {other}"))
        };
        let worker = |hello: &Self| hello.worker.clone().unwrap_or_default();
        let class = |hello: &Self| {
            let machine = &hello.machine;
            let (cores, cpus) = (machine.core_count(), machine.allowed.to_string());
            let bytes = bytesize::ByteSize(machine.memory_bytes);
            format!("{}, {cores} cores, CPUs {cpus}, {bytes}", machine.cpu.model)
        };
        let differs = self.machine.class() != first.machine.class();
        let of_class = differs.then(|| {
            let (own, other) = (class(self), class(first));
            format!("its machine is of another class: {own}; the first node is {other}")
        });
        let knobs = || {
            let differs = |(name, value): &(&String, &crate::knobs::Value)| {
                self.baseline.get(*name) != Some(value)
            };
            let (name, _) = first.baseline.iter().find(differs)?;
            Some(format!("its baseline has another {name}"))
        };
        both("program", &self.tool, &first.tool)
            .or_else(|| both("worker", &worker(self), &worker(first)))
            .or(of_class)
            .or_else(knobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_another_class_or_version_does_not_fit() {
        let first = Hello {
            tool: "wan22-tune 1".to_owned(),
            worker: Some("wan22-worker 1, libtorch 2.9".to_owned()),
            machine: Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:2").unwrap(),
            baseline: Values::new(),
            without_default: BTreeSet::new(),
        };
        let clone = Hello {
            machine: Machine { host: "n2".to_owned(), ..first.machine.clone() },
            ..first.clone()
        };
        assert_eq!(clone.misfit(&first), None);
        let older =
            Hello { worker: Some("wan22-worker 1, libtorch 2.8".to_owned()), ..clone.clone() };
        assert_eq!(
            older.misfit(&first).unwrap(),
            "its worker is wan22-worker 1, libtorch 2.8, not wan22-worker 1, libtorch 2.9"
        );
        let mut smaller = clone.clone();
        smaller.machine.allowed = "0".parse().unwrap();
        assert!(smaller.misfit(&first).unwrap().starts_with("its machine is of another class: "));
        let other = Hello { tool: "wan22-tune 2".to_owned(), ..clone };
        assert_eq!(other.misfit(&first).unwrap(), "its program is wan22-tune 2, not wan22-tune 1");
    }
}
