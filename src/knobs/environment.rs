//! The environment that settings put around a process.

use std::collections::BTreeMap;

use super::{Knobs, Preset};
use crate::knobs::affinity::Placement;
use crate::knobs::allow_list::CUDA_ALLOCATOR;
use crate::knobs::memory::MemoryMode;
use crate::machine::Machine;

impl Knobs {
    /// The variables that follow from the knobs alone, as the WAN22 optimizer sets them for the
    /// 5995WX.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let threads = self.intra_op_threads.to_string();
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        for name in
            ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TORCH_NUM_THREADS"]
        {
            environment.insert(name.to_owned(), threads.clone());
        }
        environment.insert("MALLOC_ARENA_MAX".to_owned(), self.malloc_arenas.to_string());
        for (name, value) in chosen_at_start(self) {
            // LD_PRELOAD and GLIBC_TUNABLES are lists that two knobs may add to.
            let list = environment.entry(name.to_owned()).or_default();
            *list += if list.is_empty() { "" } else { ":" };
            *list += value;
        }
        if let Some(isa) = self.onednn_isa.value() {
            environment.insert("ONEDNN_MAX_CPU_ISA".to_owned(), isa.to_owned());
        }
        environment
    }
}

/// Variables and values: those of the knobs, and those that follow from the machine.
pub fn of(knobs: &Knobs, placement: &Placement, machine: &Machine) -> BTreeMap<String, String> {
    let mut environment = knobs.environment();
    let split = if Preset::detect(machine) == Preset::Rtx4080 { 512 } else { 1024 };
    environment.insert(CUDA_ALLOCATOR.to_owned(), format!("max_split_size_mb:{split}"));
    let dealt = knobs.omp_places.variables(placement, machine).into_iter().flatten();
    environment.extend(dealt.map(|(name, value)| (name.to_owned(), value)));
    let works = !machine.refused_modes.contains_key::<str>(knobs.memory_mode.into());
    if knobs.memory_mode == MemoryMode::Baseline && works {
        let nodes: Vec<String> = machine.memory_nodes().iter().map(|n| n.to_string()).collect();
        if let Some(first) = nodes.first() {
            environment.insert("NUMA_PREFERRED_NODE".to_owned(), first.clone());
        }
        if nodes.len() > 1 {
            environment.insert("NUMA_INTERLEAVE_NODES".to_owned(), nodes.join(","));
        }
    }
    environment
}

/// What libraries read when they are loaded. The allocator comes first in LD_PRELOAD: what is
/// preloaded after it allocates from it.
fn chosen_at_start(knobs: &Knobs) -> impl Iterator<Item = (&'static str, &'static str)> {
    let others = [
        knobs.omp_runtime.variable(),
        knobs.omp_wait.variable(),
        knobs.huge_pages.variable(),
        knobs.mkl_dispatch.variable(),
    ];
    knobs.allocator.variables().chain(others.into_iter().flatten())
}
