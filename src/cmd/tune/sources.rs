//! Sources: the earlier tunes that a tune starts from by itself.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

use super::Prepared;
use crate::cli::TuneArgs;
use crate::cmd::setup::job::Job;
use crate::cmd::terminal;
use crate::machine::MachineMatch;
use crate::profile::Store;
use crate::report::tables::usage::quoted;
use crate::results::{Folder, Results};
use crate::search::StrategyName;
use crate::space::{Space, arguments};
use crate::trial::{Phase, Trial};
use crate::tune::Found;
use crate::workload::{Sizes, Workload};

/// The most results folders that a tune starts from.
const MOST: usize = 3;

/// The most folders, from the newest, that are read to find them.
const LOOKED_AT: usize = 50;

/// How many times as many pixels a clip of another tune may have.
const NEAR: f64 = 8.0;

/// Candidates that a tune must have measured to say anything of others.
const LEAST: usize = 10;

/// Takes the newest tunes of the same space and job under `--results`, made on a machine of this one's
/// shape, and the installed profile that `exec --auto` would take, unless the user named sources or
/// wants none, and says so.
///
/// # Errors
/// The space can't be resolved.
pub fn find(args: &TuneArgs, prepared: &mut Prepared) -> Result<()> {
    let is_told = args.cold || !args.warm_start.is_empty();
    if is_told || args.self_test || args.strategy == StrategyName::Grid {
        return Ok(());
    }
    let space = prepared.space(args, &prepared.job.smallest())?.0;
    let fits = |path: PathBuf| {
        let results = Results::open(&Folder::new(&path)).ok()?;
        says_something(&results, &space, prepared).then_some((path, results))
    };
    let found: Vec<(PathBuf, Results)> =
        folders(&args.results).into_iter().filter_map(fits).take(MOST).collect();
    let found = found.into_iter().map(|(path, results)| (path, Found::Results(Box::new(results))));
    let sources: Vec<(PathBuf, Found)> = found.chain(installed(prepared)).collect();
    if !sources.is_empty() {
        let names: Vec<String> = sources.iter().map(|(path, _)| quoted(path.clone())).collect();
        terminal::tell(&format!("starting from {} (--cold: from nothing)", names.join(", ")));
    }
    for (path, source) in sources {
        prepared.sources.push(std::path::absolute(path)?);
        prepared.found.push(source);
    }
    Ok(())
}

/// The command line's `words` after the program's name, as if the user had named every source.
pub fn arguments(mut words: Vec<OsString>, sources: &[PathBuf]) -> Vec<String> {
    let named = sources.iter().map(|path| {
        let mut flag = OsString::from("--warm-start=");
        flag.push(path);
        flag
    });
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, named);
    words.iter().skip(1).map(|word| arguments::written(word)).collect()
}

/// The folders in `parent`, the newest first.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.join("trials.csv").exists());
    let written = |path: &PathBuf| {
        let metadata = fs::metadata(path.join("trials.csv"));
        metadata.and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort_by_cached_key(|path| Reverse((written(path), path.clone())));
    paths.truncate(LOOKED_AT);
    paths
}

/// Whether a tune is of this space and job and a machine like this one, and measured enough.
fn says_something(results: &Results, space: &Space, prepared: &Prepared) -> bool {
    let (there, here) = (&results.machine, &prepared.runner.machine);
    let names =
        |space: &Space| space.knobs.iter().map(|knob| knob.name.clone()).collect::<Vec<_>>();
    let is_same_job = match &prepared.job {
        Job::Pipeline(_) => {
            // Sizes of clips near to each other share what is fast; other ones need not.
            let near = |full: &Workload| {
                prepared.job.full().is_some_and(|here| is_near(&here.sizes, &full.sizes))
            };
            results.tune.custom_job.is_none()
                && results.workload.name == prepared.job.smallest().name
                && results.tune.full.as_ref().is_none_or(near)
        }
        Job::Custom(job) => results.tune.custom_job.as_ref() == Some(job),
    };
    let counts = |trial: &&Trial| trial.phase == Phase::Search && trial.score_s().is_some();
    is_same_job
        && results.space.name == space.name
        && names(&results.space) == names(space)
        && there.fingerprint().compare(&here.fingerprint()) != MachineMatch::Different
        && there.class() == here.class()
        && results.trials.iter().filter(counts).count() >= LEAST
}

/// Whether two jobs have clips of about as many pixels.
fn is_near(one: &Sizes, other: &Sizes) -> bool {
    let pixels = |s: &Sizes| f64::from(s.width) * f64::from(s.height) * f64::from(s.frames);
    let ratio = pixels(one) / pixels(other);
    (1.0 / NEAR..=NEAR).contains(&ratio)
}

/// The installed profile for the job; commands of the user's own all have the same name there.
fn installed(prepared: &Prepared) -> Option<(PathBuf, Found)> {
    let Job::Pipeline(_) = &prepared.job else { return None };
    let (store, job) = (Store::standard(), prepared.job.smallest().name);
    let mut entries = store.ranked(&prepared.runner.machine, Some(&job));
    let entry = entries.find(|entry| entry.profile.is_ok())?;
    Some((entry.path, Found::Profile(Box::new(entry.profile.ok()?))))
}
