//! Detecting the machine that this process runs on.

use std::fs;

use anyhow::{Result, anyhow, bail};
use hwlocality::Topology;
use hwlocality::topology::builder::BuildFlags;
use hwlocality::topology::export::xml::XMLExportFlags;

use super::limits::cgroup::Cgroup;
use super::roots::{SystemRoots, field, line};
use super::topology::hwloc::{ParsedTopology, load};
use super::topology::{claimed, nodes, sandbox};
use super::{CpuSet, Machine, MachineSource, Node, NodeSet, fingerprint, gpus, processor};

impl Machine {
    /// Detects this machine: hwloc's topology, within the affinity mask and the cgroup's limits.
    ///
    /// # Errors
    /// When hwloc can't read the topology, or environment variables make it read another one.
    pub fn detect() -> Result<Self> {
        Ok(Self::detect_host()?.with_gpus())
    }

    /// The same with its GPUs, where it is this very machine.
    #[must_use]
    pub fn with_gpus(self) -> Self {
        if self.source == MachineSource::Live { Self { gpus: gpus::read(), ..self } } else { self }
    }

    /// Detects this machine without its GPUs, for which their driver's library would have to be
    /// loaded.
    ///
    /// # Errors
    /// As [`Machine::detect`].
    pub fn detect_host() -> Result<Self> {
        let structure = {
            let _alone = sandbox::alone();
            live()?.1
        };
        Ok(within(structure, &SystemRoots::live()))
    }
}

/// This machine as hwloc XML, which [`Machine::from_xml`] reads back.
///
/// # Errors
/// As [`Machine::detect`].
pub fn live_xml() -> Result<String> {
    let _alone = sandbox::alone();
    Ok(live()?.0.export_xml(XMLExportFlags::empty())?.as_str().to_owned())
}

/// This machine's topology, and what it comes to.
fn live() -> Result<(Topology, ParsedTopology)> {
    // hwloc would otherwise bind this thread to each CPU in turn where the kernel says too little.
    let topology = load(BuildFlags::DONT_CHANGE_BINDING, Ok)
        .map_err(|problem| anyhow!("hwloc can't read this machine's topology: {problem}"))?;
    let structure = ParsedTopology::of(&topology).map_err(|problem| anyhow!("hwloc: {problem}"))?;
    let variables = claimed::variables();
    let (names, cure) =
        (format!("environment ({})", variables.join(", ")), claimed::cure(&variables));
    if !topology.is_this_system() {
        bail!("the {names} makes hwloc describe another machine: {cure}");
    }
    // Sites preset the topology of their machines, since reading it takes long on large ones.
    if !variables.is_empty()
        && let Some(difference) = claimed::difference(&structure.machine, &SystemRoots::live())
    {
        bail!("the {names} makes hwloc describe another machine, with {difference}: {cure}");
    }
    Ok((topology, structure))
}

/// The machine with this structure, as far as the system at `roots` lets this process use it.
fn within(structure: ParsedTopology, roots: &SystemRoots) -> Machine {
    let ParsedTopology { mut machine, nodes_known, infos } = structure;
    let cgroup = Cgroup::read(roots);
    let all = machine.all_cpus();
    machine.allowed = allowed_cpus(roots, &cgroup, &machine.allowed, &mut machine.notes);
    let memory = line(&roots.proc.join("meminfo")).unwrap_or_default();
    let memory = field(&memory, "MemTotal").and_then(|text| nodes::kibibytes(&text)).unwrap_or(0);
    if !nodes_known {
        machine.nodes = fallback_nodes(roots, &all, memory, &mut machine.notes);
    }
    let nodes = &mut machine.nodes;
    settle_nodes(nodes, roots, &cgroup, &all);
    for core in &mut machine.cores {
        let home = nodes.iter().find(|node| !node.cpus.is_disjoint(&core.cpus));
        core.node = home.or(nodes.first()).map_or(0, |node| node.number);
    }
    let on_nodes: u64 = nodes.iter().map(|node| node.memory_bytes).sum();
    let kernel = |name: &str| line(&roots.proc.join("sys/kernel").join(name)).unwrap_or_default();
    let mut cpu = processor::read(roots);
    if cpu.model == cpu.architecture {
        cpu.model = infos.get("CPUModel").cloned().unwrap_or(cpu.model);
    }
    Machine {
        source: MachineSource::Live,
        host: kernel("hostname"),
        host_key: fingerprint::host_key(roots),
        cpu,
        limits: cgroup.limits,
        memory_bytes: if memory > 0 { memory } else { on_nodes },
        kernel: kernel("osrelease"),
        ..machine
    }
}

/// What every list allows: online, the cgroup's cpuset and the affinity mask.
fn allowed_cpus(
    roots: &SystemRoots,
    cgroup: &Cgroup,
    online: &CpuSet,
    notes: &mut Vec<String>,
) -> CpuSet {
    let in_cpuset = cgroup.cpus.as_ref().map_or_else(|| online.clone(), |c| c.intersection(online));
    let in_cpuset = if in_cpuset.is_empty() { online.clone() } else { in_cpuset };
    let Some(mask) = affinity_mask(roots) else {
        notes.push("The kernel does not show this process's affinity mask.".to_owned());
        return in_cpuset;
    };
    let allowed = mask.intersection(&in_cpuset);
    if allowed.is_empty() {
        // The mask is what the kernel enforces; the cpuset files may belong to another namespace.
        notes.push(format!(
            "The cgroup's cpuset and the affinity mask {mask} contradict; the mask counts."
        ));
        let masked = mask.intersection(online);
        return if masked.is_empty() { online.clone() } else { masked };
    }
    if allowed.len() < in_cpuset.len() {
        notes.push(narrow_mask(&allowed, &in_cpuset));
    }
    allowed
}

fn narrow_mask(allowed: &CpuSet, all: &CpuSet) -> String {
    let polluted = if allowed.len() == 1 {
        " A parent that runs with OMP_PROC_BIND hands such masks down without meaning to."
    } else {
        ""
    };
    format!(
        "The affinity mask allows {} of {} CPUs ({allowed}).{polluted} \
         `taskset -c {all} COMMAND` runs a command on all of them.",
        allowed.len(),
        all.len(),
    )
}

/// The CPUs that any thread of this process may use. One thread may have been bound since.
fn affinity_mask(roots: &SystemRoots) -> Option<CpuSet> {
    let threads = fs::read_dir(roots.proc.join("self/task")).ok()?;
    let status = |thread: fs::DirEntry| line(&thread.path().join("status"));
    let masks = threads
        .flatten()
        .filter_map(status)
        .filter_map(|text| field(&text, "Cpus_allowed_list")?.parse::<CpuSet>().ok());
    masks.reduce(|all, mask| all.union(&mask)).filter(|mask| !mask.is_empty())
}

/// hwloc found no nodes: sysfs, `numactl`, or a guess.
fn fallback_nodes(
    roots: &SystemRoots,
    all: &CpuSet,
    memory: u64,
    notes: &mut Vec<String>,
) -> Vec<Node> {
    let found = nodes::from_sysfs(roots).or_else(nodes::from_numactl);
    found.unwrap_or_else(|| {
        notes.push("No NUMA nodes can be read; one node with all CPUs is a guess.".to_owned());
        vec![Node {
            number: 0,
            cpus: all.clone(),
            memory_bytes: memory,
            allowed: true,
            distances: Vec::new(),
        }]
    })
}

/// The kernel's own word on which CPUs a node has and where this process may allocate.
fn settle_nodes(nodes: &mut [Node], roots: &SystemRoots, cgroup: &Cgroup, all: &CpuSet) {
    let status = line(&roots.proc.join("self/status")).unwrap_or_default();
    let mems: Option<NodeSet> =
        field(&status, "Mems_allowed_list").and_then(|text| text.parse().ok());
    let mems = mems.or_else(|| cgroup.mems.clone()).filter(|mems| !mems.is_empty());
    for node in nodes {
        if let Some(cpus) = nodes::sysfs_cpus(roots, node.number) {
            node.cpus = cpus.intersection(all);
        }
        if let Some(mems) = &mems {
            node.allowed = mems.contains(node.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packages of 4 cores with 2 threads each, seen from a system with the given files.
    fn seen(files: &[(&str, &str)]) -> Machine {
        let (_tree, roots) = SystemRoots::of_files(files);
        let _alone = sandbox::alone();
        let topology = load(BuildFlags::empty(), |builder| {
            let text = "package:2 [numa(memory=8GB)] l3:1 core:4 pu:2";
            builder.from_synthetic(text).map_err(|error| error.to_string())
        });
        within(ParsedTopology::of(&topology.unwrap()).unwrap(), &roots)
    }

    const CPUSET: [(&str, &str); 3] = [
        ("proc/self/cgroup", "0::/job\n"),
        ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("sys/fs/cgroup/job/cpuset.cpus.effective", "0-7\n"),
    ];

    #[test]
    fn mask_and_cpuset_both_bound_what_is_allowed() {
        let mask = ("proc/self/task/1/status", "Name:\tx\nCpus_allowed_list:\t6-9\n");
        let machine = seen(&[&CPUSET[..], &[mask]].concat());
        assert_eq!(machine.allowed.to_string(), "6-7");
        assert_eq!(machine.core_count(), 1);
        assert!(machine.notes[0].contains("allows 2 of 8 CPUs (6-7)"), "{:?}", machine.notes);
    }

    #[test]
    fn a_quota_of_either_cgroup_version_bounds_the_threads() {
        let mounts = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let version_1 = [
            ("proc/self/cgroup", "1:cpu:/job\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "199999\n"),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n"),
        ];
        let machine = seen(&version_1);
        assert_eq!((machine.limits.cpu_quota, machine.thread_limit()), (Some(1.99999), 2));
        let machine =
            seen(&[&CPUSET[..], &[("sys/fs/cgroup/job/cpu.max", "50000 100000\n")]].concat());
        assert_eq!((machine.limits.cpu_quota, machine.quota_ceiling()), (Some(0.5), Some(1)));
        let machine =
            seen(&[&CPUSET[..], &[("sys/fs/cgroup/job/cpu.max", "max 100000\n")]].concat());
        assert_eq!((machine.limits.cpu_quota, machine.thread_limit()), (None, 8));
    }

    #[test]
    fn one_bound_thread_does_not_hide_the_process_mask_and_a_one_cpu_mask_is_told_of() {
        let one = ("proc/self/task/1/status", "Cpus_allowed_list:\t3\n");
        let wide = ("proc/self/task/2/status", "Cpus_allowed_list:\t0-15\n");
        assert_eq!(seen(&[one, wide]).allowed.to_string(), "0-15");
        let polluted = seen(&[one]);
        assert_eq!(polluted.allowed.to_string(), "3");
        assert!(polluted.notes[0].contains("OMP_PROC_BIND"), "{:?}", polluted.notes);
        assert!(polluted.notes[0].contains("taskset -c 0-15"), "{:?}", polluted.notes);
    }

    #[test]
    fn contradicting_files_still_leave_cpus() {
        let mask = ("proc/self/task/1/status", "Cpus_allowed_list:\t12-13\n");
        let machine = seen(&[&CPUSET[..], &[mask]].concat());
        assert_eq!(machine.allowed.to_string(), "12-13");
        let elsewhere = ("proc/self/task/1/status", "Cpus_allowed_list:\t500\n");
        assert_eq!(seen(&[&CPUSET[..], &[elsewhere]].concat()).allowed.to_string(), "0-15");
    }

    #[test]
    fn the_kernel_says_which_nodes_are_allowed_and_what_they_hold() {
        let machine = seen(&[
            ("proc/self/status", "Mems_allowed_list:\t1\n"),
            ("sys/devices/system/node/node0/cpulist", "0-15\n"),
            ("sys/devices/system/node/node1/cpulist", "\n"),
            ("proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n"),
            ("proc/sys/kernel/hostname", "alpha\n"),
        ]);
        assert_eq!(machine.memory_nodes().to_string(), "1");
        assert_eq!(machine.nodes[0].cpus.to_string(), "0-15");
        assert!(machine.nodes[1].cpus.is_empty());
        assert!(machine.cores.iter().all(|core| core.node == 0));
        assert_eq!((machine.memory_bytes, machine.host.as_str()), (16_384_000_000, "alpha"));
    }

    #[test]
    fn this_machine_is_detected_and_its_xml_reads_back_as_the_same_topology() {
        let machine = Machine::detect().unwrap();
        assert!(!machine.allowed.is_empty() && machine.core_count() > 0);
        assert!(crate::knobs::placement::bound().unwrap().is_subset(&machine.allowed));
        let copy = Machine::from_xml(&live_xml().unwrap()).unwrap();
        assert_eq!((copy.packages, copy.l3_groups), (machine.packages, machine.l3_groups));
        let sets = |cores: &[super::super::Core]| -> Vec<CpuSet> {
            cores.iter().map(|core| core.cpus.clone()).collect()
        };
        assert_eq!(sets(&copy.cores), sets(&machine.cores));
        let json = serde_json::to_string(&Machine::detect().unwrap()).unwrap();
        assert!(serde_json::from_str::<Machine>(&json).is_ok());
    }
}
