//! Tunes this machine: the main job.

pub mod agent;
mod nodes;
pub mod prepared;
pub mod resume;
mod rungs;
pub mod self_test;
mod sources;

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

pub use prepared::Prepared;
use prepared::{declared, job};

use super::setup::job::Job;
use super::setup::{custom, runner};
use super::terminal::progress::Progress;
use super::{Usage, space, terminal};
use crate::cli::TuneArgs;
use crate::evidence::blame;
use crate::io::{atomic_write, held};
use crate::machine::threads;
use crate::report::tables::usage::quoted;
use crate::report::winner::Winner;
use crate::results::{Folder, Results};
use crate::search::strategies::grid;
use crate::search::{Plan, StrategyName};
use crate::space::{Space, Tune, TuneEnd};
use crate::trial::Trial;
use crate::trial::journal::Journal;
use crate::tune::budget::Budget;
use crate::tune::{BaselineFails, Session, TuneConfig};
use crate::workload::Workload;
use crate::workload::custom::CustomJob;
use crate::{machine, report};

/// A search of this many trials begins with the preset, where the baseline is none.
const PRESET_FIRST: usize = 8;

/// Runs a tune, or shows its space where there is no budget.
pub fn run(args: &TuneArgs) -> Result<()> {
    let args = &custom::suit(args)?;
    let Some(budget) = args.budget.filter(|_| !args.dry_run) else {
        let machine = super::machine::here()?;
        let file = declared(args)?;
        let (baseline, job) = job(args, &file, &machine)?;
        let (runner, job) = runner::plan(&args.runner, job, machine, baseline)?;
        if !file.guessed.is_empty() {
            let guessed = Vec::from_iter(file.guessed.clone()).join(", ");
            let when = "before its first trial a tune asks the worker";
            terminal::tell(&format!("nobody says what runs today of {guessed}: {when}"));
        }
        let (space, own) = ((&file, &args.space), runner.custom_job.as_ref());
        return space::show(space, &runner.machine, &runner.baseline, &job.smallest(), own);
    };
    if nodes::submitted(args)? {
        return Ok(());
    }
    let words = sources::arguments(&std::env::args_os().collect::<Vec<_>>(), &[]);
    let mut prepared = Prepared::new(args, words, sources::named(&args.warm_start)?)?;
    prepared.ask(args)?;
    // The wait for the machine's lock is over: it is no part of the tune.
    let started = jiff::Timestamp::now().to_string();
    let budget = Budget::start(budget).after(prepared.asked);
    if args.self_test {
        return self_test::run(args, prepared, budget);
    }
    sources::find(args, &mut prepared)?;
    let folder = Folder::create(&args.results, &prepared.runner.machine.host)?;
    write_machine(&folder, &prepared)?;
    // Before the first trial, so that a tune that is cut short at any moment can go on.
    let tune = prepared.describe(args, budget, started);
    let smallest = prepared.job.smallest();
    write_space(&folder, &prepared.space(args, &smallest)?.0, &smallest, &tune)?;
    let knobs = prepared.runner.baseline.knobs.values();
    let journal =
        Journal::create(&folder.journal(), knobs.keys(), args.repetitions().most as usize)?;
    carry_on(args, prepared, budget, &folder, tune, (journal, Vec::new()))
}

/// Everything that takes trials, then the report; `trials` were made before a break.
///
/// # Errors
/// The baseline does not run, or the tuner itself can't go on.
pub fn carry_on(
    args: &TuneArgs,
    mut prepared: Prepared,
    budget: Budget,
    folder: &Folder,
    tune: Tune,
    (journal, trials): (Journal, Vec<Trial>),
) -> Result<()> {
    held::hold(folder.path())?;
    let scratch = runner::scratch(folder.path())?;
    prepared.runner.scratch = std::path::absolute(scratch.path())?;
    let resume_with = Some(format!("`wan22-tune resume {}`", folder.path().display()));
    let config = TuneConfig { resume_with, ..prepared.config(args) };
    let mut progress = Progress::new(&prepared.runner, config.repetitions, budget, args.view);
    let spent_s = tune.resumed.last().and_then(|resumed| resumed.spent_s).unwrap_or_default();
    let spent_s = spent_s + prepared.asked.as_secs_f64();
    let runner = match prepared.agents {
        // What is loaded on which node, nobody here knows.
        Some(_) => Box::new(prepared.runner.clone()),
        None => runner::of_trials(&prepared.runner, prepared.loaded.take()),
    };
    let mut session = Session::new(&config, &*runner, progress.observer(), budget);
    if let Some(agents) = &prepared.agents {
        session = session.on(agents);
    }
    let session = session.recording(folder, journal).after(trials).spent(spent_s);
    let finished = measure(args, &prepared, session, folder, tune);
    progress.end();
    remove(scratch);
    conclude(folder, &progress, finished.map_err(|error| unfinished(error, folder)))
}

/// Takes the trials' folder away, wherever it went meanwhile.
fn remove(scratch: TempDir) {
    let place = held::now(scratch.path());
    if place != scratch.path() {
        // It is empty of everything that matters, and `resume` takes it away, too.
        let _ = fs::remove_dir_all(place);
    }
    drop(scratch);
}

/// What to type once the cause of `error` is gone, where the tune can go on.
fn unfinished(error: anyhow::Error, folder: &Folder) -> anyhow::Error {
    if !error.is::<BaselineFails>() {
        return error;
    }
    let go_on = typed("resume", folder);
    anyhow!("{error}; nothing is lost: once the baseline runs again, go on with {go_on}")
}

/// Writes what derives from the trials and says what came out. Where there is no room for files, or
/// was none for the last trials, or no process could be started for more, it says so, and what makes
/// the rest.
fn conclude(folder: &Folder, progress: &Progress, finished: Result<()>) -> Result<()> {
    let is_full = finished.as_ref().is_err_and(is_full);
    if !is_full && !finished.as_ref().is_err_and(threads::are_used_up) {
        finished?;
        let results = Results::open(folder)?;
        let (written, outcome) = report::write(folder, &results, false);
        progress.conclude(&results, folder, &written)?;
        let rest = format!("all trials are kept: {} makes the rest", typed("report", folder));
        outcome.map_err(|error| anyhow!("{error:#}; {rest}"))?;
        written.kept.iter().for_each(|kept| terminal::tell(&format!("warning: {kept}")));
        if let Some(Err(problem)) = Winner::of(&results).map(|winner| winner.write(folder)) {
            terminal::tell(&format!("warning: the command's files: {problem:#}"));
        }
        return Ok(());
    }
    let results = Results::open(folder).ok().filter(|results| !results.trials.is_empty());
    if let Some(results) = results {
        // It may be small enough for what room there is.
        let (written, _) = report::write(folder, &results, false);
        progress.conclude(&results, folder, &written)?;
    } else if !is_full {
        return finished;
    }
    let room = if is_full { "make room, " } else { "" };
    let rest = format!("{room}then {} goes on", typed("resume", folder));
    finished.map_err(|error| anyhow!("{error:#}; {rest}"))
}

/// A command on a folder, as it is to be typed.
pub(super) fn typed(verb: &str, folder: &Folder) -> String {
    format!("`wan22-tune {verb} {}`", quoted(folder.now()))
}

/// Whether a disk had no room, its user none left of it, or a file was as large as it may be.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let is_full = |error: &std::io::Error| {
        use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    };
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_full)
}

fn measure(
    args: &TuneArgs,
    prepared: &Prepared,
    mut session: Session<'_>,
    folder: &Folder,
    tune: Tune,
) -> Result<()> {
    let measured = compete(args, prepared, &mut session, folder, tune);
    // Cut before there was anything to search for, it is over as well.
    if measured.is_ok() || session.trials().last().is_some_and(blame::is_cut) {
        note_end(folder, &session)?;
    }
    measured
}

/// Notes how a tune ended beside the space as it was resolved.
fn note_end(folder: &Folder, session: &Session<'_>) -> Result<()> {
    let Results { space, workload, mut tune, .. } = Results::open(folder)?;
    (tune.ended, tune.trials) = (Some(session.ended()), Some(session.trials().len()));
    write_space(folder, &space, &workload, &tune)
}

fn compete(
    args: &TuneArgs,
    prepared: &Prepared,
    session: &mut Session<'_>,
    folder: &Folder,
    mut tune: Tune,
) -> Result<()> {
    rungs::expect((&prepared.runner, &prepared.job), tune.budget_s);
    let rungs = rungs::choose((&prepared.runner, &prepared.job), session, &tune)?;
    let workload = rungs.search.clone();
    rungs::short_of_time(session, tune.budget_s);
    tune.costs = workload.whole().costs(&prepared.runner.parts, None);
    // Of a tune that is stopped before all sizes ran, which one pairs run is not known.
    if matches!(prepared.job, Job::Pipeline(_)) || session.ended() != TuneEnd::Stopped {
        tune.confirmation = Some(rungs.confirmation.clone()).filter(|larger| *larger != workload);
    }
    let (mut space, mut first) = prepared.space(args, &workload)?;
    write_space(folder, &space, &workload, &tune)?;
    // What is probed may leave knobs out; the folder keeps the space as it was resolved.
    if let Job::Custom(CustomJob::Command(_)) = &prepared.job {
        session.baseline(&workload)?;
        space = session.probe(&space, &workload)?;
        first = space.experts(&prepared.file)?;
    }
    let machine = &prepared.runner.machine;
    if !prepared.runner.baseline.knobs.as_is.is_empty() {
        // Measured as it is, not on top of what gains.
        let preset = space.of_preset(prepared.runner.baseline.preset, machine);
        let place = if session.trials_left() >= PRESET_FIRST { 0 } else { first.len() };
        preset.into_iter().for_each(|preset| first.insert(place, preset));
    }
    let sources = prepared.sources.iter();
    let earlier = sources.map(|(_, found)| found.earlier(&space, machine, &workload)).collect();
    let plan = Plan { strategy: args.strategy, seed: args.seed, first, transfers: earlier };
    if args.strategy == StrategyName::Grid {
        session.baseline(&workload)?;
        let trials = session.trials().len() + session.trials_left();
        grid::fits(&space, trials).map_err(Usage)?;
    }
    session.compete(&space, &rungs, plan)
}

fn write_machine(folder: &Folder, prepared: &Prepared) -> Result<()> {
    let mut json = serde_json::to_string_pretty(&prepared.runner.machine)?;
    json.push('\n');
    atomic_write::replace(&folder.machine(), json.as_bytes())?;
    // The topology of another node is not known here.
    if prepared.agents.as_ref().is_some_and(|agents| !agents.are_local()) {
        return Ok(());
    }
    let xml = machine::live_xml().context("exporting the topology")?;
    fs::write(folder.topology(), xml).with_context(|| folder.topology().display().to_string())
}

/// Replaces `space.toml`.
pub fn write_space(folder: &Folder, space: &Space, workload: &Workload, tune: &Tune) -> Result<()> {
    let mut file = space.to_file();
    file.workload = Some(workload.clone());
    file.tune = Some(tune.clone());
    atomic_write::replace(&folder.space(), file.to_toml().as_bytes())
}
