//! The NUMA suite: on real Linux kernels with several nodes, whatever is offered does what it
//! says. Each test boots a guest and goes on inside of it; `make numa-test` runs them.

mod check;
mod guest;

use std::fs;

use guest::Guest;
use wan22_tune::launch::{Layout, MemoryMode};
use wan22_tune::machine::Machine;

/// Two packages of a node each.
const TWO_NODES: Guest =
    Guest { in_one_package: false, nodes: 2, cores: 4, threads: 1, memory_node: false, kernel: "" };

macro_rules! in_guest {
    ($name:ident, $guest:expr, $check:expr) => {
        #[test]
        fn $name() {
            guest::run($guest, stringify!($name), $check);
        }
    };
}

/// Each node's CPUs as text.
fn nodes(machine: &Machine) -> Vec<String> {
    machine.nodes.iter().map(|node| node.cpus.to_string()).collect()
}

in_guest!(two_nodes_in_two_packages, TWO_NODES, || {
    let machine = Machine::detect().unwrap();
    assert_eq!((machine.packages.len(), machine.core_count()), (2, 8));
    assert_eq!(nodes(&machine), ["0-3", "4-7"]);
    assert_eq!(machine.nodes[0].distances, [10, 21]);
    assert!(check::every_setting_holds() >= 15);
});

const FOUR_NODES: Guest =
    Guest { in_one_package: true, nodes: 4, cores: 2, threads: 2, ..TWO_NODES };

in_guest!(four_nodes_in_one_package, FOUR_NODES, || {
    let machine = Machine::detect().unwrap();
    assert_eq!((machine.packages.len(), machine.l3_groups.len()), (1, 4));
    assert_eq!(nodes(&machine), ["0-3", "4-7", "8-11", "12-15"]);
    assert_eq!((machine.core_count(), machine.allowed.len()), (8, 16));
    assert!(check::every_setting_holds() >= 20);
});

const MEMORY_NODE: Guest = Guest { cores: 2, memory_node: true, ..TWO_NODES };

in_guest!(a_node_without_cpus, MEMORY_NODE, || {
    let machine = Machine::detect().unwrap();
    assert_eq!(nodes(&machine), ["0-1", "2-3", ""]);
    assert_eq!(machine.memory_nodes().to_string(), "0-2");
    assert!(check::every_setting_holds() >= 11);
});

const SMT_OFF: Guest = Guest { cores: 2, threads: 2, kernel: "nosmt", ..TWO_NODES };

in_guest!(smt_switched_off, SMT_OFF, || {
    let machine = Machine::detect().unwrap();
    assert_eq!((machine.core_count(), machine.allowed.to_string()), (4, "0,2,4,6".to_owned()));
    assert!(!Layout::of(&machine).contains(&Layout::SmtSiblings));
    assert!(check::every_setting_holds() >= 11);
});

in_guest!(a_cpuset_and_a_quota, TWO_NODES, || {
    fs::write(CGROUPS.to_owned() + "/cgroup.subtree_control", "+cpuset +cpu").unwrap();
    enter_cgroup("one-node", "5-7", "1", "max");
    let machine = Machine::detect().unwrap();
    assert_eq!(machine.memory_nodes().to_string(), "1");
    assert_eq!(MemoryMode::of(&machine), [MemoryMode::Default, MemoryMode::Baseline]);
    enter_cgroup("half", "1-2,5-6", "0-1", "150000");
    let machine = Machine::detect().unwrap();
    assert_eq!(machine.allowed.to_string(), "1-2,5-6");
    assert_eq!((machine.limits.cpu_quota, machine.thread_limit()), (Some(1.5), 1));
    assert!(check::every_setting_holds() >= 11);
});

const CGROUPS: &str = "/sys/fs/cgroup";

/// Moves this process into a cgroup of its own, with so many microseconds of 100000 to run.
fn enter_cgroup(name: &str, cpus: &str, nodes: &str, quota: &str) {
    let folder = format!("{CGROUPS}/{name}");
    fs::create_dir(&folder).unwrap();
    let me = std::process::id().to_string();
    for (file, text) in [
        ("cpuset.cpus", cpus),
        ("cpuset.mems", nodes),
        ("cpu.max", quota),
        ("cgroup.procs", me.as_str()),
    ] {
        fs::write(format!("{folder}/{file}"), text).unwrap();
    }
}
