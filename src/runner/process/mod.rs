//! A trial's process: started by `wan22-tune exec`, watched, and surely gone afterwards.

pub(super) mod heartbeat;
mod memory_watch;
pub mod orphans;
pub(super) mod output;
pub(super) mod output_lines;
pub(super) mod termination;
pub(super) mod tree;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::io::held;
use crate::machine::{SystemRoots, oom_kills, stat_field, threads};
use crate::runner::protocol::{PROTOCOL, VERSION};
use crate::trial::Outcome;

pub(in crate::runner) use memory_watch::MemoryWatch;

/// How often the watch looks at time, memory and signals.
pub(in crate::runner) const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// How long a worker that has said its last word may take to exit.
pub(in crate::runner) const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a trial may use.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Wall time from start to end.
    pub time: Duration,
    /// Seconds from start until it is ready to measure, where that is less.
    pub ready_s: Option<f64>,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Memory on one GPU, if that is limited.
    pub device_bytes: Option<u64>,
    /// What the first repetition may cost, in seconds per clip unless a metric is scored; one that
    /// costs more is the last.
    pub sample_s: Option<f64>,
}

impl Limit {
    /// How a trial fails of which this much is resident.
    pub fn exceeded(&self, resident: u64) -> Option<(Outcome, String)> {
        let most = self.memory_bytes;
        let detail = || format!("killed at {resident} bytes; the limit is {most}");
        (resident > most).then(|| (Outcome::OutOfMemory, detail()))
    }

    /// How a trial fails that holds this much on a GPU.
    pub fn exceeded_on_device(&self, held: u64) -> Option<(Outcome, String)> {
        let most = self.device_bytes.filter(|most| held > *most)?;
        let detail = format!("it took {held} bytes of device memory; the limit is {most}");
        Some((Outcome::OutOfDeviceMemory, detail))
    }
}

/// How a trial's process is started.
pub(in crate::runner) struct Start<'a> {
    /// `wan22-tune`, for its `exec`.
    pub tuner: &'a Path,
    /// The trial's profile.
    pub profile: &'a Path,
    /// More of exec's flags.
    pub flags: &'a [&'a str],
    /// Where it runs, if not here.
    pub folder: Option<&'a Path>,
    /// Whether it is a worker: it is told so, and somebody will write to its standard input, which is
    /// empty otherwise.
    pub stdin: bool,
}

impl Start<'_> {
    /// Starts `command` in a group of its own.
    pub fn spawn<S: AsRef<OsStr>>(&self, command: impl IntoIterator<Item = S>) -> Result<Child> {
        let mut exec = Command::new(held::program(self.tuner)?);
        exec.args(["exec", "--quiet", "--supervisor", &std::process::id().to_string()])
            .args(self.flags)
            .arg("--profile")
            .arg(self.profile)
            .arg("--")
            .args(command)
            .envs(self.stdin.then(|| (PROTOCOL, VERSION.to_string())))
            .stdin(if self.stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(folder) = self.folder {
            exec.current_dir(folder);
        }
        threads::started(self.tuner.display(), exec.spawn())
    }
}

/// Whether the process has not exited; a zombie has.
pub(in crate::runner) fn is_running(child: &Child) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", child.id())) else { return false };
    !matches!(stat_field(&stat, 3), Some("Z" | "X"))
}

/// Kills what is left of the trial and collects its status.
pub(in crate::runner) fn end(child: &mut Child) -> Result<ExitStatus> {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        // Whatever is gone already can't be killed: nothing to report.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().context("waiting for the worker");
    orphans::sweep();
    status
}

/// The kernel's own word that memory ran out: a SIGKILL alone may have come from anybody.
pub(in crate::runner) fn starved(status: ExitStatus, before: Option<u64>) -> Option<String> {
    let (before, now) = before.zip(oom_kills(&SystemRoots::live()))?;
    starved_between(status, before, now)
}

fn starved_between(status: ExitStatus, before: u64, now: u64) -> Option<String> {
    let kill = Signal::KILL.as_raw();
    // A shell exits with 128 more than the signal that its last child died of.
    let is_killed = status.signal() == Some(kill) || status.code() == Some(128 + kill);
    let detail = || format!("killed by the kernel for want of memory (oom_kill {before} to {now})");
    (is_killed && now > before).then(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_that_the_kernel_counted_is_a_want_of_memory_and_any_other_end_is_not() {
        // Signals are in the low byte of a status, what a process exits with in the next one.
        let [killed, shell, segfault, failed] = [9, 137 << 8, 11, 1 << 8].map(ExitStatus::from_raw);
        let detail = "killed by the kernel for want of memory (oom_kill 3 to 4)".to_owned();
        assert_eq!(starved_between(killed, 3, 4), Some(detail.clone()));
        assert_eq!(starved_between(shell, 3, 4), Some(detail));
        // Somebody else's kill.
        assert_eq!(starved_between(killed, 4, 4), None);
        // Somebody else's want of memory.
        assert_eq!(starved_between(segfault, 3, 4), None);
        assert_eq!(starved_between(failed, 3, 4), None);
    }
}
