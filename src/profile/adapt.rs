//! Adapting: what a profile of another machine comes to on this one.
//!
//! Counts keep their share of the cores, and whatever this machine can't have gives way to what is
//! nearest to it. It is a guess by topology, never measured: only a tune here proves anything.

use super::Profile;
use crate::knobs::affinity::Layout;
use crate::knobs::allocator::Allocator;
use crate::knobs::huge_pages::HugePages;
use crate::knobs::isa::OnednnIsa;
use crate::knobs::memory::MemoryMode;
use crate::knobs::openmp::OmpRuntime;
use crate::knobs::{Baseline, Knobs, Precision, Preset, Settings};
use crate::machine::{Machine, SystemRoots};

/// A profile's candidate, fitted to another machine.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// The candidate.
    pub knobs: Knobs,
    /// What it comes to.
    pub settings: Settings,
    /// What was changed and why, one line a knob.
    pub changes: Vec<String>,
}

impl Profile {
    /// Fits the candidate to `machine`.
    ///
    /// # Errors
    /// The machine can't run it in any way.
    pub fn adapt(&self, machine: &Machine) -> Result<Adapted, String> {
        let baseline = Baseline::fit(Preset::detect(machine), machine);
        let given = self.knobs(&baseline.knobs)?;
        let mut knobs = given.clone();
        let there = self.hardware_profile.cpu_cores.min(self.tuned_quota().unwrap_or(usize::MAX));
        let mut reasons = scale(&mut knobs, there, machine);
        reasons.extend(replace_libraries(&mut knobs, &SystemRoots::live()));
        reasons.extend(replace_numbers(&mut knobs, machine));
        reasons.extend(replace_places(&mut knobs, machine));
        let settings = knobs.resolve(machine)?;
        let (old, new) = (given.values(), knobs.values());
        let change = |(name, reason): (&str, String)| {
            (old[name] != new[name])
                .then(|| format!("{name} {} -> {}: {reason}", old[name], new[name]))
        };
        Ok(Adapted {
            knobs: knobs.clone(),
            settings,
            changes: reasons.into_iter().filter_map(change).collect(),
        })
    }
}

/// A knob and why it may have changed.
type Reason = (&'static str, String);

fn scale(knobs: &mut Knobs, there: usize, machine: &Machine) -> Vec<Reason> {
    let here = machine.core_limit();
    // Threads above a quota are stopped in turn, however many a core could have.
    let most = machine.quota_ceiling().unwrap_or(usize::MAX);
    let scaled = |count: usize| ((count * here + there / 2) / there).clamp(1, most);
    let counts = [
        ("intra_op_threads", &mut knobs.intra_op_threads),
        ("inter_op_threads", &mut knobs.inter_op_threads),
        ("io_workers", &mut knobs.io_workers),
        ("preprocess_workers", &mut knobs.preprocess_workers),
        ("batch_workers", &mut knobs.batch_workers),
    ];
    let words = match machine.limits.cpu_quota.filter(|_| machine.quota_ceiling().is_some()) {
        Some(quota) => format!("{there} cores there, a quota of {quota} CPUs' time here"),
        None => format!("{there} cores there, {here} here"),
    };
    let reason = |(name, count): (&'static str, &mut usize)| {
        *count = scaled(*count);
        (name, words.clone())
    };
    counts.into_iter().map(reason).collect()
}

fn replace_libraries(knobs: &mut Knobs, roots: &SystemRoots) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(reason) = knobs.allocator.refusal(roots) {
        knobs.allocator = Allocator::GlibcKeep;
        reasons.push(("allocator", reason));
    }
    if let Some(reason) = knobs.omp_runtime.refusal(roots) {
        knobs.omp_runtime = OmpRuntime::default();
        reasons.push(("omp_runtime", reason));
    }
    if let Some(reason) = knobs.huge_pages.refusal(roots) {
        knobs.huge_pages = HugePages::default();
        reasons.push(("huge_pages", reason));
    }
    reasons
}

fn replace_numbers(knobs: &mut Knobs, machine: &Machine) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !machine.cpu.multiplies_bf16() {
        knobs.precision = Precision::Fp32;
        let reason = "this processor has no instructions for bfloat16, which is far slower without";
        reasons.push(("precision", reason.to_owned()));
    }
    if !knobs.onednn_isa.limits(machine) {
        knobs.onednn_isa = OnednnIsa::Newest;
        reasons.push(("onednn_isa", "this processor has no newer instructions".to_owned()));
    }
    reasons
}

/// The layout and the memory mode: the nearest that this machine has.
fn replace_places(knobs: &mut Knobs, machine: &Machine) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let candidates = || {
        let layouts = [knobs.affinity].into_iter().chain(nearest_layouts(knobs.affinity));
        let modes = [knobs.memory_mode].into_iter().chain(nearest_modes(knobs.memory_mode));
        let modes: Vec<MemoryMode> = modes.collect();
        let pairs = layouts
            .flat_map(move |layout| modes.clone().into_iter().map(move |mode| (layout, mode)));
        pairs.collect::<Vec<_>>()
    };
    for (affinity, memory_mode) in candidates() {
        let tried = Knobs { affinity, memory_mode, ..knobs.clone() };
        if tried.resolve(machine).is_ok() {
            *knobs = tried;
            break;
        }
    }
    reasons.push(("affinity", "this machine has no such layout".to_owned()));
    reasons.push(("memory_mode", "this machine has no such mode".to_owned()));
    reasons
}

/// What comes nearest to a layout, best first; everywhere is the last resort.
fn nearest_layouts(layout: Layout) -> Vec<Layout> {
    use Layout as L;
    let nearer: &[Layout] = match layout {
        L::None | L::Baseline | L::PhysicalCores | L::Compact => &[],
        L::SmtSiblings => &[L::Compact],
        L::SpreadL3 => &[L::SpreadNodes, L::Compact],
        L::SpreadNodes => &[L::SpreadL3, L::Compact],
        L::OneL3 => &[L::OneNode],
        L::OneNode => &[L::OneL3],
        L::PerformanceCores => &[L::PhysicalCores],
        L::PartitionedL3 => &[L::PartitionedNodes, L::Compact],
        L::PartitionedNodes => &[L::PartitionedL3, L::Compact],
        L::PartitionedKinds => &[L::PartitionedL3, L::PartitionedNodes, L::Compact],
    };
    nearer.iter().copied().chain([L::None]).collect()
}

fn nearest_modes(mode: MemoryMode) -> Vec<MemoryMode> {
    let nearer: &[MemoryMode] = match mode {
        MemoryMode::WeightedInterleave => &[MemoryMode::Interleave],
        _ => &[],
    };
    nearer.iter().copied().chain([MemoryMode::Default]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile of 64 cores on 4 nodes that uses what smaller machines lack.
    fn large() -> Profile {
        let machine = Machine::from_synthetic("package:2 [numa(memory=8GB)] l3:4 core:8 pu:2");
        let machine = machine.unwrap();
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let mut knobs = baseline.knobs.clone();
        (knobs.intra_op_threads, knobs.inter_op_threads) = (48, 16);
        (knobs.affinity, knobs.memory_mode) = (Layout::PartitionedNodes, MemoryMode::Interleave);
        (knobs.io_workers, knobs.preprocess_workers) = (4, 8);
        Profile::new(&machine, &baseline, &knobs, "2026-11-24T10:00:00Z".to_owned()).unwrap()
    }

    #[test]
    fn counts_keep_their_share_and_the_nearest_layout_is_taken() {
        let small =
            Machine::from_synthetic("package:1 [numa(memory=8GB)] l3:2 core:4 pu:1").unwrap();
        let adapted = large().adapt(&small).unwrap();
        assert_eq!(adapted.settings.intra_op_threads, 6);
        assert_eq!(adapted.settings.inter_op_threads, 2);
        // Two L3 groups instead of two nodes: the model takes one, the pools the other.
        assert!(adapted.settings.placement.model.is_disjoint(&adapted.settings.placement.io));
        assert_eq!(adapted.settings.memory, crate::knobs::memory::MemoryPolicy::Default);
        let changes = adapted.changes.join("\n");
        for expected in [
            "intra_op_threads 48 -> 6: 64 cores there, 8 here",
            "io_workers 4 -> 1: 64 cores there, 8 here",
            "affinity partitioned-nodes -> partitioned-l3: this machine has no such layout",
            "memory_mode interleave -> default: this machine has no such mode",
        ] {
            assert!(changes.contains(expected), "{changes}");
        }
    }

    #[test]
    fn one_cpu_is_enough_and_the_same_machine_changes_nothing() {
        let tiny = Machine::from_synthetic("package:1 core:1 pu:1").unwrap();
        let adapted = large().adapt(&tiny).unwrap();
        assert_eq!(adapted.settings.placement.process.to_string(), "0");
        assert_eq!(adapted.settings.intra_op_threads, 1);
        let same =
            Machine::from_synthetic("package:2 [numa(memory=8GB)] l3:4 core:8 pu:2").unwrap();
        assert_eq!(large().adapt(&same).unwrap().changes, [""; 0]);
    }
}
