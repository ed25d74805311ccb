//! The runner of a user's own worker. Its process stays loaded from trial to trial as long as only knobs
//! change that it can change while it runs.
//!
//! What a warm process measures may differ from what a fresh one does. Now and then, and where a
//! candidate is the best so far, it is measured again in a fresh process, which counts; a knob in
//! which the two differ by more than noise takes a new process from then on. The baseline and
//! pairs are always measured in fresh processes.

pub mod conformance;
mod process;
mod scope;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::Limit;
use super::response::Response;
use super::{LocalRunner, Runner, TrialRequest};
use crate::knobs::effect::{Effect, Mismatch, compare_reported, in_words};
use crate::knobs::{Settings, Value, Values, program_environment};
use crate::launch::Launch;
use crate::stats;
use crate::trial::noise::NoiseWatch;
use crate::trial::{Outcome, Phase, Sample, Trial};
use crate::workload::Workload;
use crate::workload::custom::WorkerJob;
use process::Process;
use scope::Scope;

/// Trials in one process without a look at a fresh one, while there is something to look for.
const UNCHECKED: u32 = 5;

/// What a start may take longer than the trials after it: a process is kept for as many trials as it
/// takes to measure this many times as long.
const WORTH: f64 = 3.0;

/// A warm and a fresh process differ where the logarithms of their times do by more than this;
/// twice that where a process ran one repetition.
const LEAST: f64 = 0.08;

/// They differ by more than noise only beyond this many deviations of the repetitions' logarithms.
const DEVIATIONS: f64 = 6.0;

/// Runs trials in a user's own worker.
pub struct WarmRunner<'a> {
    inner: &'a LocalRunner,
    job: &'a WorkerJob,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    scope: Scope,
    best: Option<f64>,
    unchecked: u32,
    news: Vec<String>,
}

/// A candidate on this machine, for one request.
struct Wanted<'r> {
    request: &'r TrialRequest,
    settings: Settings,
    identity: u64,
}

impl Runner for WarmRunner<'_> {
    fn run(&self, request: &TrialRequest) -> Result<Trial> {
        let started = jiff::Timestamp::now().to_string();
        let noise = NoiseWatch::start();
        let begun = Instant::now();
        let (mut answer, since) = self.answer(request, begun)?;
        answer.wall_s = begun.elapsed().as_secs_f64();
        if answer.outcome == Outcome::Timeout && request.ends_with_the_budget() {
            answer.outcome = Outcome::Interrupted;
            answer.detail = crate::trial::OVER.to_owned();
        }
        let noise = noise.finish(&self.inner.machine.allowed);
        let process = since.filter(|&since| since != request.number);
        let trial = Trial { noise, process, ..request.trial(started) };
        Ok(LocalRunner::trial(answer, trial))
    }

    fn identity(&self, workload: &Workload, values: &Values) -> Option<u64> {
        self.inner.identity(workload, &self.taken(values))
    }

    fn baseline(&self) -> Values {
        self.inner.baseline()
    }

    fn pictures(&self) -> Option<PathBuf> {
        self.inner.pictures()
    }

    fn nearest(&self, workload: &Workload, values: &Values, left: Duration) -> Option<Values> {
        let state = self.state.borrow();
        let process = state.process.as_ref().filter(|process| {
            let start_s = process.start_s + process.warm_s;
            process.is_open() && (process.has_to_pay_off() || left.as_secs_f64() < start_s)
        });
        let Some(process) = process else { return Some(values.clone()) };
        let near = near(process, &state.scope, values);
        let identity = self.identity(workload, &near)?;
        (!process.ran.contains(&identity)).then_some(near)
    }

    fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.state.borrow_mut().news)
    }
}

/// `values` with everything that takes a new process as it is in this one.
fn near(process: &Process, scope: &Scope, values: &Values) -> Values {
    let mut near = process.first.clone();
    let run = values.iter().filter(|(name, _)| scope.is_run(name));
    near.extend(run.map(|(name, value)| (name.clone(), value.clone())));
    near
}

impl Process {
    /// Whether its start took so long that it should go on a while.
    fn has_to_pay_off(&self) -> bool {
        f64::from(self.warm_trials) * self.warm_s < WORTH * self.start_s
    }
}

impl<'a> WarmRunner<'a> {
    /// The runner of `job` on what `inner` says of the machine.
    pub fn new(inner: &'a LocalRunner, job: &'a WorkerJob) -> Self {
        Self { inner, job, state: RefCell::default() }
    }

    /// `values` with what the worker does not take as the baseline has it.
    fn taken(&self, values: &Values) -> Values {
        let (baseline, state) = (self.inner.baseline(), self.state.borrow());
        let taken = |(name, value): (&String, &Value)| {
            let usual = baseline.get(name).filter(|_| !state.scope.is_taken(name));
            (name.clone(), usual.unwrap_or(value).clone())
        };
        values.iter().map(taken).collect()
    }

    /// What the worker says to a request, and the number of the trial for which its process was
    /// started.
    fn answer(&self, request: &TrialRequest, begun: Instant) -> Result<(Response, Option<u64>)> {
        let resolved = self.inner.knobs(&request.values);
        let settings = resolved.and_then(|knobs| self.inner.settings(&request.workload, &knobs));
        let settings = match settings {
            Ok(settings) => settings,
            Err(problem) => {
                let mut answer = Response::new(request.number, request.repetitions);
                answer.fail(Outcome::Illegal, problem);
                return Ok((answer, None));
            }
        };
        let identity = settings.identity(&request.workload);
        let wanted = Wanted { request, settings, identity };
        let state = &mut *self.state.borrow_mut();
        let is_fresh = is_fresh(request.phase);
        if !is_fresh && state.takes(&wanted) {
            let warm = self.ask(state, &wanted, begun)?;
            let doubtful = state.to_check(&warm, &request.values);
            if doubtful.is_empty() {
                let since = state.process.as_ref().map_or(0, |process| process.since);
                return Ok((warm, Some(since)));
            }
            state.end()?;
            self.start(state, &wanted)?;
            let fresh = self.ask(state, &wanted, begun)?;
            let fresh = state.compared(doubtful, &warm, fresh);
            return Ok((fresh, None));
        }
        state.end()?;
        self.start(state, &wanted)?;
        let answer = self.ask(state, &wanted, begun)?;
        if request.phase == Phase::Confirmation {
            state.end()?;
        }
        Ok((answer, None))
    }

    fn start(&self, state: &mut State, wanted: &Wanted<'_>) -> Result<()> {
        let values = &wanted.request.values;
        let knobs = self.inner.knobs(values).map_err(anyhow::Error::msg)?;
        let profile = self.inner.launch_file(&knobs)?;
        let (tuner, launch) = (&*self.inner.programs.tuner, Launch::of(&wanted.settings));
        let mut process = Process::start(self.job, tuner, &profile, launch, values.clone())?;
        process.since = wanted.request.number;
        state.process = Some(process);
        Ok(())
    }

    /// Has the process of now do what is wanted, and judges what it says.
    fn ask(&self, state: &mut State, wanted: &Wanted<'_>, begun: Instant) -> Result<Response> {
        let Wanted { request, settings, identity } = wanted;
        let mut job = self.inner.job(request, settings.clone())?;
        job.knobs = told(&request.values);
        job.stop_above_s = request.early_stop_s;
        let time = request.time().saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        let TrialRequest { ready_s, early_stop_s: sample_s, .. } = **request;
        let limit = Limit { time, ready_s, memory_bytes: self.inner.memory_bytes, sample_s };
        let stop = || self.inner.stop.load(Ordering::Relaxed);
        let Some(process) = &mut state.process else { unreachable!("it was started before") };
        let mut answer = process.answer(&job, limit, &stop)?;
        if let Some(effect) = &answer.effect {
            let seen = process.seen(settings.memory.nodes().is_some());
            let wrong = mismatches(effect, seen.as_ref(), settings, &job.knobs);
            state.scope.learn(effect);
            if !wrong.is_empty() {
                answer.fail(Outcome::Misapplied, in_words(&wrong));
            }
        }
        state.note(&answer, &request.values, *identity)?;
        Ok(answer)
    }
}

/// Whether a trial has to run in a process of its own.
fn is_fresh(phase: Phase) -> bool {
    matches!(phase, Phase::Calibration | Phase::Baseline | Phase::Confirmation)
}

/// What the worker is told: the knobs that nothing outside it can apply, and the strides of its tiles.
fn told(values: &Values) -> Values {
    let mut told = values.clone();
    told.retain(|name, _| scope::is_told(name));
    let strides =
        program_environment::strides(values, program_environment::LARGEST_RATIO).into_iter();
    told.extend(strides.map(|(name, stride)| (name.to_owned(), Value::Integer(stride))));
    told
}

/// What of a worker's process is not as it was asked, by what it says itself and what is seen of it.
fn mismatches(
    effect: &Effect,
    seen: Option<&Effect>,
    settings: &Settings,
    told: &Values,
) -> Vec<Mismatch> {
    let mut wrong = seen.map(|seen| seen.foreign_mismatches(settings)).unwrap_or_default();
    let threads = [
        ("intra_op_threads", settings.intra_op_threads, effect.intra_op_threads),
        ("inter_op_threads", settings.inter_op_threads, effect.inter_op_threads),
    ];
    let threads = threads.into_iter().filter(|(.., got)| got.is_some());
    wrong.extend(
        threads.filter_map(|(name, asked, got)| {
            Some(compare_reported(&asked, got.as_ref())?.of(name))
        }),
    );
    wrong.extend(told.iter().filter_map(|(name, asked)| {
        let got = effect.applied.get(name)?;
        (got != asked).then(|| Mismatch::new(name, asked, got))
    }));
    wrong
}

impl State {
    /// Whether the process of now can run what is wanted.
    fn takes(&self, wanted: &Wanted<'_>) -> bool {
        let launch = Launch::of(&wanted.settings);
        self.process.as_ref().is_some_and(|process| {
            process.is_open()
                && process.launch == launch
                && self.scope.fits(&process.now, &wanted.request.values)
                && self.scope.fits(&process.first, &wanted.request.values)
        })
    }

    /// Takes note of what the process did, and lets go of one that failed.
    fn note(&mut self, answer: &Response, values: &Values, identity: u64) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut fresh = None;
        if answer.is_failed() {
            return self.end();
        }
        if process.ran.is_empty() {
            process.start_s = (answer.wall_s - answer.measured_s).max(0.0);
            fresh = stats::median(&costs(&answer.samples));
        } else {
            process.warm_trials += 1;
            process.warm_s = answer.wall_s;
        }
        process.ran.insert(identity);
        process.now.clone_from(values);
        fresh.into_iter().for_each(|cost| self.believe(cost));
        Ok(())
    }

    /// The knobs for whose sake what a warm process measured is to be measured in a fresh one.
    fn to_check(&mut self, warm: &Response, values: &Values) -> Vec<String> {
        let Some(process) = self.process.as_ref().filter(|_| !warm.is_failed()) else {
            return Vec::new();
        };
        let cost = stats::median(&costs(&warm.samples)).unwrap_or(f64::INFINITY);
        let is_best = self.best.is_none_or(|best| cost < best);
        self.unchecked += 1;
        let doubtful = self.scope.doubtful(&process.first, values);
        if !doubtful.is_empty() && (is_best || self.unchecked > UNCHECKED) && !warm.is_cut() {
            return doubtful;
        }
        self.believe(cost);
        Vec::new()
    }

    fn believe(&mut self, cost: f64) {
        self.best = Some(self.best.map_or(cost, |best| best.min(cost)));
    }

    /// What a fresh process says of a candidate of which a warm one said something else, or the same.
    fn compared(&mut self, knobs: Vec<String>, warm: &Response, fresh: Response) -> Response {
        self.unchecked = 0;
        if fresh.is_failed() || fresh.is_cut() {
            return fresh;
        }
        let sides = [&warm.samples, &fresh.samples].map(|samples| costs(samples));
        let differ = differ(&sides[0], &sides[1]);
        let raised = self.scope.compared(knobs, !differ);
        if !raised.is_empty() {
            let [warm, fresh] = sides.map(|costs| stats::median(&costs).unwrap_or_default());
            self.news.push(format!(
                "{} takes a new process from here on: changed in one that ran, {warm:.3} s per run; \
                 in a fresh one {fresh:.3} s",
                raised.join(", ")
            ));
        }
        fresh
    }

    /// Ends the process of now.
    fn end(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(true), Process::close).map(drop)
    }
}

fn costs(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(Sample::cost).collect()
}

/// Whether two processes differ by more than the noise of their repetitions.
fn differ(warm: &[f64], fresh: &[f64]) -> bool {
    let logs = |costs: &[f64]| costs.iter().map(|cost| cost.ln()).collect::<Vec<_>>();
    let [warm, fresh] = [warm, fresh].map(logs);
    let deviations = [&warm, &fresh].map(|logs| stats::deviation(logs));
    let deviation = deviations.into_iter().flatten().fold(0.0, f64::max);
    let Some((warm, fresh)) = stats::median(&warm).zip(stats::median(&fresh)) else { return false };
    // One repetition shows no noise.
    let least = if deviations.contains(&None) { 2.0 * LEAST } else { LEAST };
    (warm - fresh).abs() > least.max(DEVIATIONS * deviation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_to_be_large_and_larger_than_noise() {
        // Medians 1 and 1.1: ln 1.1 = 0.095. Deviations of the logs: 0.01 and 0.05.
        let quiet = [0.99, 1.0, 1.01];
        assert!(differ(&quiet, &[1.09, 1.1, 1.11]));
        assert!(!differ(&quiet, &[1.05, 1.1, 1.16]));
        assert!(!differ(&quiet, &[1.06, 1.07, 1.08]));
        assert!(!differ(&[1.0], &[1.15]) && differ(&[1.0], &[1.2]));
    }
}
