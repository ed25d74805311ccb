//! Process: a user's worker that may stay loaded from one trial to the next.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::knobs::{Value, Values};
use crate::launch::{Effect, Launch};
use crate::machine::{SystemRoots, oom_kills};
use crate::runner::process::heartbeat::Pulse;
use crate::runner::process::{self, EXIT_TIMEOUT, Limit, MemoryWatch, Start, WATCH_INTERVAL};
use crate::runner::protocol::Job;
use crate::runner::response::Response;
use crate::runner::worker::{self, Messages, Watchdog};
use crate::workload::custom::WorkerJob;

/// A worker's process, and what it has done.
#[derive(Debug)]
pub struct Process {
    child: Child,
    memory: MemoryWatch,
    /// Closed where no more jobs come.
    stdin: Option<ChildStdin>,
    messages: Messages,
    /// What it was started with, which it keeps.
    pub launch: Launch,
    /// The values of its first job.
    pub first: Values,
    /// The values of its last job.
    pub now: Values,
    /// The number of the trial for which it was started.
    pub since: u64,
    /// Seconds until it had said what it runs by itself, where it was asked before its first trial.
    pub asked_s: f64,
    /// Seconds until it was ready for its first job.
    pub start_s: f64,
    /// The trials after the first, and what the last of them took.
    pub warm_trials: u32,
    /// See [`Process::warm_trials`].
    pub warm_s: f64,
    /// Whether it was started for its first job's sake, and need not go on for that.
    pub is_paid: bool,
    /// Which candidates it ran.
    pub ran: HashSet<u64>,
    /// Which values of knobs it ran.
    pub seen: HashSet<(String, Value)>,
    /// Whether it waits for another job: it says what it could change for that.
    pub stays: bool,
    is_ended: bool,
}

impl Process {
    /// Starts `worker` by `tuner`'s `exec` with the profile at `profile`, for a job of these values.
    ///
    /// # Errors
    /// The machine can't start processes.
    pub fn start(
        worker: &WorkerJob,
        tuner: &Path,
        profile: &Path,
        launch: Launch,
        values: Values,
    ) -> Result<Self> {
        let start = Start {
            tuner,
            profile,
            flags: &["--profile-env", &worker.profile_env],
            folder: Some(worker.folder.as_ref()),
            stdin: true,
        };
        let mut child = start.spawn(worker.words.iter().map(OsStr::new))?;
        let stdin = child.stdin.take();
        let messages = match worker::listen(&mut child) {
            Ok(messages) => messages,
            Err(error) => {
                let _ = process::end(&mut child);
                return Err(error);
            }
        };
        let memory = MemoryWatch::of(child.id());
        Ok(Self {
            child,
            memory,
            stdin,
            messages,
            launch,
            first: values.clone(),
            now: values,
            since: 0,
            asked_s: 0.0,
            start_s: 0.0,
            warm_trials: 0,
            warm_s: 0.0,
            is_paid: false,
            ran: HashSet::new(),
            seen: HashSet::new(),
            stays: false,
            is_ended: false,
        })
    }

    /// Has it do one job; a process that did not do it well is ended.
    ///
    /// # Errors
    /// The process can't be ended.
    pub fn answer(&mut self, job: &Job, limit: Limit, stop: &dyn Fn() -> bool) -> Result<Response> {
        let started = Instant::now();
        let kills = oom_kills(&SystemRoots::live());
        let mut answer = Response::new(job.trial, job.repetitions);
        self.send(job);
        let (child, memory) = (&self.child, &mut self.memory);
        memory.forget_peaks();
        let (pulse, is_kept) = (Pulse::start(), true);
        let mut watch = Watchdog { child, limit, started, stop, pulse, memory, is_kept };
        let verdict = watch.follow(&self.messages.lines, &mut answer);
        if verdict.is_none() && answer.is_over() && !answer.is_failed() {
            // It ended the trial itself after one repetition that was slow enough.
            answer.cut_above(limit.sample_s);
            if let Some(problem) = answer.complete().err().filter(|_| !answer.is_cut()) {
                let detail = format!("{problem} it said `done`");
                answer.fail(crate::trial::Outcome::WrongOutput, detail);
            }
        }
        let run_scope = answer.effect.as_ref().map(|effect| &effect.run_scope);
        self.stays = run_scope.is_some_and(|names| !names.is_empty());
        if verdict.is_some() || !answer.is_over() || answer.is_failed() {
            (self.stdin, self.is_ended) = (None, true);
            let Self { child, messages, .. } = self;
            worker::settle(child, messages, verdict, &mut answer, kills, stop)?;
        }
        answer.wall_s = started.elapsed().as_secs_f64();
        Ok(answer)
    }

    /// Sends a job; a worker that does not read it fails by what it says, not by this write.
    fn send(&mut self, job: &Job) {
        let mut line = serde_json::to_vec(job).expect("a job is plain data");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(&line);
        }
    }

    /// What holds in it, seen from outside.
    pub fn seen(&self, with_memory: bool) -> Option<Effect> {
        Effect::of_process(self.child.id(), with_memory)
    }

    /// Whether it can be given another job.
    pub fn is_open(&self) -> bool {
        self.stays && self.stdin.is_some() && process::is_running(&self.child)
    }

    /// Tells it that no more jobs come and waits for its exit; whether it came in time.
    ///
    /// # Errors
    /// Its status can't be collected.
    pub fn close(mut self) -> Result<bool> {
        self.stdin = None;
        let told = Instant::now();
        while process::is_running(&self.child) && told.elapsed() < EXIT_TIMEOUT {
            std::thread::sleep(WATCH_INTERVAL);
        }
        let has_exited = !process::is_running(&self.child);
        self.end()?;
        Ok(has_exited)
    }

    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_ended, true) {
            return Ok(());
        }
        process::end(&mut self.child).map(drop).context("ending a worker")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
