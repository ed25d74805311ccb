//! What the commands that run trials have in common: programs, pictures, signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use rustix::process::{getpid, set_child_subreaper};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Usage;
use crate::cli::BenchArgs;
use crate::measure::process::Programs;
use crate::preprocess;

/// How many pictures are generated when none are given.
const PICTURES: usize = 8;

/// The programs that trials need.
///
/// # Errors
/// [`Usage`] when there is no worker.
pub fn programs(args: &BenchArgs) -> Result<Programs> {
    let tuner = std::env::current_exe().context("finding this program")?;
    let worker = args.worker.clone().unwrap_or_else(|| tuner.with_file_name("wan22-worker"));
    if worker.is_file() {
        return Ok(Programs { tuner, worker });
    }
    let cure = "build it with `make build`, or name it with --worker FILE";
    Err(Usage(format!("{}: no such program; {cure}", worker.display())).into())
}

/// The user's pictures, or generated ones from the cache folder.
///
/// # Errors
/// [`Usage`] for a folder without pictures; what can't be written.
pub fn pictures(args: &BenchArgs) -> Result<Vec<PathBuf>> {
    match &args.images {
        Some(folder) => {
            let pictures = preprocess::images::list(folder)
                .map_err(|error| Usage(format!("--images {error:#}")))?;
            // The worker has a working folder of its own.
            Ok(pictures.iter().map(std::path::absolute).collect::<Result<_, _>>()?)
        }
        None => preprocess::images::photographs(&cache()?, PICTURES),
    }
}

/// The folder for things that can be made again (XDG base directories).
fn cache() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let xdg = named("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
    let home = || named("HOME").map(|home| home.join(".cache"));
    let base = xdg.or_else(home).unwrap_or_else(std::env::temp_dir);
    Ok(base.join("wan22-tune"))
}

/// The first SIGINT or SIGTERM sets the flag that is returned; the second ends the program.
/// Orphans of trials become children of this process, so that none survives its trial.
///
/// # Errors
/// The kernel refuses.
pub fn watch_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // This order: the second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    set_child_subreaper(Some(getpid())).context("becoming the reaper of trials")?;
    Ok(stop)
}

/// A folder for launch files and frames that goes away with the value.
///
/// # Errors
/// It can't be made.
pub fn scratch(parent: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix(".trial-").tempdir_in(parent);
    folder.with_context(|| format!("making a folder in {}", parent.display()))
}
