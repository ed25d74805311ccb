//! What a machine, a baseline and a workload say to the expressions of a space file.

use std::collections::BTreeMap;

use super::resolve::SpaceError;
use super::{Given, Space, SpaceFile, Value};
use crate::launch::{Layout, MemoryMode};
use crate::machine::{CoreKind, Machine, Roots, Source};
use crate::settings::{Baseline, Knobs};
use crate::workload::Workload;

impl Given {
    /// The facts that space files may speak of.
    pub fn of(machine: &Machine, baseline: &Baseline, workload: &Workload) -> Self {
        let siblings = |core: &crate::machine::Core| core.cpus.intersection(&machine.allowed).len();
        let shared = machine.l3_groups.iter().filter(|group| !group.is_disjoint(&machine.allowed));
        let efficient = machine.usable_cores().filter(|core| core.kind == CoreKind::Efficiency);
        let facts = [
            ("cores", machine.core_limit()),
            ("cpus", machine.thread_limit()),
            ("nodes", machine.memory_nodes().len()),
            ("l3_groups", shared.count()),
            ("packages", machine.packages.len()),
            ("smt", machine.usable_cores().map(siblings).max().unwrap_or(1)),
            ("efficiency_cores", efficient.count()),
            ("memory_gib", (machine.usable_memory_bytes() >> 30) as usize),
            ("gpus", machine.gpus.len()),
            ("clips", workload.sizes.clips as usize),
            ("width", workload.sizes.width as usize),
            ("height", workload.sizes.height as usize),
            ("frames", workload.sizes.frames as usize),
        ];
        let facts: BTreeMap<String, i64> =
            facts.into_iter().map(|(name, fact)| (name.to_owned(), fact as i64)).collect();
        Self { facts, baseline: baseline.knobs.values() }
    }
}

impl Space {
    /// Resolves a file and leaves out the values that this machine can't have.
    ///
    /// # Errors
    /// As [`Space::resolve`], and a word that no knob knows.
    pub fn for_machine(
        file: &SpaceFile,
        machine: &Machine,
        baseline: &Baseline,
        workload: &Workload,
        experts: bool,
    ) -> Result<Self, SpaceError> {
        let mut space = Self::resolve(file, Given::of(machine, baseline, workload), experts)?;
        for knob in &mut space.knobs {
            let usual = knob.levels[knob.baseline].clone();
            let mut offered = Vec::new();
            for level in std::mem::take(&mut knob.levels) {
                let place = || format!("knob.{}", knob.name);
                if is_offered(machine, &baseline.knobs, &knob.name, &level)
                    .map_err(|problem| SpaceError { place: place(), problem })?
                {
                    offered.push(level);
                }
            }
            if !offered.contains(&usual) {
                let problem = format!("this machine can't run the baseline's value {usual}");
                return Err(SpaceError { place: format!("knob.{}", knob.name), problem });
            }
            knob.baseline = offered.iter().position(|level| *level == usual).unwrap_or(0);
            knob.levels = offered;
        }
        Ok(space)
    }
}

/// Whether the machine has the value at all; whether it goes together with the others is a
/// question for each candidate.
///
/// # Errors
/// The value is none of the knob's.
fn is_offered(machine: &Machine, usual: &Knobs, name: &str, value: &Value) -> Result<bool, String> {
    let knobs = usual.with([(name, value)])?;
    let layout = knobs.affinity == usual.affinity || Layout::of(machine).contains(&knobs.affinity);
    let mode = MemoryMode::of(machine).contains(&knobs.memory_mode);
    // What a machine that is only planned for has installed, nobody knows.
    let planned = machine.source != Source::Live;
    let allocator = planned || knobs.allocator.is_installed(&Roots::live());
    let isa = knobs.onednn_isa.limits(machine);
    Ok(layout && mode && allocator && isa)
}
