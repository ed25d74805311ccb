//! Conformance: whether a program speaks the worker's protocol, claim by claim.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use super::{Process, Scope, mismatches, told};
use crate::knobs::effect::{Effect, in_words};
use crate::knobs::{Knobs, Settings, Value, Values};
use crate::launch::Launch;
use crate::runner::protocol::Job;
use crate::runner::response::{ENDED_EARLY, Response};
use crate::runner::{LocalRunner, Repetitions, TrialRequest};
use crate::trial::Outcome;
use crate::workload::Workload;
use crate::workload::custom::WorkerJob;

/// What a worker has to do, and how it does not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Claim {
    /// What is looked at.
    pub claim: &'static str,
    /// What was seen where all is well.
    pub found: String,
    /// What is wrong; `None` where nothing is.
    pub problem: Option<String>,
}

impl Claim {
    fn of(claim: &'static str, seen: Result<String, String>) -> Self {
        let (found, problem) = match seen {
            Ok(found) => (found, None),
            Err(problem) => (String::new(), Some(problem)),
        };
        Self { claim, found, problem }
    }
}

/// Tries a worker on the machine that `runner` knows, within `time` per job; `others` has another value
/// of each knob of its own.
///
/// # Errors
/// No process can be started, or no file written.
pub fn examine(
    runner: &LocalRunner,
    worker: &WorkerJob,
    others: &Values,
    time: Duration,
) -> Result<Vec<Claim>> {
    let mut trial = Trial::new(runner, worker, time);
    let values = runner.baseline.knobs.values();
    let mut process = trial.start(&values)?;
    let first = trial.ask(&mut process, &values, |_| ())?;
    let mut claims = vec![
        Claim::of("answers a job", said(&first)),
        Claim::of("applies its settings", applied(&trial, &process, &first, &values)?),
    ];
    if let Some(found) = first.effect.as_ref().and_then(read_back) {
        claims.push(Claim::of("reads back", Ok(found)));
    }
    let mut scope = Scope::default();
    scope.learn(&first.effect.clone().unwrap_or_default());
    if first.outcome == Outcome::Ok {
        let more = (!process.is_open()).then(|| "exits after a job".to_owned());
        let seen = match more {
            Some(exits) => Ok(exits),
            None => stays(&mut trial, &mut process, &scope, (&values, &first, others))?,
        };
        claims.push(Claim::of("stays for another job", seen));
    }
    let was_open = process.is_open();
    let has_exited = process.close()?;
    let too_long = "its standard input was closed, and 5 s later it still ran".to_owned();
    if was_open {
        let exit = if has_exited { Ok("in time".to_owned()) } else { Err(too_long) };
        claims.push(Claim::of("exits at the end", exit));
    }
    let mut process = trial.start(&values)?;
    let foreign = trial.ask(&mut process, &values, |job| job.version = 0)?;
    let cure = "check the job's `version`, and say `failed` or exit";
    let refused = match foreign.outcome {
        Outcome::Ok => Err(format!("it did a job of protocol 0: {cure}")),
        Outcome::Crashed => Ok(foreign.detail),
        _ if foreign.says_failed || foreign.detail.starts_with(ENDED_EARLY) => Ok(foreign.detail),
        _ => Err(format!("{}: {cure}", foreign.detail)),
    };
    claims.push(Claim::of("refuses another protocol", refused));
    Ok(claims)
}

/// One job after another.
pub(super) struct Trial<'a> {
    runner: &'a LocalRunner,
    worker: &'a WorkerJob,
    time: Duration,
    number: u64,
}

impl<'a> Trial<'a> {
    /// None yet.
    pub(super) fn new(runner: &'a LocalRunner, worker: &'a WorkerJob, time: Duration) -> Self {
        Self { runner, worker, time, number: 0 }
    }

    fn knobs(&self, values: &Values) -> Result<(Knobs, Settings)> {
        let knobs = self.runner.knobs(values).map_err(anyhow::Error::msg)?;
        let settings = knobs.resolve(&self.runner.machine).map_err(anyhow::Error::msg)?;
        Ok((knobs, settings))
    }

    /// Starts a process for a job of these values.
    pub(super) fn start(&self, values: &Values) -> Result<Process> {
        let (knobs, settings) = self.knobs(values)?;
        let profile = self.runner.launch_file(&knobs)?;
        let (tuner, launch) = (&*self.runner.programs.tuner, Launch::of(&settings));
        Process::start(self.worker, tuner, &profile, launch, values.clone())
    }

    /// Has it do the next job, which may be changed first.
    pub(super) fn ask(
        &mut self,
        process: &mut Process,
        values: &Values,
        change: impl Fn(&mut Job),
    ) -> Result<Response> {
        self.number += 1;
        let (job, twice) = (Workload::custom("worker"), Repetitions::exactly(2));
        let request = TrialRequest::alone(job, values.clone(), twice, self.time);
        let request = TrialRequest { number: self.number, ..request };
        let mut job = self.runner.job(&request, self.knobs(values)?.1)?;
        job.knobs = told(values, &job.settings.as_is);
        change(&mut job);
        let limit = self.runner.limit(&request);
        process.answer(&job, limit, &|| self.runner.stop.load(Ordering::Relaxed))
    }
}

fn said(answer: &Response) -> Result<String, String> {
    match answer.outcome {
        Outcome::Ok => {
            let costs: Vec<String> =
                answer.samples.iter().map(|sample| format!("{:.3} s", sample.cost())).collect();
            Ok(format!("ready, {}, done", costs.join(", ")))
        }
        outcome => Err(format!("{outcome}: {}", answer.detail)),
    }
}

fn applied(
    trial: &Trial<'_>,
    process: &Process,
    answer: &Response,
    values: &Values,
) -> Result<Result<String, String>> {
    let Some(effect) = &answer.effect else { return Ok(Err("it never was ready".to_owned())) };
    let seen = process.seen(false);
    let settings = trial.knobs(values)?.1;
    let told = told(values, &settings.as_is);
    let wrong = mismatches(effect, seen.as_ref(), &settings, &told);
    if !wrong.is_empty() {
        return Ok(Err(in_words(&wrong)));
    }
    let pairs: Vec<String> = effect
        .applied
        .iter()
        .map(|(name, value)| {
            let scope = if effect.run_scope.contains(name) { "" } else { " (at its launch)" };
            let kind =
                if matches!(value, Value::Switch(_)) { " (JSON's true or false)" } else { "" };
            format!("{name} {value}{kind}{scope}")
        })
        .collect();
    Ok(Ok(if pairs.is_empty() { "it takes no knob".to_owned() } else { pairs.join(", ") }))
}

/// Data types of its models, and what its torch says of CUDA, where it does.
fn read_back(effect: &Effect) -> Option<String> {
    let mut found: Vec<String> =
        effect.dtypes.iter().map(|(model, dtype)| format!("{model} {dtype}")).collect();
    found.extend(effect.cuda.as_ref().map(|cuda| {
        let on = |is_on| if is_on { "on" } else { "off" };
        let [matmul, convolution] = [cuda.tf32_matmul, cuda.tf32_convolution].map(on);
        let (device, allocator) = (&cuda.device, &cuda.allocator);
        let [reserved, free] = [cuda.reserved_bytes, cuda.free_bytes].map(bytesize::ByteSize);
        format!(
            "{device}: TF32 {matmul} for products, {convolution} for convolutions, allocator \
             `{allocator}`, {reserved} held, {free} free"
        )
    }));
    (!found.is_empty()).then(|| found.join(", "))
}

/// Whether it does a second job, with another value of each knob that it says it can change, and a
/// third one as the first.
fn stays(
    trial: &mut Trial<'_>,
    process: &mut Process,
    scope: &Scope,
    (values, first, others): (&Values, &Response, &Values),
) -> Result<Result<String, String>> {
    let mut wanted = values.clone();
    for (name, value) in &mut wanted {
        let other = others.get(name).cloned().or_else(|| other(name, value));
        if let Some(other) = other.filter(|_| scope.is_run(name)) {
            *value = other;
        }
    }
    let changed: Vec<&str> = scope.changed(values, &wanted).collect();
    let answer = trial.ask(process, &wanted, |_| ())?;
    if let Err(problem) = said(&answer) {
        return Ok(Err(problem));
    }
    let seen = applied(trial, process, &answer, &wanted)?;
    if seen.is_err() || changed.is_empty() {
        return Ok(seen.map(|_| "changed there: nothing".to_owned()));
    }
    let back = trial.ask(process, values, |_| ())?;
    if let Err(problem) = said(&back) {
        return Ok(Err(format!("a third job: {problem}")));
    }
    if let Err(problem) = applied(trial, process, &back, values)? {
        return Ok(Err(format!("changed back: {problem}")));
    }
    let of = |answer: &Response, name: &str| answer.effect.as_ref()?.applied.get(name).cloned();
    let kept = changed.iter().find(|name| of(&back, name) != of(first, name));
    Ok(match kept {
        Some(name) => {
            Err(format!("a job without {name} after one with it: not as the first had it"))
        }
        None => Ok(format!("changed there: {}", changed.join(", "))),
    })
}

/// Another value that a knob of the built-in ones may have.
fn other(name: &str, value: &Value) -> Option<Value> {
    match (name, value) {
        ("vae_tile_size" | "tile_size", _) => Some(Value::Integer(256)),
        ("precision", _) => Some(Value::Word("bf16".to_owned())),
        ("memory_format", _) => Some(Value::Word("channels-last".to_owned())),
        ("matmul_precision", _) => Some(Value::Word("medium".to_owned())),
        ("batch_size", Value::Integer(size)) => Some(Value::Integer(size + 1)),
        _ => None,
    }
}
