//! Whether the topology that hwloc gives is this machine's: variables such as `HWLOC_XMLFILE` make
//! it read another one, and `HWLOC_THISSYSTEM=1` makes it claim that this is the same.

use std::path::Path;

use super::nodes;
use crate::machine::roots::{SystemRoots, line};
use crate::machine::{CpuSet, Machine};

/// The variables that decide where hwloc looks.
const VARIABLES: [&str; 6] = [
    "HWLOC_XMLFILE",
    "HWLOC_SYNTHETIC",
    "HWLOC_FSROOT",
    "HWLOC_CPUID_PATH",
    "HWLOC_COMPONENTS",
    "HWLOC_THISSYSTEM",
];

/// Nodes keep some of their memory for the kernel and for firmware: a larger share that differs is
/// of another machine.
const TOLERANCE: f64 = 0.25;

/// Those of the variables that are set.
pub fn variables() -> Vec<&'static str> {
    VARIABLES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect()
}

/// What to do about them.
pub fn cure(variables: &[&str]) -> String {
    let unset: String = variables.iter().map(|name| format!(" -u {name}")).collect();
    format!("type `env{unset} wan22-tune …`, or plan for that machine with `machine --xml FILE`")
}

/// The first thing in which `machine` differs from what the kernel at `roots` says of this
/// machine, in words; `None` where nothing does, or the kernel says nothing.
pub fn difference(machine: &Machine, roots: &SystemRoots) -> Option<String> {
    let all = machine.all_cpus();
    let online = list(&roots.sys.join("devices/system/cpu/online")).or_else(|| counted(roots));
    let by_online = online.and_then(|here| differs("CPUs", &all, &here));
    let by_core = || {
        let mut cores = machine.cores.iter();
        cores.find_map(|core| by_siblings("core", &core.cpus, &all, roots))
    };
    let by_package = || {
        let mut packages = machine.packages.iter();
        packages.find_map(|package| by_siblings("package", package, &all, roots))
    };
    by_online.or_else(by_core).or_else(by_package).or_else(|| by_node(machine, roots))
}

fn differs(what: &str, there: &CpuSet, here: &CpuSet) -> Option<String> {
    (there != here).then(|| format!("{what} {there}, where this machine has {here}"))
}

/// Compares the CPUs of a core or a package with what the kernel says of the first of them.
fn by_siblings(kind: &str, there: &CpuSet, all: &CpuSet, roots: &SystemRoots) -> Option<String> {
    let folder = roots.sys.join(format!("devices/system/cpu/cpu{}/topology", there.first()?));
    // Kernels before 5.5 know the other names alone.
    let old = if kind == "core" { "thread_siblings_list" } else { "core_siblings_list" };
    let new = format!("{kind}_cpus_list");
    let here = [new.as_str(), old].iter().find_map(|name| list(&folder.join(name)))?;
    differs(&format!("a {kind} of the CPUs"), there, &here.intersection(all))
}

fn by_node(machine: &Machine, roots: &SystemRoots) -> Option<String> {
    let here = nodes::from_sysfs(roots)?;
    let numbers =
        |nodes: &[crate::machine::Node]| nodes.iter().map(|node| node.number).collect::<CpuSet>();
    let [there_numbers, here_numbers] = [&machine.nodes, &here].map(|nodes| numbers(nodes));
    if there_numbers != here_numbers {
        return Some(format!("NUMA nodes {there_numbers}, where this machine has {here_numbers}"));
    }
    machine.nodes.iter().zip(&here).find_map(|(there, here)| {
        let number = there.number;
        if there.cpus != here.cpus {
            let (there, here) = (&there.cpus, &here.cpus);
            return Some(format!("node {number} with CPUs {there}, which has {here} here"));
        }
        let [there, here] = [there.memory_bytes, here.memory_bytes];
        let differs = there.abs_diff(here) as f64 > TOLERANCE * here as f64;
        (here > 0 && differs).then(|| {
            let [there, here] = [there, here].map(bytesize::ByteSize::b);
            format!("node {number} with {there} of memory, which has {here} here")
        })
    })
}

/// The CPUs for which the kernel keeps statistics, where it shows no more of them.
fn counted(roots: &SystemRoots) -> Option<CpuSet> {
    let text = line(&roots.proc.join("stat"))?;
    let number = |line: &str| line.split(' ').next()?.strip_prefix("cpu")?.parse().ok();
    let set: CpuSet = text.lines().filter_map(number).collect();
    (!set.is_empty()).then_some(set)
}

fn list(path: &Path) -> Option<CpuSet> {
    line(path)?.parse().ok().filter(|set: &CpuSet| !set.is_empty())
}

#[cfg(test)]
mod tests {
    use hwlocality::topology::builder::BuildFlags;

    use super::super::hwloc::{ParsedTopology, load};
    use super::super::sandbox;
    use super::*;

    /// In what a description differs from a machine of one package, two cores of two CPUs each
    /// (0 and 2, 1 and 3), and 4 GB.
    fn differs(description: &str) -> Option<String> {
        let cpu = |cpu: u32, name: &str| format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}");
        let mut files = vec![
            ("sys/devices/system/cpu/online".to_owned(), "0-3"),
            ("sys/devices/system/node/online".to_owned(), "0"),
            ("sys/devices/system/node/node0/cpulist".to_owned(), "0-3"),
            ("sys/devices/system/node/node0/meminfo".to_owned(), "Node 0 MemTotal: 3906250 kB\n"),
        ];
        for number in 0..4 {
            let siblings = if number % 2 == 0 { "0,2" } else { "1,3" };
            files.push((cpu(number, "thread_siblings_list"), siblings));
            files.push((cpu(number, "package_cpus_list"), "0-3"));
        }
        let (_tree, roots) = SystemRoots::of_files(&files);
        let _alone = sandbox::alone();
        let topology = load(BuildFlags::empty(), |builder| {
            builder.from_synthetic(description).map_err(|error| error.to_string())
        });
        difference(&ParsedTopology::of(&topology.unwrap()).unwrap().machine, &roots)
    }

    #[test]
    fn another_machine_differs_in_cpus_cores_packages_nodes_or_memory() {
        let same = "package:1 [numa(memory=4GB)] core:2 pu:2(indexes=0,2,1,3)";
        assert_eq!(differs(same), None);
        assert_eq!(differs(&same.replace("4GB", "3.5GB").replace("3.5GB", "3500000000")), None);
        let said = |description: &str| differs(description).unwrap();
        let large = said("package:2 [numa] core:120 pu:2");
        assert_eq!(large, "CPUs 0-479, where this machine has 0-3");
        let neighbours = said("package:1 [numa(memory=4GB)] core:2 pu:2");
        assert_eq!(neighbours, "a core of the CPUs 0-1, where this machine has 0,2");
        let two = said("[numa(memory=4GB)] package:2 core:1 pu:2(indexes=0,2,1,3)");
        assert_eq!(two, "a package of the CPUs 0,2, where this machine has 0-3");
        let nodes = said("package:1 core:2 [numa(memory=2GB)] pu:2(indexes=0,2,1,3)");
        assert_eq!(nodes, "NUMA nodes 0-1, where this machine has 0");
        let memory = said(&same.replace("4GB", "24GB"));
        assert!(memory.starts_with("node 0 with 22.4 GiB of memory"), "{memory}");
    }

    #[test]
    fn statistics_tell_the_cpus_where_nothing_else_does() {
        let stat = "cpu  1 2\ncpu0 1 2\ncpu3 1 2\nintr 5\n";
        let (_tree, roots) = SystemRoots::of_files(&[("proc/stat", stat)]);
        let set = counted(&roots).unwrap();
        assert_eq!(set.to_string(), "0,3");
    }

    #[test]
    fn the_cure_unsets_what_is_set() {
        let cure = cure(&["HWLOC_XMLFILE", "HWLOC_THISSYSTEM"]);
        assert!(cure.contains("`env -u HWLOC_XMLFILE -u HWLOC_THISSYSTEM wan22-tune …`"), "{cure}");
    }
}
