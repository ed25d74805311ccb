//! `space`: the search space as resolved on this machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::Usage;
use super::setup::job;
use crate::cli::{SpaceArgs, SpaceCommand};
use crate::knobs::program_environment::is_own;
use crate::knobs::{Baseline, Value};
use crate::machine::Machine;
use crate::report::tables::usage;
use crate::space::{BUILT_IN, Candidate, CommandLine, Scale, Space, SpaceFile};
use crate::workload::Workload;
use crate::workload::custom::{CommandJob, CustomJob, template};

/// The largest raw space whose candidates are counted one by one.
const COUNTED: u128 = 200_000;

/// The most bytes of constraints, over all candidates, that are worked out to count them.
const WORKED_OUT: u128 = 80_000_000;

/// Prints the space.
///
/// # Errors
/// As [`crate::cli::MachineChoice::machine`] and [`resolve`].
pub fn run(args: &SpaceCommand) -> Result<()> {
    let machine = args.which.machine()?;
    let here = CommandLine { words: &[], folder: Path::new(".") };
    let file = open(&args.space, here)?;
    let baseline = job::baseline(args.space.baseline.as_ref(), &args.space.job, &machine, false)?;
    let baseline = with_custom(&file, &args.space, baseline)?;
    let job = job::open(&args.space.job, &baseline)?;
    let baseline = job::fitted(baseline, &job);
    show((&file, &args.space), &machine, &baseline, &job.size(0), None)
}

/// The baseline with what the user's own command runs today: as the file says, unless the baseline
/// is a profile that says another.
///
/// # Errors
/// [`Usage`] that names the file, the key and the cure.
pub fn with_custom(file: &SpaceFile, args: &SpaceArgs, baseline: Baseline) -> Result<Baseline> {
    let custom = file.custom_knobs(&baseline.knobs.built_in());
    let usage = |error| Usage(format!("space {}: {error}", args.name().display()));
    let custom = custom.map_err(usage)?;
    Ok(baseline.with(|knobs| {
        for (name, default) in custom {
            let told = knobs.custom.get(&name).and_then(|told| default.kind().fit(told).ok());
            knobs.custom.insert(name, told.unwrap_or(default));
        }
    }))
}

/// Prints the space that a tune of `workload` on `machine` would search.
///
/// # Errors
/// As [`resolve`].
pub fn show(
    (file, args): (&SpaceFile, &SpaceArgs),
    machine: &Machine,
    baseline: &Baseline,
    workload: &Workload,
    own: Option<&CustomJob>,
) -> Result<()> {
    let (space, _) = resolve(file, args, machine, baseline, workload)?;
    let lines = match own {
        Some(CustomJob::Command(command)) => lines(&space, &command.at(&workload.own_sizes))?,
        _ => String::new(),
    };
    super::terminal::show(&(text(&space, baseline) + lines.as_str()))
}

/// The command as it runs today, and as one candidate of `space` would run it.
fn lines(space: &Space, command: &CommandJob) -> Result<String> {
    let mut example = space.baseline();
    let meant = template::meant(&command.words, &is_own);
    let is_seen = |name: &str| is_own(name) || meant.iter().any(|(_, one)| one.name == name);
    for (position, knob) in space.knobs.iter().enumerate().filter(|(_, knob)| is_seen(&knob.name)) {
        let other = (0..knob.levels.len()).rev().find(|level| *level != knob.baseline);
        let moved = other.map(|level| space.canonical(&example.with(position, level)));
        example = moved.filter(|moved| space.is_legal(moved)).unwrap_or(example);
    }
    let (mut text, mut shown) = (String::new(), None);
    for (heading, candidate) in [("today", space.baseline()), ("example", example)] {
        let mut values = space.given.baseline.clone();
        values.extend(space.values(&candidate));
        let line = usage::command_line(command, &values, &command.words).map_err(Usage)?;
        let patches = usage::patches(command, &values);
        // A command that is only handed values over runs by the same words.
        if shown.as_ref() == Some(&(line.clone(), patches.clone())) {
            break;
        }
        let _ = writeln!(text, "{heading:8} {line}");
        for (place, value) in &patches {
            let _ = writeln!(text, "{:8} {place} = {value}, in a copy", "");
        }
        shown = Some((line, patches));
    }
    Ok(format!("\n{text}"))
}

/// The space file that was asked for, with the knobs that a command and its flags declare.
///
/// # Errors
/// [`Usage`] that names the file or the flag, the key and the cure.
pub fn open(args: &SpaceArgs, reader: CommandLine<'_>) -> Result<SpaceFile> {
    let place = args.name().display();
    let mut file = read(args.name())?;
    let settled = file.settle_app(&read(Path::new("command"))?, reader);
    settled.map_err(|problem| Usage(format!("space {place}: {problem}")))?;
    job::fix(&mut file, &args.job);
    let guessed = file.declare(&args.knobs, args.no_built_in, reader).map_err(|problem| {
        let is_of_file = problem.starts_with("knob.");
        Usage(if is_of_file { format!("space {place}: {problem}") } else { problem })
    })?;
    let is_told = |(_, value): &&(String, Value)| !matches!(value, Value::Switch(false));
    let guessed: Vec<String> =
        guessed.iter().filter(is_told).map(|(name, value)| format!("{{{name}={value}}}")).collect();
    if !guessed.is_empty() {
        let guessed = guessed.join(", ");
        super::terminal::tell(&format!(
            "the command is taken to run {guessed} today: write so what it does run"
        ));
    }
    Ok(file)
}

/// The space file called `name`, as it stands.
///
/// # Errors
/// [`Usage`] that names the file, the key and the cure.
pub fn read(name: &Path) -> Result<SpaceFile> {
    let text = super::built_in_or_file("space", name, BUILT_IN)?;
    let file = SpaceFile::parse(&text);
    Ok(file.map_err(|problem| Usage(format!("space {}: {problem}", name.display())))?)
}

/// The space of `file` on this machine, with its expert candidates.
///
/// # Errors
/// [`Usage`] that names the file, the key and the cure.
pub fn resolve(
    file: &SpaceFile,
    args: &SpaceArgs,
    machine: &Machine,
    baseline: &Baseline,
    workload: &Workload,
) -> Result<(Space, Vec<Candidate>)> {
    let usage = |problem: String| Usage(format!("space {}: {problem}", args.name().display()));
    let space = Space::for_machine(file, machine, baseline, workload, args.expert)
        .map_err(|error| usage(error.to_string()))?;
    let experts = space.experts(file).map_err(|error| usage(error.to_string()))?;
    Ok((space, experts))
}

fn text(space: &Space, baseline: &Baseline) -> String {
    let mut text = format!("space {}, baseline {}\n\n", space.name, baseline.name());
    let width = space.knobs.iter().map(|knob| knob.name.len()).max().unwrap_or(0);
    for knob in &space.knobs {
        let levels = knob.levels.iter().enumerate().map(|(i, level)| {
            if i == knob.baseline { format!("[{level}]") } else { level.to_string() }
        });
        let levels: Vec<String> = levels.collect();
        let scale = (knob.scale == Some(Scale::Log)).then(|| "log".to_owned());
        let changes = knob.changes.map(|changes| format!("changes {changes}"));
        let notes: Vec<String> =
            scale.into_iter().chain(knob.unit.clone()).chain(changes).collect();
        let notes =
            if notes.is_empty() { notes.concat() } else { format!("  ({})", notes.join(", ")) };
        let _ = writeln!(text, "  {:width$}  {}{notes}", knob.name, levels.join(" "));
    }
    text += &absences(space);
    for constraint in &space.constraints {
        let _ = writeln!(text, "\n  {}\n    {}", constraint.holds.text(), constraint.why);
    }
    let _ = writeln!(text, "\n{} ([baseline])", count(space));
    text
}

/// What this machine can't have, values with the same reason together.
fn absences(space: &Space) -> String {
    let mut text = String::new();
    for knob in &space.knobs {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (value, reason) in &knob.absent {
            by_reason.entry(reason).or_default().push(value);
        }
        for (reason, values) in by_reason {
            let _ = writeln!(text, "  without {} {}: {reason}", knob.name, values.join(", "));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn count(space: &Space) -> String {
    let raw = space.raw_count();
    let constraints = space.constraints.iter().map(|constraint| constraint.holds.text().len());
    let bytes = raw.saturating_mul(constraints.sum::<usize>() as u128);
    if raw > COUNTED || bytes > WORKED_OUT {
        return format!("{raw} candidates before the constraints");
    }
    let legal = space.candidates().filter(|candidate| space.is_legal(candidate)).count();
    format!("{legal} candidates")
}
