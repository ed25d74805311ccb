//! One run of a command: started by `wan22-tune exec`, watched, and surely gone afterwards.

use std::ffi::OsStr;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::process_snapshot::ProcessSnapshot;
use super::{CommandTrial, Failure};
use crate::io::exit_code;
use crate::machine::{SystemRoots, oom_kills, threads};
use crate::runner::process::heartbeat::Pulse;
use crate::runner::process::output::Output;
use crate::runner::process::{self, EXIT_TIMEOUT, MemoryWatch, Start, WATCH_INTERVAL, termination};
use crate::trial::{Outcome, STOPPED};
use crate::workload::custom::printed::MetricSource;
use crate::workload::custom::sink::Sink;

/// The first look; each next one comes after twice the time.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// How `exec` begins what it says, to be told from a command that exits as it does.
const EXEC_SAYS: &str = "wan22-tune exec:";

/// One run that ended.
pub(super) struct Run {
    /// Seconds from the launch to the exit of the command itself.
    pub wall_s: f64,
    /// The last look at it; `None` for one that ended before.
    pub look: Option<ProcessSnapshot>,
    /// Peak resident memory of all its processes, as far as the watch saw it.
    pub peak_rss_bytes: Option<u64>,
    /// The same of what they hold on a GPU.
    pub peak_device_bytes: Option<u64>,
    /// What it printed.
    pub stdout: Output,
    stderr: Output,
    status: ExitStatus,
    /// The kernel's word that memory ran out, where it gave one.
    starved: Option<String>,
    /// Why it was killed.
    killed: Option<Failure>,
}

impl CommandTrial<'_> {
    /// Runs the command once, in a trial that began at `started`.
    pub(super) fn run(&self, started: Instant) -> Result<Run> {
        let variables = self.command.sinks.iter().filter(|(_, sink)| matches!(sink, Sink::Env(_)));
        let variables = variables.map(|(knob, sink)| format!("--knob={knob} {sink}"));
        let variables: Vec<String> = variables.collect();
        let profile_env = ["--profile-env", &self.command.profile_env];
        let start = Start {
            tuner: self.tuner,
            profile: self.profile,
            flags: &profile_env
                .into_iter()
                .chain(variables.iter().map(String::as_str))
                .collect::<Vec<_>>(),
            folder: Some(self.command.folder.as_ref()),
            stdin: false,
        };
        let kills = oom_kills(&SystemRoots::live());
        let (pulse, launched) = (Pulse::start(), Instant::now());
        let mut child = start.spawn(self.words.iter().map(OsStr::new))?;
        let followed = Printed::of(&mut child).and_then(|printed| Ok((printed, exit_of(&child)?)));
        let (printed, exited) = match followed {
            Ok(followed) => followed,
            Err(error) => {
                let _ = process::end(&mut child);
                return Err(error);
            }
        };
        let memory = MemoryWatch::of(child.id());
        let mut watch = Watchdog { runs: self, started, launched, pulse, memory, look: None };
        let end = watch.follow(child.id(), &exited);
        let status = process::end(&mut child)?;
        let starved = process::starved(status, kills);
        let end = end.and_then(|at| self.unless_stopped(status).map(|()| at));
        let (look, memory) = (watch.look, watch.memory);
        let MemoryWatch { peak_rss_bytes, peak_device_bytes, .. } = memory;
        let (stdout, stderr) = printed.read();
        let wall_s = end.as_ref().map_or_else(|_| launched.elapsed(), |&at| at - launched);
        let wall_s = wall_s.as_secs_f64();
        let killed = end.err();
        Ok(Run {
            wall_s,
            look,
            peak_rss_bytes,
            peak_device_bytes,
            stdout,
            stderr,
            status,
            starved,
            killed,
        })
    }

    /// Whoever stops the tuner may have ended the command first, well or not.
    fn unless_stopped(&self, status: ExitStatus) -> Result<(), Failure> {
        let is_stop = termination::is_stop(status, self.stop);
        if is_stop { Err((Outcome::Interrupted, STOPPED.to_owned())) } else { Ok(()) }
    }

    /// The longest that one run may take, and what to say when it took longer.
    pub(super) fn limit(&self, started: Instant, launched: Instant) -> (Duration, String) {
        let left = self.limit.time.saturating_sub(launched - started);
        let timeout = self.command.timeout_s.map(Duration::from_secs_f64);
        match timeout {
            Some(timeout) if timeout < left => {
                (timeout, format!("killed after {:.1} s, its --timeout", timeout.as_secs_f64()))
            }
            _ => (left, format!("killed after {:.1} s", self.limit.time.as_secs_f64())),
        }
    }
}

/// The eyes on one run.
struct Watchdog<'a> {
    runs: &'a CommandTrial<'a>,
    started: Instant,
    launched: Instant,
    pulse: Pulse,
    memory: MemoryWatch,
    look: Option<ProcessSnapshot>,
}

impl Watchdog<'_> {
    /// Follows process `pid` to its exit, whose time it returns, or until it has to be killed.
    fn follow(&mut self, pid: u32, exited: &Receiver<Instant>) -> Result<Instant, Failure> {
        let (limit, too_long) = self.runs.limit(self.started, self.launched);
        let with_memory = self.runs.settings.memory.nodes().is_some();
        let mut next_look = FIRST_LOOK;
        loop {
            let exit = exited.recv_timeout(WATCH_INTERVAL);
            if let Some(gap) = self.pulse.beat() {
                return Err((Outcome::Interrupted, gap));
            }
            match exit {
                Ok(at) => return Ok(at),
                Err(RecvTimeoutError::Disconnected) => return Ok(Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if (self.runs.stop)() {
                return Err((Outcome::Interrupted, STOPPED.to_owned()));
            }
            let elapsed = self.launched.elapsed();
            if elapsed > limit {
                return Err((Outcome::Timeout, too_long));
            }
            self.watch_memory()?;
            if elapsed >= next_look {
                self.look =
                    ProcessSnapshot::at(pid, self.runs.tuner, with_memory).or(self.look.take());
                next_look = elapsed * 2;
                self.pulse.restart();
            }
        }
    }

    fn watch_memory(&mut self) -> Result<(), Failure> {
        self.memory.exceeded(self.runs.limit, &mut self.pulse).map_or(Ok(()), Err)
    }
}

/// The moment of the child's exit, from a thread that only waits for it: a poll would round every
/// time up.
fn exit_of(child: &Child) -> Result<Receiver<Instant>> {
    let (exit, exited) = sync_channel(1);
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        threads::spawn(move || {
            // Leaves the status to whoever reaps the process.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
            exit.send(Instant::now())
        })?;
    }
    Ok(exited)
}

/// The command's two outputs, read by threads of their own so that none of them can block it.
struct Printed([Receiver<Output>; 2]);

impl Printed {
    fn of(child: &mut Child) -> Result<Self> {
        let (out, stdout) = sync_channel(1);
        let (err, stderr) = sync_channel(1);
        if let Some(pipe) = child.stdout.take() {
            threads::spawn(move || out.send(Output::of(pipe)))?;
        }
        if let Some(pipe) = child.stderr.take() {
            threads::spawn(move || err.send(Output::of(pipe)))?;
        }
        Ok(Self([stdout, stderr]))
    }

    /// Standard output and standard error.
    fn read(self) -> (Output, Output) {
        let [stdout, stderr] =
            self.0.map(|output| output.recv_timeout(EXIT_TIMEOUT).unwrap_or_default());
        (stdout, stderr)
    }
}

impl Run {
    /// How it failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        if let Some(killed) = &self.killed {
            return Some(killed.clone());
        }
        if let Some(starved) = &self.starved {
            return Some((Outcome::OutOfMemory, starved.clone()));
        }
        let last_words = self.last_words();
        let is_exec = last_words.starts_with(EXEC_SAYS);
        match self.status.code() {
            Some(0) => None,
            Some(code) if is_exec && code == i32::from(exit_code::NOT_APPLIED) => {
                Some((Outcome::Misapplied, last_words))
            }
            _ => {
                let outcome = match termination::by_others(self.status) {
                    Some(_) => Outcome::Interrupted,
                    None => Outcome::of_words(&last_words),
                };
                Some((outcome, termination::described(self.status, &last_words)))
            }
        }
    }

    /// The number that it printed, on standard output or else on standard error.
    ///
    /// # Errors
    /// What is wrong with it, and the command's last words.
    pub fn metric(&self, source: &MetricSource) -> Result<f64, String> {
        let read = source.read(&self.stdout.text());
        let read = read.or_else(|problem| source.read(&self.stderr.text()).map_err(|_| problem));
        read.map_err(|problem| format!("{problem}; its last words: {}", self.last_words()))
    }

    /// The end of standard error, or of standard output where that is empty.
    fn last_words(&self) -> String {
        let words = [&self.stderr, &self.stdout].map(Output::last_words);
        let said = words.into_iter().find(|words| !words.is_empty());
        said.unwrap_or_else(|| "it said nothing".to_owned())
    }
}
