//! `space`: the search space as resolved on this machine.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use super::Usage;
use super::machine::MachineChoice;
use crate::calibrate;
use crate::cli::SpaceArgs;
use crate::machine::Machine;
use crate::settings::{Baseline, Preset};
use crate::space::{Candidate, Space, SpaceFile};
use crate::workload::Workload;

/// The spaces that come with the program, by name.
const BUILT_IN: [(&str, &str); 1] =
    [("pipeline", include_str!("../../search-spaces/pipeline.toml"))];

/// A raw space no larger than this is counted one by one.
const COUNTED: u128 = 200_000;

/// Shows the search space as resolved on this machine, or on one that you don't have.
#[derive(Debug, Args)]
pub struct SpaceCommand {
    /// Which space.
    #[command(flatten)]
    space: SpaceArgs,
    /// On which machine.
    #[command(flatten)]
    which: MachineChoice,
}

/// Prints the space.
///
/// # Errors
/// As [`MachineChoice::machine`] and [`resolve`].
pub fn run(args: &SpaceCommand) -> Result<()> {
    show(&args.space, &args.which.machine()?)
}

/// Prints the space that a tune on `machine` would search with the smallest workload.
pub fn show(args: &SpaceArgs, machine: &Machine) -> Result<()> {
    let baseline = baseline(args, machine);
    let workload = calibrate::rung(0, baseline.knobs.batch_size);
    let (space, _) = resolve(args, machine, &baseline, &workload)?;
    super::print(&text(&space, &baseline))
}

/// The baseline that was asked for, or the one that people would copy for this machine.
pub fn baseline(args: &SpaceArgs, machine: &Machine) -> Baseline {
    Baseline::fit(args.baseline.unwrap_or_else(|| Preset::detect(machine)), machine)
}

/// The space that was asked for, on this machine, with its expert candidates.
///
/// # Errors
/// [`Usage`] that names the file, the key and the cure.
pub fn resolve(
    args: &SpaceArgs,
    machine: &Machine,
    baseline: &Baseline,
    workload: &Workload,
) -> Result<(Space, Vec<Candidate>)> {
    let text = read(&args.space)?;
    let usage = |problem: String| Usage(format!("space {}: {problem}", args.space));
    let file = SpaceFile::parse(&text).map_err(usage)?;
    let space = Space::for_machine(&file, machine, baseline, workload, args.expert)
        .map_err(|error| usage(error.to_string()))?;
    let experts = space.experts(&file).map_err(|error| usage(error.to_string()))?;
    Ok((space, experts))
}

fn read(name: &str) -> Result<String> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return Ok((*text).to_owned());
    }
    let names = BUILT_IN.map(|(name, _)| name).join(", ");
    let cure =
        || Usage(format!("space {name}: no such file, nor a name that is built in ({names})"));
    std::fs::read_to_string(Path::new(name)).with_context(cure)
}

fn text(space: &Space, baseline: &Baseline) -> String {
    let mut text = format!("space {}, baseline {}\n\n", space.name, baseline.preset);
    let width = space.knobs.iter().map(|knob| knob.name.len()).max().unwrap_or(0);
    for knob in &space.knobs {
        let levels = knob.levels.iter().enumerate().map(|(i, level)| {
            if i == knob.baseline { format!("[{level}]") } else { level.to_string() }
        });
        let levels: Vec<String> = levels.collect();
        let _ = writeln!(text, "  {:width$}  {}", knob.name, levels.join(" "));
    }
    for constraint in &space.constraints {
        let _ = writeln!(text, "\n  {}\n    {}", constraint.holds.text(), constraint.why);
    }
    let _ = writeln!(text, "\n{} ([baseline])", count(space));
    text
}

fn count(space: &Space) -> String {
    let raw = space.raw_count();
    if raw > COUNTED {
        return format!("{raw} candidates before the constraints");
    }
    let legal = space.candidates().filter(|candidate| space.is_legal(candidate)).count();
    format!("{legal} candidates")
}
