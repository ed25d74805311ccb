//! Warm start: what other tunes found, weighted by how alike their machines and jobs are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::shipped;
use crate::evidence::blame;
use crate::machine::{Machine, MachineMatch};
use crate::profile::{Profile, ThisMachine};
use crate::results::{Folder, Results, results_in};
use crate::search::{Measurement, Observation, Transfer};
use crate::space::{Candidate, Space};
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// What another tune left behind.
#[derive(Debug)]
pub enum EarlierTune {
    /// A results folder.
    Results(Box<Results>),
    /// A profile by itself: one candidate.
    Profile(Box<Profile>),
}

/// The most results folders that a folder of them stands for.
const MOST: usize = 8;

/// Belief in what was found on a machine of the same shape, and at the most on another.
const SAME_SHAPE: f64 = 0.9;
const OTHER_SHAPE: f64 = 0.6;
/// Belief in what was found for another job, as a share.
const OTHER_JOB: f64 = 0.5;

impl EarlierTune {
    /// What `path` stands for: the newest results folders in a folder of them or of a fleet, or else
    /// itself; without what `is_own`.
    pub fn paths(path: &Path, is_own: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut inside = results_in(path);
        if inside.is_empty() {
            inside.push(path.to_owned());
        }
        inside.retain(|path| !is_own(path));
        inside.truncate(MOST);
        inside
    }

    /// Opens a results folder, a profile or a [`shipped`] tune.
    ///
    /// # Errors
    /// The path, and what is wrong there.
    pub fn open(path: &Path) -> Result<Self> {
        let place = || format!("--warm-start {}", path.display());
        if let Some(results) = shipped::named(path) {
            return Ok(Self::Results(Box::new(results.with_context(place)?)));
        }
        let folder = Folder::new(path);
        if folder.journal().exists() {
            return Ok(Self::Results(Box::new(Results::open(&folder).with_context(place)?)));
        }
        let file = if path.is_dir() { folder.profile() } else { path.to_owned() };
        let profile = Profile::read(&file)
            .with_context(|| format!("{}: neither a results folder nor a profile", place()))?;
        Ok(Self::Profile(Box::new(profile)))
    }

    /// What it means for a tune of `workload` on `machine`.
    pub fn earlier(&self, space: &Space, machine: &Machine, workload: &Workload) -> Transfer {
        match self {
            Self::Results(results) => {
                let same_job = results.workload.name == workload.name;
                let job = if same_job { 1.0 } else { OTHER_JOB };
                let weight = job * alike(&results.machine, machine);
                let cores = cores(machine) / cores(&results.machine);
                let counts = |t: &Trial| matches!(t.phase, Phase::Baseline | Phase::Search);
                let silent = blame::silent(&results.trials, &results.space.given.baseline);
                let trials = results
                    .trials
                    .iter()
                    .zip(silent)
                    .filter(|(trial, silent)| counts(trial) && !silent)
                    .map(|(trial, _)| (&trial.knobs, Observation::of(nowhere(), trial, None)));
                Transfer::of(space, weight, cores, trials)
            }
            Self::Profile(profile) => {
                let known = weight(ThisMachine::of(machine).machine_match(profile));
                let there = profile.hardware_profile.cpu_cores.max(1) as f64;
                let cores = known.map_or_else(|| cores(machine) / there, |_| 1.0);
                let weight = known.unwrap_or(OTHER_SHAPE / 2.0);
                let best = Observation::new(nowhere(), Measurement::Cost(1.0));
                Transfer::of(space, weight, cores, std::iter::once((&profile.values(), best)))
            }
        }
    }
}

/// [`Earlier::of`] puts each observation in its place.
fn nowhere() -> Candidate {
    Candidate::new([])
}

fn cores(machine: &Machine) -> f64 {
    machine.core_limit() as f64
}

/// 1 for the same machine, less the less two machines have in common.
pub fn alike(there: &Machine, here: &Machine) -> f64 {
    // Under other limits it is as good as another machine.
    let machine_match = there.fingerprint().compare(&here.fingerprint());
    weight(machine_match).filter(|_| there.class() == here.class()).unwrap_or_else(|| {
        let ratio = |a: usize, b: usize| {
            let (a, b) = (a.max(1) as f64, b.max(1) as f64);
            (a / b).min(b / a).sqrt()
        };
        let instructions = there.cpu.isa.iter().filter(|one| here.cpu.isa.contains(one)).count();
        let most = there.cpu.isa.len().max(here.cpu.isa.len());
        OTHER_SHAPE
            * ratio(there.core_limit(), here.core_limit())
            * ratio(there.memory_nodes().len(), here.memory_nodes().len())
            * ratio(there.l3_groups.len(), here.l3_groups.len())
            * ratio(instructions + 1, most + 1)
    })
}

/// How much is believed of what is at least of this machine's shape.
fn weight(machine_match: MachineMatch) -> Option<f64> {
    match machine_match {
        MachineMatch::Same => Some(1.0),
        MachineMatch::SameShape => Some(SAME_SHAPE),
        MachineMatch::Different => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(text: &str) -> Machine {
        Machine::synthetic(text)
    }

    #[test]
    fn the_more_machines_have_in_common_the_more_is_believed() {
        let here = machine("package:2 [numa(memory=8GB)] l3:4 core:4 pu:2");
        assert_eq!(alike(&here, &here), 1.0);
        let half = machine("package:1 [numa(memory=16GB)] l3:4 core:4 pu:2");
        let small = machine("package:1 [numa(memory=16GB)] l3:1 core:2 pu:1");
        assert!(alike(&half, &here) > alike(&small, &here), "{}", alike(&half, &here));
        assert!(alike(&half, &here) < OTHER_SHAPE && alike(&small, &here) > 0.0);
    }

    #[test]
    fn what_is_no_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = format!("{:#}", EarlierTune::open(folder.path()).unwrap_err());
        assert!(error.contains("neither a results folder nor a profile"), "{error}");
        assert!(error.contains("--warm-start"), "{error}");
    }
}
