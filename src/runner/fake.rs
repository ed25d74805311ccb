//! Fake: a simulated machine, for tests and benchmarks. Its trials are made up by a function, and take
//! no time but on a clock of its own.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use anyhow::Result;

use super::nodes::{NodeState, Nodes};
use super::{Runner, TrialRequest};
use crate::knobs::Values;
use crate::trial::{Outcome, Sample, Trial};
use crate::workload::Workload;

thread_local! {
    /// Simulated seconds on this thread.
    static CLOCK: Cell<f64> = const { Cell::new(0.0) };
}

/// The time on this thread's simulated clock.
pub fn now() -> Duration {
    Duration::from_secs_f64(now_s())
}

/// The seconds on this thread's simulated clock.
pub fn now_s() -> f64 {
    CLOCK.get()
}

/// Sets this thread's simulated clock.
pub fn set_now_s(now_s: f64) {
    CLOCK.set(now_s);
}

/// A trial that measures samples of these seconds, if it has the time.
pub fn measured(seconds: impl IntoIterator<Item = f64>, wall_s: f64, overhead_s: f64) -> Trial {
    let sample = |seconds| Sample { seconds, ..Sample::default() };
    let samples = seconds.into_iter().map(sample).collect();
    Trial { samples, wall_s, overhead_s, ..Trial::default() }
}

/// The row of a request that started at `started_s` and goes like `trial`: less, where it runs out of time.
pub(super) fn row(trial: Trial, request: &TrialRequest, started_s: f64) -> Trial {
    let limit_s = request.time().as_secs_f64();
    let outcome = match trial.wall_s > limit_s {
        false => trial.outcome,
        true if request.ends_with_the_budget() => Outcome::Interrupted,
        true => Outcome::Timeout,
    };
    let wall_s = trial.wall_s.min(limit_s);
    let started = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(started_s);
    let Trial { detail, samples, .. } = trial;
    let overhead_s = trial.overhead_s.min(wall_s);
    let row = request.trial(started.to_string());
    Trial { outcome, detail, samples, wall_s, overhead_s, ..row }
}

/// What becomes of a request at a time of the simulated clock, in seconds.
pub type Simulate<'a> = Box<dyn Fn(&TrialRequest, f64) -> Trial + 'a>;

/// What makes two candidates the same on the simulated machine.
pub type Identify<'a> = Box<dyn Fn(&Values) -> Option<u64> + 'a>;

/// A simulated machine.
pub struct FakeRunner<'a> {
    baseline: Values,
    simulate: Simulate<'a>,
    identify: Identify<'a>,
}

impl<'a> FakeRunner<'a> {
    /// A machine on which trials go as `simulate` says. No two candidates are the same there.
    pub fn new(baseline: Values, simulate: impl Fn(&TrialRequest, f64) -> Trial + 'a) -> Self {
        let identify = |values: &Values| Some(digest(values));
        Self { baseline, simulate: Box::new(simulate), identify: Box::new(identify) }
    }

    /// The same machine, on which candidates are what `identify` says.
    #[must_use]
    pub fn identifying(self, identify: impl Fn(&Values) -> Option<u64> + 'a) -> Self {
        Self { identify: Box::new(identify), ..self }
    }
}

/// What becomes of a request on the node at a place at a time of the simulated clock.
type SimulateOn<'a> = Box<dyn Fn(usize, &TrialRequest, f64) -> Trial + 'a>;

/// Several simulated machines with one clock.
pub struct FakeNodes<'a> {
    count: usize,
    simulate: SimulateOn<'a>,
    /// The end of each trial that runs, its node and what comes of it.
    running: RefCell<Vec<(f64, usize, Trial)>>,
    out: RefCell<Vec<usize>>,
}

impl<'a> FakeNodes<'a> {
    /// `count` machines on which trials go as `simulate` says.
    pub fn new(count: usize, simulate: impl Fn(usize, &TrialRequest, f64) -> Trial + 'a) -> Self {
        let (running, out) = Default::default();
        Self { count, simulate: Box::new(simulate), running, out }
    }
}

impl Nodes for FakeNodes<'_> {
    fn names(&self) -> Vec<String> {
        (1..=self.count).map(|number| format!("n{number}")).collect()
    }

    fn state(&self, place: usize) -> NodeState {
        let runs = self.running.borrow().iter().any(|(_, node, _)| *node == place);
        match (runs, self.out.borrow().contains(&place)) {
            (_, true) => NodeState::Out,
            (true, _) => NodeState::Busy,
            (false, _) => NodeState::Idle,
        }
    }

    fn start(&self, place: usize, request: TrialRequest) -> Result<()> {
        let started_s = now_s();
        let trial = row((self.simulate)(place, &request, started_s), &request, started_s);
        self.running.borrow_mut().push((started_s + trial.wall_s, place, trial));
        Ok(())
    }

    fn wait(&self, _: Duration) -> Result<Option<(usize, Trial)>> {
        let mut running = self.running.borrow_mut();
        let ends = |i: &usize| running[*i].0;
        let first = (0..running.len()).min_by(|a, b| ends(a).total_cmp(&ends(b)));
        let Some((end_s, node, trial)) = first.map(|first| running.swap_remove(first)) else {
            return Ok(None);
        };
        set_now_s(end_s);
        Ok(Some((node, trial)))
    }

    fn put_out(&self, place: usize) {
        self.out.borrow_mut().push(place);
    }

    fn pause(&self, time: Duration, _: &dyn Fn() -> bool) {
        set_now_s(now_s() + time.as_secs_f64());
    }
}

/// A number for these values.
pub(super) fn digest(values: &Values) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(values)
}

impl Runner for FakeRunner<'_> {
    fn run(&self, request: &TrialRequest) -> Result<Trial> {
        let started_s = now_s();
        let trial = row((self.simulate)(request, started_s), request, started_s);
        set_now_s(started_s + trial.wall_s);
        Ok(trial)
    }

    fn identity(&self, _: &Workload, values: &Values) -> Option<u64> {
        (self.identify)(values)
    }

    fn baseline(&self) -> Values {
        self.baseline.clone()
    }

    fn pause(&self, time: Duration, _: &dyn Fn() -> bool) {
        set_now_s(now_s() + time.as_secs_f64());
    }
}
