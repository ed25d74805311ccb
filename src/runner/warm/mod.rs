//! The runner of a user's own worker. Its process stays loaded from trial to trial as long as only knobs
//! change that it can change while it runs.
//!
//! What a warm process measures may differ from what a fresh one does. Now and then, and where a
//! candidate is the best so far by far or failed, it is measured again in a fresh process, which counts; a
//! knob in which the two differ by more than noise takes a new process from then on. The baseline, its
//! returns and pairs are always measured in fresh processes. No other is kept beside these: a model
//! that fits into memory once need not fit twice.

pub mod conformance;
pub mod defaults;
mod process;
mod scope;
mod state;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::pictures::FilesBefore;
use super::response::Response;
use super::{LocalRunner, Runner, TrialRequest};
use crate::knobs::effect::{Effect, Mismatch, compare_reported, in_words};
use crate::knobs::numerics::tf32;
use crate::knobs::{AsIs, Knob, Settings, Value, Values, program_environment};
use crate::launch::Launch;
use crate::trial::noise::NoiseWatch;
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::Workload;
use crate::workload::custom::WorkerJob;
use defaults::LoadedWorker;
use process::Process;
use scope::Scope;
use state::State;

/// What a start may take longer than the trials after it: a process is kept for as many trials as it
/// takes to measure this many times as long.
const WORTH: f64 = 3.0;

/// The files in a job's folder for frames.
const HANDED_OVER: &str = "*";

/// Runs trials in a user's own worker.
pub struct WarmRunner<'a> {
    inner: &'a LocalRunner,
    job: &'a WorkerJob,
    state: RefCell<State>,
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
        let (mut answer, process) = self.answer(request, begun)?;
        let asked_s = self.state.borrow().asked_s(request.number);
        answer.wall_s = begun.elapsed().as_secs_f64() + asked_s;
        answer.setup_s = answer.setup_s.map(|setup_s| setup_s + asked_s);
        let noise = noise.finish(&self.inner.machine.allowed);
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
        !self.is_paid && f64::from(self.warm_trials) * self.warm_s < WORTH * self.start_s
    }
}

impl<'a> WarmRunner<'a> {
    /// The runner of `job` on what `inner` says of the machine; it may be `loaded` already.
    pub fn new(inner: &'a LocalRunner, job: &'a WorkerJob, loaded: Option<LoadedWorker>) -> Self {
        Self { inner, job, state: State::of(loaded).into() }
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
    /// started, where that was another one.
    fn answer(&self, request: &TrialRequest, begun: Instant) -> Result<(Response, Option<u64>)> {
        let resolved = self.inner.knobs(&request.values);
        let settings = resolved.and_then(|knobs| self.inner.settings(&request.workload, &knobs));
        let settings = match settings {
            Ok(settings) => settings,
            Err(problem) => {
                return Ok((Response::failed(request, Outcome::Illegal, problem), None));
            }
        };
        if let Some(failed) = self.reference(request, begun)? {
            return Ok((failed, None));
        }
        let identity = settings.identity(&request.workload);
        let wanted = Wanted { request, settings, identity };
        let state = &mut *self.state.borrow_mut();
        let is_fresh = is_fresh(request.phase);
        if !is_fresh && state.takes(&wanted) {
            let (since, doubtful) = state.before(&request.values);
            let warm = self.ask(state, &wanted, begun)?;
            if !state.is_due_for_check(&warm, &doubtful) {
                return Ok((warm, since));
            }
            let fresh = self.ask_fresh(state, &wanted, begun)?;
            return Ok((state.compared(doubtful, &warm, fresh), None));
        }
        let answer = self.ask_fresh(state, &wanted, begun)?;
        if request.phase == Phase::Confirmation {
            state.end()?;
        }
        Ok((answer, None))
    }

    /// Has the baseline make its pictures where a candidate's can be compared with none; how it failed.
    fn reference(&self, request: &TrialRequest, begun: Instant) -> Result<Option<Response>> {
        let hands_none = self.state.borrow().hands_over == Some(false);
        let baseline = self.inner.for_pictures(request).filter(|_| !hands_none);
        let baseline = baseline.map(|baseline| TrialRequest { phase: Phase::Baseline, ..baseline });
        let answer = baseline.map(|baseline| self.answer(&baseline, begun)).transpose()?;
        let answer = answer.map(|(answer, _)| answer).filter(Response::is_failed);
        Ok(answer.map(LocalRunner::without_pictures))
    }

    fn start(&self, state: &mut State, wanted: &Wanted<'_>) -> Result<()> {
        let (values, launch) = (&wanted.request.values, Launch::of(&wanted.settings));
        let mut process = match state.take_loaded(&launch, wanted) {
            Some(process) => process,
            None => {
                let knobs = self.inner.knobs(values).map_err(anyhow::Error::msg)?;
                let profile = self.inner.launch_file(&knobs)?;
                let tuner = &*self.inner.programs.tuner;
                Process::start(self.job, tuner, &profile, launch, values.clone())?
            }
        };
        process.since = wanted.request.number;
        process.is_paid = wanted.request.phase == Phase::Sentinel;
        state.process = Some(process);
        Ok(())
    }

    fn ask_fresh(
        &self,
        state: &mut State,
        wanted: &Wanted<'_>,
        begun: Instant,
    ) -> Result<Response> {
        state.end()?;
        self.start(state, wanted)?;
        self.ask(state, wanted, begun)
    }

    /// Has the process of now do what is wanted, and judges what it says. It has as long as any
    /// trial, also where another process had its time before.
    fn ask(&self, state: &mut State, wanted: &Wanted<'_>, begun: Instant) -> Result<Response> {
        let Wanted { request, settings, identity } = wanted;
        let request = request.later(begun.elapsed());
        let mut job = self.inner.job(&request, settings.clone())?;
        job.knobs = told(&request.values, &settings.as_is);
        let sizes = request.workload.own_sizes.iter();
        job.knobs.extend(sizes.map(|(name, size)| (name.clone(), Value::Integer(*size))));
        job.stop_above_s = request.early_stop_s;
        let changed = state.changed(&request.values);
        job.warmup = state.needs_warm_up(&request.values, &changed).into();
        let pictures = self.inner.picture_check(&request).filter(|check| state.wants(check));
        job.pictures = pictures.as_ref().is_some_and(|check| check.job.files.is_none());
        let before = pictures.as_ref().map(|check| {
            check.before().unwrap_or_else(|| FilesBefore::now(HANDED_OVER, &job.output))
        });
        let limit = self.inner.limit(&request);
        let stop = || self.inner.stop.load(Ordering::Relaxed);
        let Some(process) = &mut state.process else { unreachable!("it was started before") };
        let mut answer = process.answer(&job, limit, &stop)?;
        let said = answer.peak_device_bytes.and_then(|held| limit.exceeded_on_device(held));
        said.into_iter().for_each(|(outcome, detail)| answer.fail(outcome, detail));
        answer.judge_timeout(&request);
        if let Some(effect) = &answer.effect {
            let seen = process.seen(settings.memory.nodes().is_some());
            let wrong = mismatches(effect, seen.as_ref(), settings, &job.knobs);
            let mut sizes = request.workload.own_sizes.keys();
            let unread = sizes.find(|name| !effect.applied.contains_key(*name)).cloned();
            state.scope.learn(effect);
            if !wrong.is_empty() {
                answer.fail(Outcome::Misapplied, in_words(&wrong));
            }
            if let Some(name) = unread {
                let cure = format!("read it with wan22_tune.knob(\"{name}\") in what is measured");
                answer.fail(
                    Outcome::Misapplied,
                    format!("the worker ignores its size {name}: {cure}"),
                );
            }
        }
        if let (false, Some(check), Some(before)) = (answer.is_failed(), &pictures, before)
            && state.has_pictures(check, &mut answer)
        {
            check.judge(before.and_then(|before| before.written()), &mut answer);
        }
        if job.warmup > 0 && !changed.is_empty() && !answer.is_failed() {
            state.warmed_up(changed, &answer);
        }
        state.note(&answer, &request.values, *identity)?;
        Ok(answer)
    }
}

/// Whether a trial has to run in a process of its own. The baseline's times show the machine's drift,
/// so that all of them have to be of one kind.
fn is_fresh(phase: Phase) -> bool {
    phase.is_baseline() || matches!(phase, Phase::Calibration | Phase::Confirmation)
}

/// What the worker is told: the knobs that nothing outside it can apply and that are not left `as_is`,
/// and the strides of its tiles.
fn told(values: &Values, as_is: &AsIs) -> Values {
    let mut told = values.clone();
    told.retain(|name, _| scope::is_told(name) && !as_is.contains(name));
    let strides =
        program_environment::strides(&told, program_environment::LARGEST_RATIO).into_iter();
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
    // Those across operators are the worker's to set: `applied` has them where it does.
    let name = "intra_op_threads";
    let got = effect.intra_op_threads.filter(|_| !settings.as_is.contains(name));
    let threads = got.and_then(|got| compare_reported(&settings.intra_op_threads, Some(&got)));
    wrong.extend(threads.map(|mismatch| mismatch.of(name)));
    let products = tf32::Definition.mismatches(effect, settings).into_iter();
    wrong.extend(products.map(|mismatch| mismatch.of("tf32")));
    wrong.extend(told.iter().filter_map(|(name, asked)| {
        let got = effect.applied.get(name)?;
        (got != asked).then(|| Mismatch::new(name, asked, got))
    }));
    wrong
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn the_baseline_is_measured_in_fresh_processes_whenever_it_comes() {
        let fresh = Phase::VARIANTS.iter().filter(|phase| is_fresh(**phase));
        let fresh: Vec<String> = fresh.map(ToString::to_string).collect();
        assert_eq!(fresh, ["calibration", "baseline", "sentinel", "confirmation"]);
    }
}
