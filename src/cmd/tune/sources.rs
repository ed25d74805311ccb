//! Sources: the earlier tunes that a tune starts from, by itself or as it is told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Prepared;
use crate::cli::{TuneArgs, words};
use crate::cmd::setup::job::Job;
use crate::cmd::terminal;
use crate::machine::{Machine, MachineMatch};
use crate::profile::Store;
use crate::report::tables::usage::quoted;
use crate::results::{Folder, Results, results_in};
use crate::search::StrategyName;
use crate::space::{Space, arguments};
use crate::trial::{Phase, Trial};
use crate::tune::{EarlierTune, alike, shipped};
use crate::workload::{Sizes, Workload};

/// The most results folders that a tune starts from by itself.
const MOST: usize = 3;

/// The most folders, from the newest, that are looked at to find them.
const LOOKED_AT: usize = 50;

/// How long a tune waits for what may be there: file systems hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many times as many pixels the job of another tune may have.
const NEAR: f64 = 8.0;

/// How alike a machine of ours must be.
const LEAST_ALIKE: f64 = 0.3;

/// Candidates that a tune must have measured to say anything of others.
const LEAST: usize = 10;

/// What an earlier tune found, and where that stands.
pub type Source = (PathBuf, EarlierTune);

/// What the paths of `--warm-start` stand for. In a folder of results what can't be read is passed over.
///
/// # Errors
/// The path that is none of what it may be, and what is wrong there.
pub fn named(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        let inside = EarlierTune::paths(path, |_| false);
        let is_one = inside.len() == 1;
        for path in inside {
            match EarlierTune::open(&path) {
                Ok(found) if shipped::is_named(&path) => sources.push((path, found)),
                Ok(found) => sources.push((std::path::absolute(path)?, found)),
                Err(error) if is_one => return Err(error),
                Err(error) => terminal::tell(&format!("warning: {error:#}; skipped")),
            }
        }
    }
    Ok(sources)
}

/// The sources of a tune that goes on in `folder`, which is none of them. One that is gone or damaged does
/// not keep it from that.
pub fn again(paths: &[PathBuf], folder: &Folder) -> Vec<Source> {
    let own = folder.path().canonicalize().ok();
    let is_own = |path: &Path| own.is_some() && path.canonicalize().ok() == own;
    let open = |path: PathBuf| match EarlierTune::open(&path) {
        Ok(found) => Some((path, found)),
        Err(error) => {
            let is_gone = !path.exists() && !shipped::is_named(&path);
            let why =
                if is_gone { format!("{} is gone", path.display()) } else { format!("{error:#}") };
            terminal::tell(&format!("warning: {why}: the search goes on without it"));
            None
        }
    };
    paths.iter().flat_map(|path| EarlierTune::paths(path, is_own)).filter_map(open).collect()
}

/// Takes the newest tunes of the same space and job under `--results`, a fleet's among them, made on a
/// machine of this one's shape, and the installed profile that `exec --auto` would take; where there
/// are no such tunes, what the program ships of machines that are much alike. It says so, and does
/// nothing where the user named sources or wants none.
///
/// # Errors
/// The space can't be resolved.
pub fn find(args: &TuneArgs, prepared: &mut Prepared) -> Result<()> {
    let is_told = args.cold || !args.warm_start.is_empty();
    if is_told || args.self_test || args.strategy == StrategyName::Grid {
        return Ok(());
    }
    let wanted = Wanted {
        results: std::path::absolute(&args.results)?,
        space: prepared.space(args, &prepared.job.smallest())?.0,
        machine: prepared.runner.machine.clone(),
        job: prepared.job.clone(),
    };
    let sources = in_time(move || wanted.sources()).unwrap_or_default();
    if !sources.is_empty() {
        let names: Vec<String> = sources.iter().map(|(path, _)| shown(path)).collect();
        terminal::tell(&format!("starting from {} (--cold: from nothing)", names.join(", ")));
    }
    prepared.sources = sources;
    Ok(())
}

/// What `find` comes to, unless it takes too long.
fn in_time<T: Send + 'static>(find: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, found) = mpsc::channel();
    // Nobody waits for the end of the thread.
    thread::Builder::new().spawn(move || drop(sender.send(find()))).ok()?;
    found.recv_timeout(PATIENCE).ok()
}

/// A path as it is shortest.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    quoted(below.unwrap_or_else(|| path.to_owned()))
}

/// The command line's `words` after the program's name, as if the user had named these sources.
pub fn arguments(words: &[OsString], sources: &[Source]) -> Vec<String> {
    let mut words = words::without(words, "warm_start");
    let named = sources.iter().map(|(path, _)| {
        let mut flag = OsString::from("--warm-start=");
        flag.push(path);
        flag
    });
    words::add(&mut words, named);
    words.iter().skip(1).map(|word| arguments::written(word)).collect()
}

/// What a source has to be like.
struct Wanted {
    results: PathBuf,
    space: Space,
    machine: Machine,
    job: Job,
}

impl Wanted {
    fn sources(&self) -> Vec<Source> {
        let own = self.folders().into_iter().filter_map(|path| self.open(path)).take(MOST);
        let mut found: Vec<Source> =
            own.map(|(path, results)| (path, EarlierTune::Results(Box::new(results)))).collect();
        if found.is_empty() {
            found.extend(self.shipped());
        }
        found.extend(self.installed());
        found
    }

    /// What the program ships of this space and job and of machines that are much like this one, as
    /// far as enough of its candidates are legal here.
    fn shipped(&self) -> impl Iterator<Item = Source> {
        let near = shipped::all().filter(|(_, results)| {
            alike(&results.machine, &self.machine) >= LEAST_ALIKE && self.is_same(results)
        });
        let (machine, job) = (&self.machine, self.job.smallest());
        near.map(|(path, results)| (path, EarlierTune::Results(Box::new(results)))).filter(
            move |(_, found)| found.earlier(&self.space, machine, &job).observations.len() >= LEAST,
        )
    }

    /// The folders that may hold something, the newest first.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = results_in(fleet(&self.results).unwrap_or(&self.results));
        folders.truncate(LOOKED_AT);
        folders
    }

    /// A tune of this space and job and a machine like this one that measured enough.
    fn open(&self, path: PathBuf) -> Option<(PathBuf, Results)> {
        let folder = Folder::new(&path);
        // Its trials take longest to read.
        Results::head(&folder).ok().filter(|head| self.is_alike(head))?;
        let results = Results::open(&folder).ok()?;
        let counts = |trial: &&Trial| trial.phase == Phase::Search && trial.score().is_some();
        let says_something = results.trials.iter().filter(counts).count() >= LEAST;
        says_something.then_some((path, results))
    }

    fn is_alike(&self, results: &Results) -> bool {
        let (there, here) = (&results.machine, &self.machine);
        self.is_same(results)
            && there.fingerprint().compare(&here.fingerprint()) != MachineMatch::Different
            && there.class() == here.class()
    }

    /// Whether it is a tune of this space and job.
    fn is_same(&self, results: &Results) -> bool {
        let names =
            |space: &Space| space.knobs.iter().map(|knob| knob.name.clone()).collect::<Vec<_>>();
        results.space.name == self.space.name
            && names(&results.space) == names(&self.space)
            && self.is_same_job(results)
    }

    /// Jobs of sizes near to each other share what is fast; other ones need not.
    fn is_same_job(&self, results: &Results) -> bool {
        match &self.job {
            Job::Pipeline(_) => {
                let near = |full: &Workload| {
                    self.job.full().is_some_and(|here| is_near(&here.sizes, &full.sizes))
                };
                results.tune.custom_job.is_none()
                    && results.workload.name == self.job.smallest().name
                    && results.tune.full.as_ref().is_none_or(near)
            }
            Job::Custom(job) => results.tune.custom_job.as_ref() == Some(job),
        }
    }

    /// The installed profile for the job; commands of the user's own all have the same name there.
    fn installed(&self) -> Option<Source> {
        let Job::Pipeline(_) = &self.job else { return None };
        let (store, job) = (Store::standard(), self.job.smallest().name);
        let mut entries = store.ranked(&self.machine, Some(&job));
        let entry = entries.find(|entry| entry.profile.is_ok())?;
        let profile = EarlierTune::Profile(Box::new(entry.profile.ok()?));
        Some((std::path::absolute(entry.path).ok()?, profile))
    }
}

/// The fleet's folder where `results` is its node's, `FLEET/nodes/NODE/results`.
fn fleet(results: &Path) -> Option<&Path> {
    let nodes = results.parent()?.parent()?;
    let is_node = results.ends_with("results") && nodes.ends_with("nodes");
    nodes.parent().filter(|_| is_node)
}

/// Whether two jobs have about as many pixels, and both a single clip, of which there are no batches, or
/// both several.
fn is_near(one: &Sizes, other: &Sizes) -> bool {
    let pixels = |s: &Sizes| {
        f64::from(s.clips) * f64::from(s.width) * f64::from(s.height) * f64::from(s.frames)
    };
    let ratio = pixels(one) / pixels(other);
    (1.0 / NEAR..=NEAR).contains(&ratio) && (one.clips == 1) == (other.clips == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{BUILT_IN, WorkloadFile};

    /// The names of what is taken on a machine for the built-in job.
    fn shipped_on(machine: Machine, space: Space) -> Vec<PathBuf> {
        let job = Job::Pipeline(WorkloadFile::parse(BUILT_IN[0].1).unwrap());
        let wanted = Wanted { results: PathBuf::new(), space, machine, job };
        wanted.shipped().map(|(path, _)| path).collect()
    }

    #[test]
    fn jobs_are_near_by_all_their_pixels_and_by_whether_there_are_batches() {
        let full = WorkloadFile::parse(BUILT_IN[0].1).unwrap().size(0).whole().sizes;
        let of = |clips, frames| Sizes { clips, frames, width: 64, height: 64, ..full.clone() };
        for (one, other, near) in [
            (of(1, 16), of(1, 128), true),
            (of(1, 16), of(1, 129), false),
            (of(2, 16), of(16, 16), true),
            (of(2, 16), of(17, 16), false),
            (of(1, 16), of(2, 16), false),
        ] {
            assert_eq!([is_near(&one, &other), is_near(&other, &one)], [near; 2]);
        }
    }

    #[test]
    fn what_is_shipped_is_taken_where_space_and_machine_are_alike() {
        let (path, there) = shipped::all().next().unwrap();
        assert_eq!(path, Path::new("shipped:2026-11-30-vm"));
        let on = |machine: &Machine, space: &Space| shipped_on(machine.clone(), space.clone());
        // The others tuned a job of two clips.
        assert_eq!(on(&there.machine, &there.space), [path]);
        let nothing: [PathBuf; 0] = [];
        let other = Space { name: "other".to_owned(), ..there.space.clone() };
        assert_eq!(on(&there.machine, &other), nothing);
        let mut fewer = there.space.clone();
        fewer.knobs.pop();
        assert_eq!(on(&there.machine, &fewer), nothing);
        let large = "package:2 [numa(memory=64GB)] l3:8 core:8 pu:2";
        assert_eq!(on(&Machine::synthetic(large), &there.space), nothing);
    }
}
