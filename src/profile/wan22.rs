//! What the WAN22 system optimizer stores, as a baseline to start from.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::read::scan::scan;
use super::{Profile, ProfileError};
use crate::knobs::memory::MemoryMode;
use crate::knobs::placement::{Layout, PoolSizes};
use crate::knobs::{Baseline, HardwareProfile, Knobs, OptimalSettings, Precision};
use crate::machine::{CpuSet, Machine};

/// The most clips of a batch.
const MOST_CLIPS: u32 = 1024;

/// Its file: the first three keys of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read so that odd values are refused")]
struct Wan22Profile {
    hardware_profile: HardwareProfile,
    optimal_settings: OptimalSettings,
    timestamp: String,
}

impl Baseline {
    /// The baseline that a file gives: a profile of ours, or one of the WAN22 optimizer's. What the
    /// file leaves open is the preset's. Also says, in words, what of it can't be used here.
    ///
    /// # Errors
    /// Where the file is wrong, and why.
    pub fn from_file(
        self,
        text: &str,
        machine: &Machine,
    ) -> Result<(Self, Vec<String>), ProfileError> {
        let scanned = scan(text)?;
        if scanned.get("schema").is_some() {
            let profile = Profile::parse(text)?;
            let knobs = profile.knobs(&self.knobs);
            let knobs = knobs.map_err(|reason| ProfileError::at(["candidate"], reason))?;
            return Ok((self.with(|own| *own = knobs), Vec::new()));
        }
        let read: Wan22Profile = super::read::typed(&scanned)?;
        let optimal = read.optimal_settings;
        let mut notes = Vec::new();
        let knobs = knobs(&self, &optimal, machine, &mut notes);
        // What no knob stands for goes with the profile that a tune ships.
        let optimal = shippable(optimal, &knobs, self.optimal.memory_fraction, &mut notes);
        Ok((Self { optimal, ..self }.with(|own| *own = knobs), notes))
    }
}

fn knobs(
    fitted: &Baseline,
    optimal: &OptimalSettings,
    machine: &Machine,
    notes: &mut Vec<String>,
) -> Knobs {
    let most = 4 * machine.thread_limit() + 64;
    let mut count = |key: &str, count: usize| {
        let possible = count.clamp(1, most);
        if possible != count {
            notes
                .push(format!("{key} {count}: this machine takes 1 to {most}; {possible} is used"));
        }
        possible
    };
    let mut knobs = Knobs {
        intra_op_threads: count("num_threads", optimal.num_threads),
        // The WAN22 optimizer hands this number to set_num_interop_threads.
        inter_op_threads: count("preprocessing_threads", optimal.preprocessing_threads),
        preprocess_workers: count("parallel_workers", optimal.parallel_workers),
        io_workers: count("io_threads", optimal.io_threads),
        ..fitted.knobs.clone()
    };
    knobs.tile_size = tile("tile_size", optimal.tile_size, notes);
    knobs.vae_tile_size = tile("vae_tile_size", optimal.vae_tile_size, notes);
    knobs.batch_size = optimal.batch_size.clamp(1, MOST_CLIPS);
    if knobs.batch_size != optimal.batch_size {
        notes.push(format!(
            "batch_size {}: a batch takes 1 to {MOST_CLIPS} clips; {} is used",
            optimal.batch_size, knobs.batch_size
        ));
    }
    precision(&mut knobs, optimal, notes);
    places(&mut knobs, optimal, machine, notes);
    knobs
}

/// What of the optimizer's settings goes into the profile that a tune ships, which takes no number
/// that nothing can run with.
fn shippable(
    optimal: OptimalSettings,
    knobs: &Knobs,
    usual_fraction: f64,
    notes: &mut Vec<String>,
) -> OptimalSettings {
    let fraction = optimal.memory_fraction;
    let possible = match fraction {
        _ if fraction > 1.0 => 1.0,
        _ if fraction > 0.0 => fraction,
        _ => usual_fraction,
    };
    if possible.to_bits() != fraction.to_bits() {
        notes.push(format!(
            "memory_fraction {fraction}: it takes more than 0, at most 1; {possible} is used"
        ));
    }
    let ascending = |numbers: Option<Vec<u32>>| {
        let numbers: Option<BTreeSet<u32>> = numbers.map(|numbers| numbers.into_iter().collect());
        numbers.map(|numbers| numbers.into_iter().collect())
    };
    OptimalSettings {
        memory_fraction: possible,
        num_threads: knobs.intra_op_threads,
        preprocessing_threads: knobs.inter_op_threads,
        parallel_workers: knobs.preprocess_workers,
        io_threads: knobs.io_workers,
        numa_nodes: ascending(optimal.numa_nodes),
        cpu_affinity: ascending(optimal.cpu_affinity),
        ..optimal
    }
}

/// A tile's side: ours are squares of a multiple of 16 pixels.
fn tile(key: &str, [width, height]: [u32; 2], notes: &mut Vec<String>) -> u32 {
    let side = (width.clamp(32, 8192) / 16) * 16;
    if [width, height] != [side; 2] {
        notes.push(format!(
            "{key} {width}x{height}: tiles are squares of a multiple of 16 pixels; {side} is used"
        ));
    }
    side
}

fn precision(knobs: &mut Knobs, optimal: &OptimalSettings, notes: &mut Vec<String>) {
    match (optimal.use_fp16, optimal.use_bf16) {
        (false, true) => knobs.precision = Precision::Bf16,
        (false, false) => knobs.precision = Precision::Fp32,
        (true, _) => notes
            .push(format!("use_fp16: float16 is for GPUs; on CPUs {} is used", knobs.precision)),
    }
}

fn places(
    knobs: &mut Knobs,
    optimal: &OptimalSettings,
    machine: &Machine,
    notes: &mut Vec<String>,
) {
    let wanted: CpuSet = optimal.cpu_affinity.iter().flatten().copied().collect();
    let demand = PoolSizes {
        model: knobs.intra_op_threads,
        io: knobs.io_workers,
        preprocess: knobs.preprocess_workers,
        batch: knobs.batch_workers,
    };
    knobs.affinity = Layout::None;
    if !wanted.is_empty() {
        let (layout, cpus) = nearest(&wanted, machine, demand);
        knobs.affinity = layout;
        if cpus != wanted {
            notes.push(format!(
                "cpu_affinity {wanted}: the nearest layout here is {layout}, CPUs {cpus}"
            ));
        }
    }
    let several = machine.memory_nodes().len() > 1;
    let on = optimal.enable_numa_optimization;
    knobs.memory_mode = if on { MemoryMode::Baseline } else { MemoryMode::Default };
    if on && !several {
        notes.push("enable_numa_optimization: this machine has one node".to_owned());
    }
    let nodes: CpuSet = optimal.numa_nodes.iter().flatten().copied().collect();
    if on && !nodes.is_empty() && nodes != machine.memory_nodes() {
        let here = machine.memory_nodes();
        notes.push(format!("numa_nodes {nodes}: the nodes here are {here}, all of which are used"));
    }
}

/// The layout whose process has the most CPUs in common with those wanted, and the fewest others.
fn nearest(wanted: &CpuSet, machine: &Machine, demand: PoolSizes) -> (Layout, CpuSet) {
    let distance = |cpus: &CpuSet| wanted.union(cpus).len() - wanted.intersection(cpus).len();
    let places = Layout::distinct(machine, demand).into_iter();
    let places = places.map(|(layout, placement)| (layout, placement.process));
    places.min_by_key(|(_, cpus)| distance(cpus)).expect("every machine has the layout `none`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;

    fn optimal() -> serde_json::Value {
        serde_json::json!({
            "tile_size": [256, 256], "batch_size": 3, "enable_cpu_offload": true,
            "enable_tensor_cores": true, "memory_fraction": 0.7, "num_threads": 6,
            "enable_xformers": false, "vae_tile_size": [200, 128], "text_encoder_offload": true,
            "vae_offload": true, "use_fp16": false, "use_bf16": true,
            "gradient_checkpointing": false, "numa_nodes": [0, 1], "cpu_affinity": [1, 0, 2, 3],
            "parallel_workers": 5, "enable_numa_optimization": true, "preprocessing_threads": 2,
            "io_threads": 900,
        })
    }

    fn file(optimal: &serde_json::Value) -> String {
        serde_json::json!({
            "hardware_profile": {
                "cpu_model": "x", "cpu_cores": 8, "total_memory_gb": 16, "gpu_model": "Unknown",
                "vram_gb": 0, "cuda_version": "Unknown", "driver_version": "Unknown",
                "is_rtx_4080": false, "is_threadripper_pro": false,
            },
            "optimal_settings": optimal,
            "timestamp": "2025-01-01T00:00:00.123456",
        })
        .to_string()
    }

    fn two_nodes() -> Machine {
        Machine::synthetic("package:2 [numa(memory=8GB)] core:4 pu:1")
    }

    #[test]
    fn its_settings_become_knobs_and_what_can_not_is_told() {
        let machine = two_nodes();
        let fitted = Baseline::fit(Preset::Generic, &machine);
        let (baseline, notes) = fitted.from_file(&file(&optimal()), &machine).unwrap();
        let knobs = &baseline.knobs;
        assert_eq!((knobs.intra_op_threads, knobs.inter_op_threads), (6, 2));
        assert_eq!((knobs.preprocess_workers, knobs.io_workers), (5, 96));
        assert_eq!((knobs.tile_size, knobs.vae_tile_size, knobs.batch_size), (256, 192, 3));
        assert_eq!((knobs.precision, knobs.memory_mode), (Precision::Bf16, MemoryMode::Baseline));
        assert_eq!(knobs.affinity, Layout::OneL3);
        assert!((baseline.optimal.memory_fraction - 0.7).abs() < 1e-9);
        let expected = [
            "io_threads 900: this machine takes 1 to 96; 96 is used",
            "vae_tile_size 200x128: tiles are squares of a multiple of 16 pixels; 192 is used",
        ];
        assert_eq!(notes, expected);
        assert!(knobs.resolve(&machine).is_ok());
    }

    #[test]
    fn what_nothing_can_run_with_is_told_and_never_shipped() {
        let machine = two_nodes();
        let mut odd = optimal();
        (odd["batch_size"], odd["memory_fraction"]) = (0.into(), 2.0.into());
        (odd["io_threads"], odd["vae_tile_size"]) = (0.into(), serde_json::json!([192, 192]));
        let fitted = Baseline::fit(Preset::Generic, &machine);
        let (baseline, notes) = fitted.clone().from_file(&file(&odd), &machine).unwrap();
        let expected = [
            "io_threads 0: this machine takes 1 to 96; 1 is used",
            "batch_size 0: a batch takes 1 to 1024 clips; 1 is used",
            "memory_fraction 2: it takes more than 0, at most 1; 1 is used",
        ];
        assert_eq!(notes, expected);
        let made = "2026-11-24T10:00:00Z".to_owned();
        let profile = Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap();
        let shipped = Profile::parse(&serde_json::to_string(&profile).unwrap()).unwrap();
        assert_eq!(shipped.optimal_settings.cpu_affinity, Some(vec![0, 1, 2, 3]));
        odd["memory_fraction"] = (-0.5).into();
        let (_, notes) = fitted.from_file(&file(&odd), &machine).unwrap();
        assert!(notes[2].ends_with("at most 1; 0.8 is used"), "{notes:?}");
    }

    #[test]
    fn one_key_more_or_less_is_refused_by_its_name() {
        let machine = two_nodes();
        let refused = |optimal: &serde_json::Value| {
            let fitted = Baseline::fit(Preset::Generic, &machine);
            fitted.from_file(&file(optimal), &machine).unwrap_err().to_string()
        };
        let mut more = optimal();
        more["shell"] = "id".into();
        assert!(
            refused(&more).contains("/optimal_settings/shell: unknown field"),
            "{}",
            refused(&more)
        );
        let mut less = optimal();
        less.as_object_mut().unwrap().remove("io_threads");
        assert!(refused(&less).contains("missing field `io_threads`"), "{}", refused(&less));
    }
}
