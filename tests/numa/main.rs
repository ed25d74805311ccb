//! The NUMA suite: on real Linux kernels with several nodes, whatever is offered does what it
//! says. Each test boots a guest and goes on inside of it; `make numa-test` runs them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

mod cgroup;
mod check;
mod guest;
mod seccomp;

use guest::Guest;
use wan22_tune::knobs::memory::MemoryMode;
use wan22_tune::knobs::placement::Layout;
use wan22_tune::machine::Machine;
use wan22_tune::trial::Outcome;

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
    cgroup::enter("one-node", "5-7", "1", "max");
    let machine = Machine::detect().unwrap();
    assert_eq!(machine.memory_nodes().to_string(), "1");
    assert_eq!(MemoryMode::of(&machine), [MemoryMode::Default, MemoryMode::Baseline]);
    cgroup::enter("half", "1-2,5-6", "0-1", "150000");
    let machine = Machine::detect().unwrap();
    assert_eq!(machine.allowed.to_string(), "1-2,5-6");
    assert_eq!((machine.limits.cpu_quota, machine.thread_limit()), (Some(1.5), 1));
    assert!(check::every_setting_holds() >= 11);
    let noise = cgroup::noise_of_four_busy_threads();
    assert_eq!(noise.cpu_quota, Some(1.5));
    assert!(noise.throttled_periods.unwrap() > 2, "{noise:?}");
});

in_guest!(memory_that_the_kernel_runs_out_of, TWO_NODES, || {
    cgroup::enter_with_memory("small", 320 << 20);
    for trial in check::trials_of_devourers() {
        assert_eq!(trial.outcome, Outcome::OutOfMemory, "{}", trial.detail);
        let by_the_kernel = "killed by the kernel for want of memory (oom_kill ";
        assert!(trial.detail.starts_with(by_the_kernel), "{}", trial.detail);
    }
});

in_guest!(a_container_that_forbids_memory_policies, TWO_NODES, || {
    let modes = "memory_mode         default bind preferred interleave [baseline]";
    let (space, warnings) = check::tuner(&["space"]);
    let offered =
        |space: &str| space.lines().find(|line| line.contains("memory_mode")).unwrap().to_owned();
    assert_eq!((offered(&space).trim(), warnings.as_str()), (modes, ""));
    seccomp::forbid_memory_policies();
    // A guest has no memory for a model.
    for arguments in [&["space"][..], &["--dry-run", "--workload", "preprocess"]] {
        let (space, warnings) = check::tuner(arguments);
        assert_eq!(offered(&space).trim(), "memory_mode         default [baseline]");
        assert_eq!(warnings.lines().count(), 1, "{warnings}");
        assert!(warnings.contains("baseline, bind, interleave, preferred: "), "{warnings}");
        assert!(warnings.contains("--cap-add SYS_NICE"), "{warnings}");
    }
    assert!(check::every_setting_holds() >= 8);
});
