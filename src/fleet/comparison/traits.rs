//! Traits: what tells one machine of a fleet from another.

use serde::Serialize;

use crate::machine::{Fingerprint, Machine};

/// A machine in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traits {
    /// Host name.
    pub host: String,
    /// Marketing name of the processor.
    pub processor: String,
    /// Physical cores that may be used.
    pub cores: usize,
    /// Threads that can run at once.
    pub cpus: usize,
    /// Packages.
    pub packages: usize,
    /// L3 groups with a CPU that may be used.
    pub l3_groups: usize,
    /// Size of the largest L3.
    pub l3_bytes: u64,
    /// NUMA nodes with memory.
    pub nodes: usize,
    /// Memory that may be used.
    pub memory_bytes: u64,
    /// GPUs, by name.
    pub gpus: Vec<String>,
    /// Instruction-set extensions that matter to libtorch.
    pub isa: Vec<String>,
    /// Kernel release.
    pub kernel: String,
    /// What tells it from others.
    pub fingerprint: Fingerprint,
    /// The same for machines of one shape, allowed CPUs, quota and GPUs.
    pub class: String,
}

impl Traits {
    /// The traits of a machine.
    pub fn of(machine: &Machine) -> Self {
        let usable = |group: &&crate::machine::CpuSet| !group.is_disjoint(&machine.allowed);
        Self {
            host: machine.host.clone(),
            processor: machine.cpu.model.clone(),
            cores: machine.core_limit(),
            cpus: machine.thread_limit(),
            packages: machine.packages.len(),
            l3_groups: machine.l3_groups.iter().filter(usable).count(),
            l3_bytes: machine.l3_bytes,
            nodes: machine.memory_nodes().len(),
            memory_bytes: machine.usable_memory_bytes(),
            gpus: machine.gpus.iter().map(|gpu| gpu.model.clone()).collect(),
            isa: machine.cpu.isa.clone(),
            kernel: machine.kernel.clone(),
            fingerprint: machine.fingerprint(),
            class: machine.class(),
        }
    }

    /// The properties that are numbers, by name.
    pub fn numbers(&self) -> [(&'static str, f64); 7] {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        [
            ("cores", self.cores as f64),
            ("CPUs", self.cpus as f64),
            ("packages", self.packages as f64),
            ("L3 groups", self.l3_groups as f64),
            ("L3, GiB", gib(self.l3_bytes)),
            ("nodes", self.nodes as f64),
            ("memory, GiB", gib(self.memory_bytes)),
        ]
    }
}
