//! Profiles in production: exec, the folders that a host keeps, and what the WAN22 system optimizer
//! reads and writes.

mod exchange;
#[path = "../harness/mod.rs"]
mod harness;
mod kept;
mod launched;
mod unnamed;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::World;
use serde_json::{Value, json};
use wan22_tune::knobs::{Baseline, Preset};
use wan22_tune::machine::{CpuSet, Machine};
use wan22_tune::profile::{FileName, Profile};
use wan22_tune::workload::{BUILT_IN, Workload, WorkloadFile};

/// The baseline's profile, as a tune on this machine would have made it.
fn profile() -> Profile {
    let machine = Machine::detect_host().unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap()
}

/// The same from a machine of another shape, with more of everything.
fn foreign() -> Profile {
    let machine = "package:2 [numa(memory=8GB)] l3:4 core:8 pu:2";
    let machine = Machine::from_synthetic(machine).unwrap();
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let made = "2026-11-24T10:00:00Z".to_owned();
    Profile::new(&machine, &baseline, &baseline.knobs, made).unwrap()
}

fn write(world: &World, name: &str, profile: &Profile) -> PathBuf {
    let path = world.path().join(name);
    profile.write(&path).unwrap();
    path
}
