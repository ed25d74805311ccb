//! The environment that settings put around a process.

use std::collections::BTreeMap;

use super::{Knobs, Preset};
use crate::launch::MemoryMode;
use crate::machine::Machine;

/// Variables and values, as the WAN22 optimizer sets them for the 5995WX, from the knobs.
pub fn of(knobs: &Knobs, machine: &Machine) -> BTreeMap<String, String> {
    let threads = knobs.intra_op_threads.to_string();
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TORCH_NUM_THREADS"] {
        environment.insert(name.to_owned(), threads.clone());
    }
    environment.insert("MALLOC_ARENA_MAX".to_owned(), "4".to_owned());
    let split = if Preset::detect(machine) == Preset::Rtx4080 { 512 } else { 1024 };
    environment.insert("PYTORCH_CUDA_ALLOC_CONF".to_owned(), format!("max_split_size_mb:{split}"));
    environment.extend(knobs.allocator.environment());
    if let Some(isa) = knobs.onednn_isa.value() {
        environment.insert("ONEDNN_MAX_CPU_ISA".to_owned(), isa.to_owned());
    }
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
