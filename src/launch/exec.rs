//! Becoming the launched command.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{fmt, fs, io};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::{Launch, probe};
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::{AsIs, allow_list, inherited, placement, program_environment};
use crate::machine::CpuSet;

/// Everything was applied, but the command can't be run.
#[derive(Debug, thiserror::Error)]
#[error("starting {program}")]
pub struct NotStarted {
    /// The command's first word.
    program: String,
    /// What the system answered.
    pub source: io::Error,
}

/// The tuner that watches over a trial: the process dies with it.
#[derive(Clone, Copy, Debug)]
pub struct Supervision {
    /// The tuner's process.
    pub parent: i32,
}

/// What holds in this process, read back from the kernel, and what the command will be given.
#[derive(Debug)]
pub struct Applied {
    cpus: CpuSet,
    /// What was asked for; `None` where the caller wanted no policy set.
    asked: Option<MemoryPolicy>,
    /// What the kernel says; `None` where it does not.
    memory: Option<MemoryPolicy>,
    environment: BTreeMap<String, String>,
    as_is: AsIs,
    /// What could not be done and changes nothing for the process itself.
    pub warning: Option<String>,
}

impl Applied {
    /// The environment of `launch` in a process whose CPUs and memory policy stay as they are.
    ///
    /// # Errors
    /// A library that is missing, or that somebody else could have put there.
    pub fn as_inherited(launch: &Launch) -> Result<Self> {
        let environment = allow_list::resolved(&launch.environment).map_err(anyhow::Error::msg)?;
        let cpus = placement::bound().unwrap_or_else(|_| launch.cpus.clone());
        let memory = MemoryPolicy::read().ok();
        let as_is = launch.as_is.clone();
        Ok(Self { cpus, asked: None, memory, environment, as_is, warning: None })
    }
}

impl fmt::Display for Applied {
    /// One line, for the terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = self.memory.as_ref().map_or("not readable".to_owned(), ToString::to_string);
        write!(f, "CPUs {0} (read back {0}), memory ", self.cpus)?;
        match &self.asked {
            Some(asked) => write!(f, "{asked} (read back {got})")?,
            None => write!(f, "as inherited (read back {got})")?,
        }
        self.environment.iter().try_for_each(|(name, value)| write!(f, ", {name}={value}"))
    }
}

/// Binds this process to what `launch` says, and reads back whether it holds.
///
/// Without `memory` the memory policy stays what was inherited.
///
/// # Errors
/// What could not be applied, with the cure.
pub fn apply(launch: &Launch, memory: bool) -> Result<Applied> {
    let environment = allow_list::resolved(&launch.environment).map_err(anyhow::Error::msg)?;
    let words = |error: &io::Error| {
        format!("affinity: binding to CPUs {} ({})", launch.cpus, placement::cure(error))
    };
    let kept = launch.bound_cpus().map(placement::bind_or_keep).transpose();
    let kept = kept.map(Option::flatten).map_err(|error| {
        let words = words(&error);
        anyhow::Error::new(error).context(words)
    })?;
    let asked = launch.set_memory().filter(|_| memory);
    asked.map(set_policy).transpose()?;
    Ok(Applied {
        cpus: placement::bound().context("reading the CPUs back")?,
        asked: asked.cloned(),
        memory: MemoryPolicy::read().ok(),
        environment,
        as_is: launch.as_is.clone(),
        warning: kept.map(|error| format!("{}: {error}; it has them already", words(&error))),
    })
}

/// As [`apply`], in a thread of its own: shows what it would come to, and leaves the other threads of
/// this process as they are. Where no thread is to be had, it is this one.
///
/// # Errors
/// As [`apply`].
pub fn dry_run(launch: &Launch, memory: bool) -> Result<Applied> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || apply(launch, memory));
        let Ok(thread) = thread else { return apply(launch, memory) };
        thread.join().unwrap_or_else(|_| bail!("trying the launch failed"))
    })
}

fn set_policy(policy: &MemoryPolicy) -> Result<()> {
    let without = "or go on without it: --without-memory-policy";
    let refused = |error: io::Error| {
        format!("memory_mode: memory policy {policy}: {}; {without}", probe::cure(&error))
    };
    policy.apply().map_err(refused).map_err(anyhow::Error::msg)?;
    if *policy == MemoryPolicy::Default {
        return Ok(());
    }
    let got = MemoryPolicy::read().map_err(refused).map_err(anyhow::Error::msg)?;
    ensure!(
        got == *policy,
        "memory_mode: memory policy {policy}: the kernel made it {got}; {without}"
    );
    Ok(())
}

/// Replaces this process by `command`, which finds the variables of `handed` (see
/// [`crate::knobs::program_environment`]) in its environment too.
///
/// # Errors
/// Why the command can't start. Never returns otherwise.
pub fn exec(
    applied: &Applied,
    handed: &BTreeMap<String, OsString>,
    command: &[OsString],
) -> Result<Infallible> {
    let Some((program, arguments)) = command.split_first() else {
        bail!("no command: type it after `--`");
    };
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(inherited::build(std::env::vars_os(), &applied.environment, &applied.as_is))
        // Of a launch around this one.
        .env_remove(program_environment::AS_IS)
        .envs(handed)
        .exec();
    Err(NotStarted { program: program.display().to_string(), source: error }.into())
}

/// Ties this process to the tuner that started it.
///
/// # Errors
/// The tuner is gone, or the kernel refuses.
pub fn supervise(supervision: Supervision) -> Result<()> {
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
