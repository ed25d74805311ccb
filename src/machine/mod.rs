//! Machine: what this process may use.
//!
//! Everything that the tuner knows of a machine is in [`Machine`], which is plain data:
//! it is written to `machine.json` beside the results and read back by every report.

pub mod ask;
mod class;
mod detect;
mod fingerprint;
mod gpus;
pub mod library;
pub mod limits;
mod os_set;
mod processor;
pub mod render;
mod roots;
mod sensors;
pub mod syscalls;
pub mod threads;
pub mod topology;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use detect::live_xml;
pub use fingerprint::{Fingerprint, MachineMatch};
pub use gpus::held_bytes;
pub use limits::oom::oom_kills;
pub use limits::throttling::throttled_periods;
pub use os_set::{BadOsSet, CpuSet, HIGHEST_INDEX, NodeSet, OsSet};
pub use render::svg::PlacedPool;
pub(crate) use roots::line;
pub use roots::{SystemRoots, field, stat_field, waited};
pub use sensors::{frequency_mhz, temperature_c};
pub use topology::described::MachineFileError;
pub use topology::nodes::kibibytes;
pub use topology::sandbox::sandboxed;

/// A machine as this process sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Where this description comes from.
    pub source: MachineSource,
    /// Host name; names the results folder.
    pub host: String,
    /// Tells this host from others without naming it; empty where nothing does.
    pub host_key: String,
    /// The processor.
    pub cpu: Cpu,
    /// CPUs of each package (socket).
    pub packages: Vec<CpuSet>,
    /// NUMA nodes, ascending by number; memory-only and empty ones too.
    pub nodes: Vec<Node>,
    /// CPUs that share a last-level (L3) cache; where there is none, CPUs of the cores that share
    /// an L2, or of a package.
    pub l3_groups: Vec<CpuSet>,
    /// Size of the largest L3; 0 where there is none or it is unknown.
    pub l3_bytes: u64,
    /// Physical cores.
    pub cores: Vec<Core>,
    /// CPUs that this process may use: online, in its cgroup's cpuset, in its affinity mask.
    pub allowed: CpuSet,
    /// Ceilings that a cgroup sets.
    pub limits: Limits,
    /// Installed memory.
    pub memory_bytes: u64,
    /// GPUs that a program started here may use.
    pub gpus: Vec<Gpu>,
    /// Kernel release.
    pub kernel: String,
    /// Memory modes that were tried here and don't work, by their word, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_modes: BTreeMap<String, String>,
    /// Facts that a reader should know, such as a guess.
    pub notes: Vec<String>,
}

/// Where a [`Machine`] comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineSource {
    /// This very machine: binding works.
    #[default]
    Live,
    /// A hwloc XML file: for planning only.
    Xml,
    /// A hwloc synthetic description: for planning only.
    Synthetic,
}

/// The processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Marketing name, blanks squeezed.
    pub model: String,
    /// `GenuineIntel`, `AuthenticAMD`, …
    pub vendor: String,
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// Instruction-set extensions that matter to libtorch, in the kernel's spelling.
    pub isa: Vec<String>,
}

impl Cpu {
    /// Whether it has instructions for products of bfloat16 numbers.
    pub fn multiplies_bf16(&self) -> bool {
        self.isa.iter().any(|name| matches!(name.as_str(), "avx512_bf16" | "amx_bf16" | "bf16"))
    }
}

/// A NUMA node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The kernel's number.
    #[serde(deserialize_with = "os_set::believed")]
    pub number: u32,
    /// Its CPUs; empty for a memory-only node.
    pub cpus: CpuSet,
    /// Its memory; 0 for a node without.
    pub memory_bytes: u64,
    /// Whether this process may allocate there (cgroup `cpuset.mems`).
    pub allowed: bool,
    /// Relative distance to each node of [`Machine::nodes`], itself 10; empty when unknown.
    pub distances: Vec<u32>,
}

/// A physical core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Its hardware threads (SMT siblings), whether allowed or not.
    pub cpus: CpuSet,
    /// Index into [`Machine::packages`].
    pub package: usize,
    /// Number of its NUMA node.
    #[serde(deserialize_with = "os_set::believed")]
    pub node: u32,
    /// Index into [`Machine::l3_groups`].
    pub l3_group: usize,
    /// Its kind where the machine mixes kinds.
    pub kind: CoreKind,
}

/// What kind of core, on machines that mix them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreKind {
    /// Every core of the machine is alike.
    #[default]
    Uniform,
    /// A fast core.
    Performance,
    /// A slower core that saves power.
    Efficiency,
}

/// Ceilings set by the process's cgroup; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// CPU seconds per second (`cpu.max`, `cpu.cfs_quota_us`).
    pub cpu_quota: Option<f64>,
    /// Bytes (`memory.max`, `memory.limit_in_bytes`).
    pub memory_bytes: Option<u64>,
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Marketing name.
    pub model: String,
    /// Its memory.
    pub memory_bytes: u64,
    /// Driver version.
    pub driver: String,
    /// The highest CUDA version that the driver runs; empty when unknown.
    pub cuda: String,
    /// Its id with the driver; like what follows, unknown to older versions.
    #[serde(default)]
    pub uuid: String,
    /// Its address, such as `0000:17:00.0`.
    #[serde(default)]
    pub pci: String,
    /// The NUMA node that it is connected to; `None` where the kernel knows none.
    #[serde(default)]
    pub numa_node: Option<u32>,
}

impl Machine {
    /// Physical cores with at least one allowed CPU.
    pub fn usable_cores(&self) -> impl Iterator<Item = &Core> {
        self.cores.iter().filter(|core| !core.cpus.is_disjoint(&self.allowed))
    }

    /// All of its CPUs, those included that this process may not use.
    pub fn all_cpus(&self) -> CpuSet {
        self.cores.iter().flat_map(|core| core.cpus.iter()).collect()
    }

    /// How many physical cores this process may use.
    pub fn core_count(&self) -> usize {
        self.usable_cores().count()
    }

    /// Nodes on which this process may allocate; where a description tells no memory sizes, those
    /// that have CPUs.
    pub fn memory_nodes(&self) -> NodeSet {
        let sizes_known = self.nodes.iter().any(|node| node.memory_bytes > 0);
        let holds = |node: &&Node| {
            node.allowed && if sizes_known { node.memory_bytes > 0 } else { !node.cpus.is_empty() }
        };
        self.nodes.iter().filter(holds).map(|node| node.number).collect()
    }

    /// The allowed CPUs of the nodes that its GPUs are connected to; `None` where that is not known.
    pub fn cpus_near_gpus(&self) -> Option<CpuSet> {
        let nodes: NodeSet = self.gpus.iter().filter_map(|gpu| gpu.numa_node).collect();
        let near = self.cores.iter().filter(|core| nodes.contains(core.node));
        let near: CpuSet = near.flat_map(|core| core.cpus.iter()).collect();
        Some(near.intersection(&self.allowed)).filter(|near| !near.is_empty())
    }

    /// Memory that this process may use: the machine's, under the cgroup's limit; 0 when unknown.
    pub fn usable_memory_bytes(&self) -> u64 {
        self.limits.memory_bytes.unwrap_or(u64::MAX).min(self.memory_bytes)
    }

    /// Whether this is a Threadripper PRO, as the WAN22 optimizer decides it.
    pub fn is_threadripper_pro(&self) -> bool {
        self.cpu.model.contains("Threadripper PRO")
    }

    /// Whether a GPU is an RTX 4080, as the WAN22 optimizer decides it.
    pub fn is_rtx_4080(&self) -> bool {
        self.gpus.iter().any(|gpu| gpu.model.contains("RTX 4080"))
    }
}
