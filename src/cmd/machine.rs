//! `machine`: what this process may use of the machine.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Usage, terminal};
use crate::cli::{MachineArgs, MachineChoice};
use crate::io::output::print_value;
use crate::knobs::memory::MemoryMode;
use crate::knobs::placement::Layout;
use crate::knobs::{Baseline, Preset, Settings, quota_warning};
use crate::launch;
use crate::machine::{Machine, PlacedPool, sandboxed};
use crate::profile::Profile;

impl MachineChoice {
    /// The machine that was chosen; this one where none was.
    ///
    /// # Errors
    /// [`Usage`] with what is wrong with the file or description; as [`here`].
    pub fn machine(&self) -> Result<Machine> {
        let chosen = match (&self.xml, &self.synthetic) {
            (Some(path), _) => Machine::from_stranger(path),
            (_, Some(description)) => {
                sandboxed(|| Machine::from_synthetic(description)).map_err(Usage)?
            }
            (None, None) => return here(),
        };
        Ok(chosen.map_err(|error| Usage(error.to_string()))?)
    }
}

/// This machine, with the memory modes that work on it; of the others it warns.
///
/// # Errors
/// The machine can't be detected.
pub fn here() -> Result<Machine> {
    let machine = launch::proven(Machine::detect()?);
    for warning in launch::unavailable_modes(&machine).into_iter().chain(quota_warning(&machine)) {
        terminal::tell(&format!("wan22-tune: {warning}"));
    }
    Ok(machine)
}

/// Prints the machine.
///
/// # Errors
/// As [`MachineChoice::machine`].
pub fn run(args: &MachineArgs) -> Result<()> {
    let machine = args.which.machine()?;
    if args.json {
        return print_value(&machine);
    }
    let settings = args.profile.as_deref().map(|path| settings(path, &machine)).transpose()?;
    if let Some(path) = &args.svg {
        let pools = settings.as_ref().map(occupants).unwrap_or_default();
        let drawing = machine.drawing(&pools, &settings.as_ref().map(memory).unwrap_or_default());
        return std::fs::write(path, drawing).with_context(|| path.display().to_string());
    }
    let layouts = words(Layout::of(&machine), Into::into);
    let modes = words(MemoryMode::of(&machine), Into::into);
    let options = format!("Affinity layouts: {layouts}\nMemory modes: {modes}\n");
    let runs = settings.as_ref().map(who_runs_where).unwrap_or_default();
    // The picture is drawn; the options are words.
    terminal::show(&machine.picture())?;
    terminal::show(&format!("{options}{runs}"))
}

/// What a profile's settings come to on the machine.
fn settings(path: &Path, machine: &Machine) -> Result<Settings> {
    let profile = Profile::read(path)?;
    let baseline = Baseline::fit(Preset::detect(machine), machine);
    let settings = profile.settings(machine, &baseline.knobs);
    Ok(settings.map_err(|problem| Usage(format!("profile {}: {problem}", path.display())))?)
}

fn occupants(settings: &Settings) -> Vec<PlacedPool> {
    let workers = settings.workers;
    let threads = [settings.intra_op_threads, workers.io, workers.preprocess, workers.batch];
    let pools = settings.placement.pools().into_iter().zip(threads);
    pools.map(|((pool, cpus), threads)| PlacedPool { pool, threads, cpus: cpus.clone() }).collect()
}

fn who_runs_where(settings: &Settings) -> String {
    let mut text = "\nUnder the profile:\n".to_owned();
    for PlacedPool { pool, threads, cpus } in occupants(settings) {
        let _ = writeln!(text, "  {pool:<12}{threads:>4} threads on CPUs {cpus}");
    }
    for line in memory(settings) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn memory(settings: &Settings) -> Vec<String> {
    let policies = [("weights", &settings.weights_memory), ("memory", &settings.memory)];
    policies.iter().map(|(what, policy)| format!("{what:<12}{policy}")).collect()
}

fn words<T>(options: Vec<T>, word: impl Fn(T) -> &'static str) -> String {
    options.into_iter().map(word).collect::<Vec<_>>().join(", ")
}
