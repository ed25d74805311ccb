//! The local runner of the commands that run trials: programs, pictures, signals.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::process::{getpid, set_child_subreaper};

use super::job::Job;
use super::{cache, custom, job};
use crate::architecture::Model;
use crate::cli::RunnerArgs;
use crate::cmd::terminal::signals;
use crate::cmd::{Usage, terminal};
use crate::io::held;
use crate::io::ownership::Owners;
use crate::knobs::Baseline;
use crate::machine::Machine;
use crate::runner::programs::Programs;
use crate::runner::warm::defaults::LoadedWorker;
use crate::runner::{LocalRunner, Repetitions, Runner, WarmRunner};
use crate::tune::TuneConfig;
use crate::workload::custom::CustomJob;
use crate::workload::preprocess::images::{Pictures, photographs};

/// How the names of trials' folders begin.
pub const SCRATCH: &str = ".trial-";

/// How many pictures are generated when none are given.
const PICTURES: usize = 8;

/// Everything that trials run with, but for a folder of their own; and the
/// job, cut to the depth of the user's own weights.
///
/// # Errors
/// As [`plan`]; [`Usage`] where there is no worker.
pub fn set_up(
    args: &RunnerArgs,
    job: Job,
    machine: Machine,
    baseline: Baseline,
) -> Result<(LocalRunner, Job)> {
    let (mut runner, job) = plan(args, job, machine, baseline)?;
    if !matches!(runner.custom_job, Some(CustomJob::Command(_) | CustomJob::Worker(_))) {
        check_worker(args, &runner.programs.worker)?;
    }
    if runner.custom_job.is_none() && args.images.is_none() {
        // Generated pictures are made once: no tune pays for them.
        runner.images = photographs(&cache::folder()?, PICTURES)?;
    }
    if runner.programs.worker.is_file() {
        held::hold(&runner.programs.worker)?;
    }
    runner.stop = signals::watch()?;
    // Orphans of trials become children of this process, so that none survives its trial.
    set_child_subreaper(Some(getpid())).context("becoming the reaper of trials")?;
    Ok((runner, job))
}

/// Sees that there is a worker; where the user did not name it, one that nobody else can replace.
fn check_worker(args: &RunnerArgs, worker: &Path) -> Result<(), Usage> {
    if !worker.is_file() {
        let cure = "build it with `make build`, or name it with --worker FILE";
        return Err(Usage(format!("{}: no such program; {cure}", worker.display())));
    }
    if args.worker.as_ref().is_some_and(Option::is_some) {
        return Ok(());
    }
    Owners::root_and_user().alone_can_write(worker).map_err(|problem| {
        Usage(format!("{problem}: take the rights away from others, or name it with --worker"))
    })
}

/// What runs trials on what `runner` says of the machine; the user's own worker may be `loaded`.
pub fn of_trials(runner: &LocalRunner, loaded: Option<LoadedWorker>) -> Box<dyn Runner + '_> {
    match &runner.custom_job {
        Some(CustomJob::Worker(job)) => Box::new(WarmRunner::new(runner, job, loaded)),
        _ => Box::new(runner.clone()),
    }
}

/// What a tune on `runner` is asked for.
pub fn config(
    args: &RunnerArgs,
    runner: &LocalRunner,
    seed: u64,
    repetitions: Repetitions,
) -> TuneConfig {
    let measure_with = match &runner.custom_job {
        None => "`wan22-tune measure --baseline`",
        Some(CustomJob::Command(_)) => "`wan22-tune measure --baseline -- COMMAND`",
        Some(CustomJob::Worker(_)) => "`wan22-tune measure --baseline --worker -- COMMAND`",
        Some(CustomJob::Module(_)) => {
            "`wan22-tune measure --baseline --module FILE --inputs SHAPES`"
        }
    };
    let (min_psnr_db, stop) = (args.min_psnr, runner.stop.clone());
    TuneConfig { seed, repetitions, min_psnr_db, measure_with, stop, ..TuneConfig::default() }
}

/// The same as far as it goes without starting or writing anything.
///
/// # Errors
/// [`Usage`] for a file or folder that can't be used, or a job that memory has no room for.
pub fn plan(
    args: &RunnerArgs,
    job: Job,
    machine: Machine,
    baseline: Baseline,
) -> Result<(LocalRunner, Job)> {
    let (job, parts, own) = match job {
        Job::Pipeline(file) => {
            let (file, parts) = job::parts(file, args.weights.as_deref())?;
            (Job::Pipeline(file), parts, None)
        }
        Job::Custom(custom) => {
            (Job::Custom(custom.clone()), Model::default().architecture(), Some(custom))
        }
    };
    let runner = LocalRunner {
        programs: programs(args)?,
        images: if own.is_none() { pictures(args)? } else { Vec::new() },
        custom_job: own,
        parts,
        weights: args.weights.as_ref().map(std::path::absolute).transpose()?,
        memory_bytes: memory_bytes(args, &machine),
        device_bytes: device_bytes(args, &machine)?,
        scratch: std::env::temp_dir(),
        stop: Arc::default(),
        machine,
        baseline,
    };
    custom::fits(runner.custom_job.as_ref(), runner.memory_bytes).map_err(Usage)?;
    let smallest = job.smallest();
    let place = format!("{smallest}, the smallest size of this job");
    runner.settings(&smallest, &runner.baseline.knobs).map_err(|problem| match job {
        Job::Custom(_) => Usage(format!("its baseline: {problem}")),
        Job::Pipeline(_) => Usage(format!(
            "{place}: {problem}; give more, or another job with --workload (vae-decode and encode \
             need less)"
        )),
    })?;
    Ok((runner, job))
}

fn memory_bytes(args: &RunnerArgs, machine: &Machine) -> u64 {
    let usable = machine.usable_memory_bytes();
    args.max_memory.map_or(usable / 10 * 9, |most| most.as_u64().min(usable))
}

fn device_bytes(args: &RunnerArgs, machine: &Machine) -> Result<Option<u64>, Usage> {
    let Some(most) = args.max_device_memory else { return Ok(None) };
    if machine.gpus.is_empty() {
        let cure = "NVIDIA's driver shows none to this process (CUDA_VISIBLE_DEVICES, a container \
                    without its libraries): leave it out, or see `wan22-tune machine`";
        return Err(Usage(format!("--max-device-memory {most}: there is no GPU: {cure}")));
    }
    Ok(Some(most.as_u64()))
}

/// The programs that trials run with.
///
/// # Errors
/// This one can't be found.
pub fn programs(args: &RunnerArgs) -> Result<Programs> {
    let tuner = std::env::current_exe().context("finding this program")?;
    held::hold_this_program(&tuner)?;
    let worker =
        args.worker.clone().flatten().unwrap_or_else(|| tuner.with_file_name("wan22-worker"));
    Ok(Programs { tuner, worker })
}

/// The user's own pictures; says how many there are.
///
/// # Errors
/// [`Usage`] for a folder without pictures, or with broken ones.
fn pictures(args: &RunnerArgs) -> Result<Vec<PathBuf>> {
    let Some(folder) = &args.images else { return Ok(Vec::new()) };
    let pictures = Pictures::list(folder).map_err(|error| Usage(format!("--images {error:#}")))?;
    terminal::tell(&format!("--images {}: {pictures}", folder.display()));
    // The worker has a working folder of its own.
    Ok(pictures.paths.iter().map(std::path::absolute).collect::<Result<_, _>>()?)
}

/// A folder for launch files and frames that goes away with the value.
pub fn scratch(parent: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(parent);
    folder.with_context(|| format!("making a folder in {}", parent.display()))
}
