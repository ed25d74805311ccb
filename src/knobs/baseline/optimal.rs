//! OptimalSettings: the part of settings that the WAN22 system optimizer stores.

use serde::{Deserialize, Serialize};

use super::{Baseline, Preset, vram_gb};
use crate::knobs::{Knobs, Precision, Settings};
use crate::machine::Machine;

/// The dataclass of the WAN22 system optimizer, key for key: its loader passes the object's
/// keys straight to the constructor, so one more or fewer makes the profile unreadable there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the WAN22 system optimizer's names; it documents them")]
pub struct OptimalSettings {
    pub tile_size: [u32; 2],
    pub batch_size: u32,
    pub enable_cpu_offload: bool,
    pub enable_tensor_cores: bool,
    pub memory_fraction: f64,
    pub num_threads: usize,
    pub enable_xformers: bool,
    pub vae_tile_size: [u32; 2],
    pub text_encoder_offload: bool,
    pub vae_offload: bool,
    pub use_fp16: bool,
    pub use_bf16: bool,
    pub gradient_checkpointing: bool,
    pub numa_nodes: Option<Vec<u32>>,
    pub cpu_affinity: Option<Vec<u32>>,
    pub parallel_workers: usize,
    pub enable_numa_optimization: bool,
    pub preprocessing_threads: usize,
    pub io_threads: usize,
}

impl OptimalSettings {
    pub(super) fn of_preset(
        preset: Preset,
        machine: &Machine,
        knobs: &Knobs,
        cores: usize,
    ) -> Self {
        let workstation = preset == Preset::Threadripper5995wx;
        let desktop = preset == Preset::Rtx4080;
        let nodes: Vec<u32> = machine.memory_nodes().iter().collect();
        Self {
            tile_size: [knobs.tile_size; 2],
            batch_size: knobs.batch_size,
            enable_cpu_offload: true,
            enable_tensor_cores: workstation || desktop,
            memory_fraction: if workstation {
                0.95
            } else if desktop {
                0.9
            } else {
                0.8
            },
            num_threads: knobs.intra_op_threads,
            enable_xformers: workstation || desktop,
            vae_tile_size: [knobs.vae_tile_size; 2],
            text_encoder_offload: !workstation,
            vae_offload: !workstation,
            use_fp16: true,
            use_bf16: workstation || desktop,
            gradient_checkpointing: desktop,
            enable_numa_optimization: workstation && nodes.len() > 1,
            numa_nodes: workstation.then_some(nodes),
            cpu_affinity: workstation.then(|| affinity(knobs, machine)).flatten(),
            parallel_workers: (cores / 8).clamp(1, 8),
            preprocessing_threads: if workstation { (cores / 4).clamp(1, 16) } else { 1 },
            io_threads: (cores / 16).clamp(1, 4),
        }
    }

    /// The baseline's, with whatever differs between its knobs and `knobs` carried over.
    pub fn tuned(
        baseline: &Baseline,
        knobs: &Knobs,
        settings: &Settings,
        machine: &Machine,
    ) -> Self {
        let mut tuned = baseline.optimal.clone();
        let old = &baseline.knobs;
        tuned.tile_size = [knobs.tile_size; 2];
        tuned.vae_tile_size = [knobs.vae_tile_size; 2];
        tuned.batch_size = knobs.batch_size;
        tuned.num_threads = knobs.intra_op_threads;
        if knobs.precision != old.precision {
            tuned.use_bf16 = knobs.precision != Precision::Fp32;
            tuned.use_fp16 = false;
        }
        if knobs.inter_op_threads != old.inter_op_threads {
            // The WAN22 optimizer hands this number to set_num_interop_threads.
            tuned.preprocessing_threads = knobs.inter_op_threads;
        }
        if knobs.preprocess_workers != old.preprocess_workers {
            tuned.parallel_workers = knobs.preprocess_workers;
        }
        if knobs.io_workers != old.io_workers {
            tuned.io_threads = knobs.io_workers;
        }
        if knobs.affinity != old.affinity {
            tuned.cpu_affinity = Some(settings.placement.process.iter().collect());
        }
        if knobs.memory_mode != old.memory_mode {
            tuned.enable_numa_optimization = settings.memory.nodes().is_some();
            let nodes = settings.memory.nodes().cloned();
            tuned.numa_nodes =
                Some(nodes.unwrap_or_else(|| machine.memory_nodes()).iter().collect());
        }
        tuned
    }
}

fn affinity(knobs: &Knobs, machine: &Machine) -> Option<Vec<u32>> {
    let settings = knobs.resolve(machine).ok()?;
    Some(settings.placement.process.iter().collect())
}

/// The WAN22 optimizer's description of a machine, key for key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the WAN22 system optimizer's names; it documents them")]
pub struct HardwareProfile {
    pub cpu_model: String,
    pub cpu_cores: usize,
    pub total_memory_gb: u64,
    pub gpu_model: String,
    pub vram_gb: u64,
    pub cuda_version: String,
    pub driver_version: String,
    pub is_rtx_4080: bool,
    pub is_threadripper_pro: bool,
}

impl HardwareProfile {
    /// The machine as the WAN22 optimizer would describe it.
    pub fn of(machine: &Machine) -> Self {
        let unknown = || "Unknown".to_owned();
        let gpu = machine.gpus.first();
        Self {
            cpu_model: machine.cpu.model.clone(),
            cpu_cores: machine.core_count(),
            total_memory_gb: vram_gb(machine.memory_bytes),
            gpu_model: gpu.map_or_else(unknown, |gpu| gpu.model.clone()),
            vram_gb: gpu.map_or(0, |gpu| vram_gb(gpu.memory_bytes)),
            cuda_version: gpu.map_or_else(unknown, |gpu| gpu.cuda.clone()),
            driver_version: gpu.map_or_else(unknown, |gpu| gpu.driver.clone()),
            is_rtx_4080: machine.is_rtx_4080(),
            is_threadripper_pro: machine.is_threadripper_pro(),
        }
    }
}
