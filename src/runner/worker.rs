//! One trial's process: started by `wan22-tune exec`, watched, and surely gone afterwards.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::heartbeat::Pulse;
use super::output_lines;
use super::output_lines::Tail;
use super::protocol::{Job, PROTOCOL, VERSION};
use super::response::Response;
use super::{orphans, process_tree, termination};
use crate::io::held;
use crate::launch::EXIT_NOT_APPLIED;
use crate::machine::threads;
use crate::machine::{SystemRoots, oom_kills};
use crate::trial::Outcome;

/// How often the watch looks at time, memory and signals.
pub(super) const WATCH: Duration = Duration::from_millis(20);

/// How often it looks at the memory of other processes than the worker, too: a walk through all
/// threads costs more than the look at one process.
const WALK: Duration = Duration::from_millis(200);

/// How long a worker that has said its last word may take to exit.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long a worker may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a version that are looked at.
const LONGEST_VERSION: u64 = 4096;

/// What the dynamic loader says of a library that it does not find or can't use.
const NOT_LOADED: &str = "error while loading shared libraries";

/// What to do then: the worker has no other library that could be missing.
const NO_LIBTORCH: &str = "; the worker needs libtorch 2.13 where it lay when it was built, or in a \
    folder `libtorch` beside it: `make build` sees to that, and in a release `python3 libtorch.py \
    libtorch` or LIBTORCH=/its/folder";

/// The programs that a trial needs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `wan22-tune`, for its `exec`.
    pub tuner: PathBuf,
    /// `wan22-worker`, or what stands in for it.
    pub worker: PathBuf,
}

impl Programs {
    /// What the worker says of itself and of its libtorch; `None` for one that does not say.
    pub fn version(&self) -> Option<String> {
        let quiet = || Stdio::null();
        let mut command = Command::new(held::program(&self.worker).ok()?);
        command.arg("--version").stdin(quiet()).stdout(Stdio::piped()).stderr(quiet());
        let mut child = command.process_group(0).spawn().ok()?;
        let asked = Instant::now();
        while is_running(&child) && asked.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.stdout.take();
        let status = end(&mut child).ok()?;
        let mut text = String::new();
        output?.take(LONGEST_VERSION).read_to_string(&mut text).ok()?;
        status.success().then(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// What a trial may use.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Wall time from start to end.
    pub time: Duration,
    /// Seconds from start until it is ready to measure, where that is less.
    pub ready_s: Option<f64>,
    /// Resident memory.
    pub memory_bytes: u64,
    /// What the first repetition may cost, in seconds per clip unless a metric is scored; one that
    /// costs more is the last.
    pub sample_s: Option<f64>,
}

/// Runs one trial to its end.
///
/// `stop` is asked often whether somebody wants the tuner to stop.
///
/// # Errors
/// Only when the machine can't start processes at all; a bad trial is an [`Response`].
pub fn run(
    programs: &Programs,
    profile: &Path,
    job: &Job,
    limit: Limit,
    stop: &dyn Fn() -> bool,
) -> Result<Response> {
    let started = Instant::now();
    let kills = oom_kills(&SystemRoots::live());
    let start = Start { tuner: &programs.tuner, profile, flags: &[], folder: None, stdin: true, protocol: true };
    let pulse = Pulse::start();
    let mut child = start.spawn([held::program(&programs.worker)?])?;
    let messages = match talk(&mut child, job) {
        Ok(messages) => messages,
        Err(error) => {
            let _ = end(&mut child);
            return Err(error);
        }
    };
    let mut answer = Response::new(job.trial, job.repetitions);
    let is_kept = false;
    let mut watch = Watchdog { child: &child, limit, started, stop, pulse, walked: None, is_kept };
    let verdict = watch.follow(&messages.lines, &mut answer);
    settle(&mut child, &messages, verdict, &mut answer, kills, stop)?;
    answer.wall_s = started.elapsed().as_secs_f64();
    Ok(answer)
}

/// Ends the process of a trial on which there may be a `verdict` already; its end may be another one.
pub(super) fn settle(
    child: &mut Child,
    messages: &Messages,
    verdict: Option<(Outcome, String)>,
    answer: &mut Response,
    kills: Option<u64>,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let is_dead = !is_running(child);
    let status = end(child)?;
    let verdict = match verdict.filter(|verdict| !(is_dead && is_torn(verdict, status))) {
        None if !answer.is_cut() => drain(&messages.lines, answer),
        verdict => verdict,
    };
    let errors = messages.errors.recv_timeout(GRACE).unwrap_or_default();
    match verdict.filter(|verdict| !(is_dead && is_torn(verdict, status))) {
        Some((outcome, detail)) => answer.fail(outcome, detail),
        None if answer.is_cut() => {}
        None if termination::is_stop(status, stop) => {
            answer.fail(Outcome::Interrupted, crate::trial::STOPPED.to_owned());
        }
        None => conclude(answer, status, &errors, kills),
    }
    Ok(())
}

/// How a trial's process is started.
pub(super) struct Start<'a> {
    /// `wan22-tune`, for its `exec`.
    pub tuner: &'a Path,
    /// The trial's profile.
    pub profile: &'a Path,
    /// More of exec's flags.
    pub flags: &'a [&'a str],
    /// Where it runs, if not here.
    pub folder: Option<&'a Path>,
    /// Whether somebody will write to its standard input, which is empty otherwise.
    pub stdin: bool,
    /// Whether it is to speak the worker's protocol, and is told so.
    pub protocol: bool,
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
            .envs(self.protocol.then(|| (PROTOCOL, VERSION.to_string())))
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

/// The worker's two outputs, read by threads of their own so that none of them can block it.
#[derive(Debug)]
pub(super) struct Messages {
    pub lines: Receiver<Result<String, String>>,
    pub errors: Receiver<Tail>,
}

fn talk(child: &mut Child, job: &Job) -> Result<Messages> {
    let text = serde_json::to_vec(job).expect("a job is plain data");
    if let Some(mut stdin) = child.stdin.take() {
        // A worker that does not read its job fails by what it says, not by this write.
        threads::spawn(move || stdin.write_all(&text))?;
    }
    listen(child)
}

/// Starts to read what the worker says.
pub(super) fn listen(child: &mut Child) -> Result<Messages> {
    let (line, lines) = sync_channel(64);
    let (error, errors) = sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        threads::spawn(move || output_lines::read(stdout, |text| line.send(text).is_ok()))?;
    }
    if let Some(stderr) = child.stderr.take() {
        threads::spawn(move || error.send(output_lines::tail(stderr)))?;
    }
    Ok(Messages { lines, errors })
}

/// The eyes on one worker.
pub(super) struct Watchdog<'a> {
    pub child: &'a Child,
    pub limit: Limit,
    pub started: Instant,
    pub stop: &'a dyn Fn() -> bool,
    pub pulse: Pulse,
    /// When the memory of all its processes was last looked at.
    pub walked: Option<Instant>,
    /// Whether the worker is kept for another job once it has said its last word on this one.
    pub is_kept: bool,
}

impl Watchdog<'_> {
    /// Follows the worker until it closes its output or is done with a job after which it is kept
    /// (`None`), or has to be killed, and why.
    pub fn follow(
        &mut self,
        lines: &Receiver<Result<String, String>>,
        answer: &mut Response,
    ) -> Option<(Outcome, String)> {
        loop {
            let heard = lines.recv_timeout(WATCH);
            if let Some(gap) = self.pulse.beat() {
                return Some((Outcome::Interrupted, gap));
            }
            match heard {
                Ok(Ok(line)) => {
                    if let Err(problem) = answer.receive(&line) {
                        return Some((Outcome::WrongOutput, problem));
                    }
                    let is_at_its_end = self.is_kept && answer.is_over();
                    if is_at_its_end || (!self.is_kept && answer.cut_above(self.limit.sample_s)) {
                        return None;
                    }
                }
                Ok(Err(problem)) => return Some((Outcome::WrongOutput, problem)),
                Err(RecvTimeoutError::Disconnected) => break,
                // A grandchild may hold the pipe open indefinitely; what else was said is heard at the end.
                Err(RecvTimeoutError::Timeout) if !is_running(self.child) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(reason) = self.too_late_to_be_ready(answer).or_else(|| self.overstepped()) {
                return Some(reason);
            }
        }
        self.wait_for_exit()
    }

    /// Output is closed; the exit has to follow.
    fn wait_for_exit(&mut self) -> Option<(Outcome, String)> {
        let closed = Instant::now();
        while is_running(self.child) {
            if let Some(gap) = self.pulse.beat() {
                return Some((Outcome::Interrupted, gap));
            }
            if let Some(reason) = self.overstepped() {
                return Some(reason);
            }
            if closed.elapsed() > GRACE {
                return Some((Outcome::Timeout, "closed its output but did not exit".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn too_late_to_be_ready(&self, answer: &Response) -> Option<(Outcome, String)> {
        let limit = self.limit.ready_s.filter(|_| answer.setup_s.is_none())?;
        let is_late = self.started.elapsed().as_secs_f64() > limit;
        is_late.then(|| {
            let detail = format!("killed after {limit:.1} s, in which it was not ready to measure");
            (Outcome::Timeout, detail)
        })
    }

    fn overstepped(&mut self) -> Option<(Outcome, String)> {
        let Limit { time, memory_bytes: most, .. } = self.limit;
        if (self.stop)() {
            return Some((Outcome::Interrupted, crate::trial::STOPPED.to_owned()));
        }
        if self.started.elapsed() > time {
            return Some((Outcome::Timeout, format!("killed after {:.1} s", time.as_secs_f64())));
        }
        let resident = self.resident_bytes();
        (resident > most).then(|| {
            let detail = format!("killed at {resident} bytes; the limit is {most}");
            (Outcome::OutOfMemory, detail)
        })
    }

    /// Memory of all processes where it is time to look at it, else of the worker alone.
    fn resident_bytes(&mut self) -> u64 {
        if self.walked.is_some_and(|at| at.elapsed() < WALK) {
            return process_tree::own_bytes(self.child.id());
        }
        self.walked = Some(Instant::now());
        orphans::reap(self.child.id());
        process_tree::resident_bytes(self.child.id())
    }
}

/// What was said and not yet heard when all processes of the trial are gone.
fn drain(
    lines: &Receiver<Result<String, String>>,
    answer: &mut Response,
) -> Option<(Outcome, String)> {
    while let Ok(line) = lines.recv_timeout(GRACE) {
        if let Err(problem) = line.and_then(|line| answer.receive(&line)) {
            return Some((Outcome::WrongOutput, problem));
        }
    }
    None
}

/// Whether a verdict on what was printed comes from a line that the process, which somebody else
/// ended, could not finish.
fn is_torn((outcome, _): &(Outcome, String), status: ExitStatus) -> bool {
    *outcome == Outcome::WrongOutput && termination::by_others(status).is_some()
}

/// Whether the process has not exited; a zombie has.
pub(super) fn is_running(child: &Child) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", child.id())) else { return false };
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Kills what is left of the trial and collects its status.
pub(super) fn end(child: &mut Child) -> Result<ExitStatus> {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        // Whatever is gone already can't be killed: nothing to report.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().context("waiting for the worker");
    orphans::sweep();
    status
}

/// The kernel's own word that memory ran out: a SIGKILL alone may have come from anybody.
pub(super) fn starved(status: ExitStatus, before: Option<u64>) -> Option<String> {
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

/// What the exit says of an answer that was not cut short.
fn conclude(answer: &mut Response, status: ExitStatus, errors: &Tail, kills: Option<u64>) {
    if answer.is_failed() {
        return;
    }
    let last_words = errors.to_string();
    if status.code() == Some(EXIT_NOT_APPLIED) {
        answer.fail(Outcome::Misapplied, last_words);
    } else if let Some(detail) = starved(status, kills) {
        answer.fail(Outcome::OutOfMemory, detail);
    } else if termination::by_others(status).is_some() {
        answer.fail(Outcome::Interrupted, termination::described(status, &last_words));
    } else if !status.success() {
        let cure = if last_words.contains(NOT_LOADED) { NO_LIBTORCH } else { "" };
        answer.fail(Outcome::Crashed, termination::described(status, &last_words) + cure);
    } else if let Err(problem) = answer.complete() {
        answer.fail(Outcome::WrongOutput, format!("{problem} {last_words}"));
    }
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
