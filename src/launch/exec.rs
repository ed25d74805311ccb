//! Becoming the launched command.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::{Launch, affinity, environment};

/// Everything was applied, but the command can't be run.
#[derive(Debug, thiserror::Error)]
#[error("starting {program}")]
pub struct NotStarted {
    /// The command's first word.
    program: String,
    /// Why.
    pub source: io::Error,
}

/// The tuner that watches over a trial: the process dies with it.
#[derive(Clone, Copy, Debug)]
pub struct Supervision {
    /// The tuner's process.
    pub parent: i32,
}

/// Binds this process to what `launch` says and replaces it by `command`.
///
/// # Errors
/// What could not be applied, or why the command can't start. Never returns otherwise.
pub fn exec(
    launch: &Launch,
    command: &[OsString],
    supervision: Option<Supervision>,
) -> Result<Infallible> {
    let Some((program, arguments)) = command.split_first() else {
        bail!("no command: type it after `--`");
    };
    if let Some(supervision) = supervision {
        supervise(supervision)?;
    }
    affinity::bind(&launch.cpus).with_context(|| format!("binding to CPUs {}", launch.cpus))?;
    launch.memory.apply().with_context(|| {
        format!("memory policy {:?} (in a container, add --cap-add SYS_NICE)", launch.memory)
    })?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment::build(std::env::vars_os(), &launch.environment))
        .exec();
    Err(NotStarted { program: program.display().to_string(), source: error }.into())
}

fn supervise(supervision: Supervision) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("asking to die with the tuner")?;
    // The tuner may have died before the line above.
    if getppid().map(Pid::as_raw_pid) != Some(supervision.parent) {
        bail!("the tuner is gone");
    }
    // When memory runs out, the trial goes and not the tuner. Not every container allows it.
    match fs::write("/proc/self/oom_score_adj", "1000") {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(error).context("raising /proc/self/oom_score_adj")
        }
        _ => Ok(()),
    }
}
