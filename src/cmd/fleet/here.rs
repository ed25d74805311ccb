//! A node's own job: probes, tunes or verifies, and leaves what came out in the fleet's folder.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::cli::{Cli, FleetArgs, words};
use crate::cmd::setup::runner;
use crate::cmd::{Usage, terminal};
use crate::fleet::engine::{Allocation, NODE_VARIABLE, this_node};
use crate::fleet::{Folder, NodeStatus, Probe, Request, Task, Tuned, Verified};
use crate::io::exit_code;
use crate::io::lock::Lock;
use crate::machine::ask::{ANSWER_TIMEOUT, ask};
use crate::machine::{Machine, threads};
use crate::results::{self, Results};

/// The last of a job, in which a scheduler tells a tune to end and the tune writes its report.
const LAST: Duration = Duration::from_secs(180);

/// The least budget that is worth a tune.
const LEAST: Duration = Duration::from_secs(60);

/// Does a task on this node.
///
/// # Errors
/// There is no such fleet; what came out can't be written.
pub fn run(args: &FleetArgs, task: Task) -> Result<ExitCode> {
    let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    // A launcher names the node; a Slurm job in which it was typed is the user's, not this one's.
    let launched = variable(NODE_VARIABLE);
    let job = if launched.is_some() { None } else { Allocation::of_process() };
    let name = launched.or_else(|| variable("SLURMD_NODENAME"));
    let folder = Folder::new(std::path::absolute(&args.dir)?);
    let missing = || {
        let place = folder.request();
        format!("{} is missing: do all nodes share its file system?", place.display())
    };
    let request = Request::read(&folder)?.with_context(missing)?;
    let node = Here { name: name.unwrap_or_else(this_node), folder, request };
    std::fs::create_dir_all(node.path()).with_context(|| node.path().display().to_string())?;
    // The tune of an earlier job may still run: its coordinator was killed, or its launcher.
    let _lock = Lock::take_in(&node.path(), true, &AtomicBool::new(false))?;
    let mut status = NodeStatus {
        task: task.to_string(),
        job: job.as_ref().map(|job| job.id().to_owned()),
        began: Timestamp::now().to_string(),
        ..NodeStatus::default()
    };
    node.folder.put_status(&node.name, &status)?;
    let done = node.perform(args, task);
    let (code, detail) = done.unwrap_or_else(|error| (code_of(&error), format!("{error:#}")));
    if code != 0 {
        terminal::tell(&detail);
        status.detail = detail;
    }
    status.is_broken = task == Task::Tune && code == 1 && node.is_broken();
    status.status = Some(code);
    node.folder.put_status(&node.name, &status)?;
    if task == Task::Tune
        && code == 0
        && matches!(node.folder.tuned(&node.name), Tuned::Begun { .. })
    {
        let Some(job) = &job else {
            // To Kubernetes a pod that was evicted and ended well is done.
            return Ok(ExitCode::from(exit_code::SOME_NODES));
        };
        Here::requeue(job);
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn code_of(error: &anyhow::Error) -> i32 {
    let code = if error.is::<Usage>() { exit_code::USAGE } else { exit_code::FAILURE };
    code.into()
}

/// A node of a fleet, from within.
struct Here {
    name: String,
    folder: Folder,
    request: Request,
}

impl Here {
    fn path(&self) -> std::path::PathBuf {
        self.folder.node(&self.name)
    }

    /// The status that the task ends with, and what it says of a failure.
    fn perform(&self, args: &FleetArgs, task: Task) -> Result<(i32, String)> {
        let work = &self.request.work_folder;
        std::env::set_current_dir(work)
            .with_context(|| format!("the work folder {}", work.display()))?;
        if let Some(wanted) = args.fleet.cpus {
            let allowed = Machine::detect()?.allowed.len();
            if allowed < wanted {
                let words = format!("the job has {allowed} of the node's {wanted} CPUs");
                return Ok((exit_code::PART_OF_NODE.into(), words));
            }
        }
        match task {
            Task::Probe => self.probe(),
            Task::Tune => self.tune(),
            Task::Verify => self.verify(args.fleet.of.as_deref()),
        }
    }

    fn probe(&self) -> Result<(i32, String)> {
        let words = self.request.words()?;
        let typed = ["wan22-tune", "--budget=60s"].map(OsString::from).into_iter().chain(words);
        let tune = Cli::try_parse_from(typed).map_err(|error| Usage(error.to_string()))?.tune;
        let is_own = !tune.custom.words.is_empty() || tune.custom.app.app.is_some();
        let programs = runner::programs(&tune.runner)?;
        let worker = (!is_own).then(|| programs.version()).flatten();
        self.folder.put_probe(&self.name, &Probe { worker, machine: Machine::detect()? })?;
        Ok((0, String::new()))
    }

    fn tune(&self) -> Result<(i32, String)> {
        let budget = Duration::try_from_secs_f64(self.request.budget_s).unwrap_or_default();
        let results = self.folder.results(&self.name);
        let flag = |name: &str, value: String| OsString::from(format!("--{name}={value}"));
        let seconds = |time: Duration| format!("{}s", time.as_secs().max(1));
        let mut all: Vec<OsString> = Vec::new();
        match self.folder.tuned(&self.name) {
            Tuned::Done { .. } => return Ok((0, String::new())),
            Tuned::Begun { results, .. } => {
                let spent = Results::open(&results::Folder::new(&results))?.spending()?;
                let rest = spent.budget.saturating_sub(spent.spent);
                all.extend(["resume".into(), results.into(), "--wait".into(), "--quiet".into()]);
                // One that was killed at its very end has something to say still.
                let given = if rest < LEAST.min(budget / 10) { Some(budget / 10) } else { None };
                all.extend(given.map(|given| flag("budget", seconds(given))));
            }
            Tuned::Not => {
                all.push(flag("budget", seconds(budget)));
                let mut place = OsString::from("--results=");
                place.push(&results);
                all.extend(["--wait".into(), "--quiet".into(), place]);
                all.extend(self.request.words()?);
            }
        }
        let (code, said, _) = self.call(&all, Stdio::inherit())?;
        Ok((code, said))
    }

    fn verify(&self, subject: Option<&Path>) -> Result<(i32, String)> {
        let subject = subject.context("--of is missing")?;
        let results = results::Folder::new(subject);
        let budget = self.request.budget_s.clamp(1.0, 300.0);
        let mut all: Vec<OsString> = vec!["verify".into(), results.profile().into()];
        all.extend(["--json", "--wait"].map(OsString::from));
        all.push(format!("--budget={}s", budget.round()).into());
        all.extend(words::of_verify(&self.request.words()?));
        let (code, said, printed) = self.call(&all, Stdio::piped())?;
        let Ok(found) = serde_json::from_str::<Value>(&printed) else {
            return Ok((if code == 0 { 1 } else { code }, said));
        };
        let profile = results.profile();
        let profile = profile.strip_prefix(self.folder.path()).unwrap_or(&profile).to_owned();
        let verified = Verified {
            profile,
            holds: found["holds"].as_bool(),
            finding: found["finding"].as_str().unwrap_or_default().to_owned(),
            gain: found["gain"]["mean"].as_f64(),
        };
        self.folder.put_verified(&self.name, &verified)?;
        Ok((0, String::new()))
    }

    /// Runs this program with other words and hands signals on to it; its status, the last line that it
    /// said and what it printed.
    fn call(&self, words: &[OsString], stdout: Stdio) -> Result<(i32, String, String)> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2])?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(words).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting this program")?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let handle = signals.handle();
        let watcher = threads::spawn(move || {
            for _ in signals.forever() {
                if let Some(id) = id {
                    let _ = kill_process(id, Signal::TERM);
                }
            }
        })?;
        let printed = child.stdout.take();
        let printer = threads::spawn(move || {
            printed.map(std::io::read_to_string).and_then(Result::ok).unwrap_or_default()
        })?;
        let mut last = String::new();
        for line in BufReader::new(child.stderr.take().context("stderr")?).lines() {
            let line = String::from_utf8_lossy(line?.as_bytes()).into_owned();
            terminal::tell(&line);
            if !line.trim().is_empty() {
                last = line.trim_start_matches("wan22-tune: ").to_owned();
            }
        }
        let status = child.wait().context("waiting for this program")?;
        handle.close();
        let _ = watcher.join();
        let printed = printer.join().unwrap_or_default();
        match status.code() {
            Some(code) => Ok((code, last, printed)),
            None => bail!("{status}: {last}"),
        }
    }

    /// Whether it is the baseline that does not run: no trial came out of anything.
    fn is_broken(&self) -> bool {
        let Tuned::Begun { results, .. } = self.folder.tuned(&self.name) else { return false };
        Results::open(&results::Folder::new(results)).is_ok_and(|results| {
            let is_failure = |trial: &crate::trial::Trial| trial.outcome.is_failure();
            !results.trials.is_empty() && results.trials.iter().all(is_failure)
        })
    }

    /// Has the scheduler start this job again where its time was over before the tune's. A job that was
    /// ended by somebody stays ended.
    fn requeue(job: &Allocation) {
        if job.left(Timestamp::now()).is_some_and(|left| left < LAST) {
            terminal::tell("the job's time is over, the tune's is not: it is started again");
            let _ = ask("scontrol", &["requeue", job.id()], ANSWER_TIMEOUT);
        }
    }
}
