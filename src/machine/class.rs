//! Class: machines of one shape that let a process use as much of them, in the same places.

use std::collections::BTreeMap;

use super::{Core, Machine, Node, NodeSet};
use crate::io::digest::digest;

/// What several cores share, by number; the wider first.
const SHARED: [fn(&Core) -> usize; 3] =
    [|core| core.package, |core| core.node as usize, |core| core.l3_group];

impl Machine {
    /// The same for machines of one shape that let a process use the same of them: as many CPUs that
    /// lie alike, as much of the memory near to them, the quota's whole part and the GPUs. Which CPUs
    /// these are does not matter: each machine resolves settings by its own.
    pub fn class(&self) -> String {
        let near = self.near();
        let of_core = |core: &Core| {
            let allowed = core.cpus.intersection(&self.allowed).len();
            format!("{:?} {allowed} of {} {}", core.kind, core.cpus.len(), near[&core.node])
        };
        let cores: Vec<&Core> = self.usable_cores().collect();
        let layout = layout(&cores, &SHARED, &of_core);
        let gpus: Vec<&str> = self.gpus.iter().map(|gpu| gpu.model.as_str()).collect();
        let (shape, quota) = (self.fingerprint().shape, self.quota_ceiling());
        digest(format!("{shape} {layout} {quota:?} {gpus:?}"))
    }

    /// Of each node with allowed CPUs: how far it is from memory and from other such nodes.
    fn near(&self) -> BTreeMap<u32, String> {
        let memory = self.memory_nodes();
        let used: NodeSet = self.usable_cores().map(|core| core.node).collect();
        let counts = |node: &Node| memory.contains(node.number) || used.contains(node.number);
        let near = |number: u32| {
            let own = self.nodes.iter().find(|node| node.number == number);
            let distance = |(place, other): (usize, &Node)| {
                let known = own.and_then(|own| own.distances.get(place).copied());
                let distance = known.unwrap_or(if other.number == number { 10 } else { 20 });
                (distance, memory.contains(other.number), used.contains(other.number))
            };
            let nodes = self.nodes.iter().enumerate().filter(|(_, node)| counts(node));
            let mut distances: Vec<_> = nodes.map(distance).collect();
            distances.sort_unstable();
            (number, format!("{distances:?}"))
        };
        used.iter().map(near).collect()
    }
}

/// How cores lie in what they share, without the numbers of anything.
fn layout(
    cores: &[&Core],
    shared: &[fn(&Core) -> usize],
    of_core: &dyn Fn(&Core) -> String,
) -> String {
    let mut parts: Vec<String> = match shared.split_first() {
        None => cores.iter().map(|core| of_core(core)).collect(),
        Some((place, narrower)) => {
            let mut groups: BTreeMap<usize, Vec<&Core>> = BTreeMap::new();
            cores.iter().for_each(|core| groups.entry(place(core)).or_default().push(core));
            groups.values().map(|group| layout(group, narrower, of_core)).collect()
        }
    };
    parts.sort();
    format!("({})", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUs 0-7 and 8-15 are packages with memory, each four are an L3 group, each two a core.
    fn machine(allowed: &str) -> Machine {
        let machine = Machine::synthetic("package:2 [numa(memory=8GB)] l3:2 core:2 pu:2");
        Machine { allowed: allowed.parse().unwrap(), ..machine }
    }

    #[test]
    fn cpus_that_lie_alike_are_of_one_class() {
        for (one, other, is_alike) in [
            ("0-3", "4-7", true),
            ("0-3", "8-11", true),
            ("0,2", "13,15", true),
            ("0-1,4", "0,4-5", true),
            ("0-3,8", "7,8-11", true),
            ("0-15", "0-15", true),
            // Another number of CPUs; one core or two; one L3 group or two; one package or two.
            ("0-3", "0-2", false),
            ("0-1", "0,2", false),
            ("0,2", "0,4", false),
            ("0,4", "0,8", false),
            ("0-1,4-5", "0-1,12-13", false),
        ] {
            let is_same = machine(one).class() == machine(other).class();
            assert_eq!(is_same, is_alike, "{one} and {other}");
        }
    }

    #[test]
    fn near_memory_is_not_far_memory() {
        let with_memory_of = |allowed: &str, node: usize| {
            let mut machine = machine(allowed);
            machine.nodes[1 - node].allowed = false;
            machine.class()
        };
        assert_eq!(with_memory_of("0-3", 0), with_memory_of("8-11", 1));
        assert_ne!(with_memory_of("0-3", 0), with_memory_of("0-3", 1));
        assert_ne!(with_memory_of("0-3", 0), machine("0-3").class());
    }

    #[test]
    fn limits_and_gpus_make_another_class_of_one_shape() {
        let whole = machine("0-15");
        let changes: [fn(&mut Machine); 3] = [
            |machine| machine.allowed = "0".parse().unwrap(),
            |machine| machine.limits.cpu_quota = Some(2.0),
            |machine| {
                let model = "L4".to_owned();
                machine.gpus.push(crate::machine::Gpu { model, ..Default::default() });
            },
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = whole.clone();
            change(&mut other);
            assert_eq!(other.fingerprint(), whole.fingerprint(), "{i}");
            assert_ne!(other.class(), whole.class(), "{i}");
        }
        let mut unlimited = whole.clone();
        unlimited.limits.cpu_quota = Some(64.0);
        assert_eq!(unlimited.class(), whole.class(), "a quota of more than the CPUs is none");
        let other = Machine::synthetic("package:1 [numa(memory=16GB)] l3:4 core:2 pu:2");
        assert_ne!(other.class(), whole.class());
    }
}
