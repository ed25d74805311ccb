//! A trial by the worker: sends it its job, receives its messages and watches it to its end.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::heartbeat::Pulse;
use super::process::output::Output;
use super::process::{
    EXIT_TIMEOUT, Limit, MemoryWatch, Start, WATCH_INTERVAL, end, is_running, output_lines,
    starved, termination,
};
use super::programs::Programs;
use super::protocol::Job;
use super::response::Response;
use crate::io::exit_code;
use crate::io::held;
use crate::machine::{SystemRoots, oom_kills, threads};
use crate::trial::Outcome;

/// What the dynamic loader says of a library that it does not find or can't use.
const NOT_LOADED: &str = "error while loading shared libraries";

/// What to do then: the worker has no other library that could be missing.
const NO_LIBTORCH: &str = "; the worker needs libtorch 2.13 where it lay when it was built, or in a \
    folder `libtorch` beside it: `make build` sees to that, and in a release `python3 libtorch.py \
    libtorch` or LIBTORCH=/its/folder";

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
    let start = Start { tuner: &programs.tuner, profile, flags: &[], folder: None, stdin: true };
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
    let (memory, is_kept) = (&mut MemoryWatch::of(child.id()), false);
    let mut watch = Watchdog { child: &child, limit, started, stop, pulse, memory, is_kept };
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
    let errors = messages.errors.recv_timeout(EXIT_TIMEOUT).unwrap_or_default();
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

/// The worker's two outputs, read by threads of their own so that none of them can block it.
#[derive(Debug)]
pub(super) struct Messages {
    pub lines: Receiver<Result<String, String>>,
    pub errors: Receiver<Output>,
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
        threads::spawn(move || error.send(Output::of(stderr)))?;
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
    pub memory: &'a mut MemoryWatch,
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
            let heard = lines.recv_timeout(WATCH_INTERVAL);
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
            let reason = self.too_late_to_be_ready(answer).or_else(|| self.overstepped(answer));
            if reason.is_some() {
                return reason;
            }
        }
        self.wait_for_exit(answer)
    }

    /// Output is closed; the exit has to follow.
    fn wait_for_exit(&mut self, answer: &mut Response) -> Option<(Outcome, String)> {
        let closed = Instant::now();
        while is_running(self.child) {
            if let Some(gap) = self.pulse.beat() {
                return Some((Outcome::Interrupted, gap));
            }
            if let Some(reason) = self.overstepped(answer) {
                return Some(reason);
            }
            if closed.elapsed() > EXIT_TIMEOUT {
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

    fn overstepped(&mut self, answer: &mut Response) -> Option<(Outcome, String)> {
        let time = self.limit.time;
        if (self.stop)() {
            return Some((Outcome::Interrupted, crate::trial::STOPPED.to_owned()));
        }
        if self.started.elapsed() > time {
            return Some((Outcome::Timeout, format!("killed after {:.1} s", time.as_secs_f64())));
        }
        let failed = self.memory.exceeded(self.limit, &mut self.pulse);
        answer.peak_device_bytes = answer.peak_device_bytes.max(self.memory.peak_device_bytes);
        failed
    }
}

/// What was said and not yet heard when all processes of the trial are gone.
fn drain(
    lines: &Receiver<Result<String, String>>,
    answer: &mut Response,
) -> Option<(Outcome, String)> {
    while let Ok(line) = lines.recv_timeout(EXIT_TIMEOUT) {
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

/// What the exit says of an answer that was not cut short.
fn conclude(answer: &mut Response, status: ExitStatus, errors: &Output, kills: Option<u64>) {
    if answer.is_failed() {
        return;
    }
    let last_words = errors.to_string();
    if status.code() == Some(exit_code::NOT_APPLIED.into()) {
        answer.fail(Outcome::Misapplied, last_words);
    } else if let Some(detail) = starved(status, kills) {
        answer.fail(Outcome::OutOfMemory, detail);
    } else if termination::by_others(status).is_some() {
        answer.fail(Outcome::Interrupted, termination::described(status, &last_words));
    } else if !status.success() {
        let cure = if last_words.contains(NOT_LOADED) { NO_LIBTORCH } else { "" };
        let detail = termination::described(status, &last_words) + cure;
        answer.fail(Outcome::Crashed.told_by(&last_words), detail);
    } else if let Err(problem) = answer.complete() {
        answer.fail(Outcome::WrongOutput, format!("{problem} {last_words}"));
    }
}
