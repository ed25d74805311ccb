//! Given: what a machine, a baseline and a workload say to the expressions of a space file.

use std::collections::BTreeMap;

use super::resolve::SpaceError;
use super::{Candidate, Space, SpaceFile};
use crate::knobs::{Baseline, Host, KNOBS, Knob, Knobs, Preset, Value};
use crate::machine::{CoreKind, HIGHEST_INDEX, Machine};
use crate::workload::Workload;

/// What expressions may speak of besides knobs: facts of the machine and of the workload
/// (`cores`, `cpus`, `nodes`, …) and the baseline's values (`baseline.batch_size`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Facts by name.
    pub facts: BTreeMap<String, i64>,
    /// The baseline's value of every knob.
    pub baseline: BTreeMap<String, Value>,
}

impl Given {
    /// The facts that space files may speak of.
    pub fn of(machine: &Machine, baseline: &Baseline, workload: &Workload) -> Self {
        let siblings = |core: &crate::machine::Core| core.cpus.intersection(&machine.allowed).len();
        let shared = machine.l3_groups.iter().filter(|group| !group.is_disjoint(&machine.allowed));
        let efficient = machine.usable_cores().filter(|core| core.kind == CoreKind::Efficiency);
        let job = workload.whole().sizes;
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
            ("bf16", machine.cpu.multiplies_bf16().into()),
            ("clips", job.clips as usize),
            ("width", job.width as usize),
            ("height", job.height as usize),
            ("frames", job.frames as usize),
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
    /// As [`Space::resolve`]; a value that no knob knows; a baseline that this machine can't run.
    pub fn for_machine(
        file: &SpaceFile,
        machine: &Machine,
        baseline: &Baseline,
        workload: &Workload,
        experts: bool,
    ) -> Result<Self, SpaceError> {
        let host = Host::of(machine);
        let is_set = |(name, _): &&(&str, &dyn Knob)| !baseline.knobs.as_is.contains(*name);
        let absent = |(_, knob): &(_, &dyn Knob)| knob.unavailable(&baseline.knobs, &host);
        if let Some(problem) = KNOBS.iter().filter(is_set).find_map(absent) {
            return Err(SpaceError { place: "baseline".to_owned(), problem });
        }
        let mut given = Given::of(machine, baseline, workload);
        given.facts.insert("expert".to_owned(), experts.into());
        let mut space = Self::resolve(file, given, experts)?;
        for knob in &mut space.knobs {
            leave_out(knob, machine, &baseline.knobs)
                .map_err(|problem| SpaceError { place: format!("knob.{}", knob.name), problem })?;
        }
        Ok(space)
    }

    /// The candidate that comes nearest to a preset fitted to `machine`; `None` where that is the
    /// baseline, or breaks a constraint.
    pub fn of_preset(&self, preset: Preset, machine: &Machine) -> Option<Candidate> {
        let values = Baseline::fit(preset, machine).knobs.values();
        let mut candidate = self.baseline();
        for (position, knob) in self.knobs.iter().enumerate() {
            let level = values.get(&knob.name).and_then(|value| knob.nearest(value));
            candidate = candidate.with(position, level.unwrap_or(knob.baseline));
        }
        let candidate = self.canonical(&candidate);
        Some(candidate).filter(|one| *one != self.baseline() && self.is_legal(one))
    }
}

/// Moves the levels that the machine can't have from [`levels`](super::Knob::levels) to [`absent`](super::Knob::absent).
fn leave_out(knob: &mut super::KnobDomain, machine: &Machine, usual: &Knobs) -> Result<(), String> {
    let resting = knob.levels[knob.baseline].clone();
    for level in std::mem::take(&mut knob.levels) {
        match unavailable(machine, usual, &knob.name, &level)? {
            None => knob.levels.push(level),
            Some(_) if level == resting && usual.as_is.contains(&knob.name) => {
                knob.levels.push(level);
            }
            Some(reason) if level == resting => {
                return Err(format!(
                    "this machine can't run the baseline's value {level}: {reason}"
                ));
            }
            Some(reason) => drop(knob.absent.insert(level.to_string(), reason)),
        }
    }
    knob.baseline = knob.levels.iter().position(|level| *level == resting).unwrap_or(0);
    Ok(())
}

/// Why the machine can't have the value at all; whether it goes together with the others is a
/// question for each candidate.
///
/// # Errors
/// The value is none of the knob's.
fn unavailable(
    machine: &Machine,
    usual: &Knobs,
    name: &str,
    value: &Value,
) -> Result<Option<String>, String> {
    let knobs = usual.with([(name, value)])?;
    let Some((_, knob)) = KNOBS.iter().find(|(known, _)| *known == name) else { return Ok(None) };
    let range = knob.check_range(&knobs, HIGHEST_INDEX as usize);
    range.map_err(|range| format!("{name} = {value}: {range}"))?;
    Ok(knob.unavailable(&knobs, &Host::of(machine)))
}
