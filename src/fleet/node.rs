//! Node: one machine of a fleet, as its engine lists it.

use crate::machine::{CpuSet, Machine};

/// One machine of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What the engine calls it.
    pub name: String,
    /// The engine's word for its state, such as `idle`.
    pub state: String,
    /// CPUs that a job may have there, where the engine tells.
    pub cpus: Option<usize>,
    /// CPUs that the engine keeps for itself, as it numbers them: one core after the other.
    pub kept: String,
    /// What else the engine tells nodes apart by, such as GPUs.
    pub kind: String,
    /// Why it can't be used, where the engine says so.
    pub reason: Option<String>,
}

impl Node {
    /// A node of which nothing is known but its name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: "idle".to_owned(), ..Self::default() }
    }

    /// The CPUs of a machine that a job gets here; `None` where the engine's count is not that of the
    /// machine, as where it counts cores.
    pub fn given(&self, machine: &Machine) -> Option<CpuSet> {
        let kept: CpuSet = self.kept.parse().ok()?;
        let in_order = || machine.cores.iter().flat_map(|core| core.cpus.iter()).zip(0..);
        let given = in_order().filter(|(_, place)| !kept.contains(*place)).map(|(cpu, _)| cpu);
        let given: CpuSet = given.collect();
        let is_counted = in_order().count() == given.len() + kept.len();
        (is_counted && self.cpus == Some(given.len())).then_some(given)
    }

    /// How soon it is likely to start a job: idle ones first, broken ones last.
    pub fn rank(&self) -> usize {
        let state = self.state.trim_end_matches(['*', '~', '#', '!', '%', '$', '@', '^', '-', '+']);
        match state {
            "idle" => 0,
            "mixed" => 1,
            "allocated" | "completing" => 2,
            _ => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_what_the_engine_does_not_keep() {
        // Siblings are 0 and 4, 1 and 5, …: the engine counts 0, 4, 1, 5, 2, 6, 3, 7.
        let mut machine =
            Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:2").unwrap();
        for (core, cpus) in machine.cores.iter_mut().zip(["0,4", "1,5", "2,6", "3,7"]) {
            core.cpus = cpus.parse().unwrap();
        }
        for (kept, cpus, given) in [
            ("", 8, Some("0-7")),
            ("0-1", 6, Some("1-3,5-7")),
            ("2,7", 6, Some("0,2-6")),
            // It counts cores, or other ones than there are; it says what nobody can read.
            ("", 4, None),
            ("0-1", 2, None),
            ("8", 7, None),
            ("all", 8, None),
        ] {
            let node = Node { kept: kept.to_owned(), cpus: Some(cpus), ..Node::named("n1") };
            assert_eq!(node.given(&machine), given.map(|list| list.parse().unwrap()), "{kept}");
        }
    }

    #[test]
    fn idle_nodes_come_first() {
        let rank = |state: &str| Node { state: state.to_owned(), ..Node::default() }.rank();
        let states = ["idle", "idle~", "mixed", "allocated", "drained", "down*", "unknown"];
        assert_eq!(states.map(rank), [0, 0, 1, 2, 3, 3, 3]);
    }
}
