//! A simulated command of one's own: three runs per trial, each with its noise.

use std::cell::RefCell;

use std::time::Duration;

use anyhow::Result;
use wan22_tune::knobs::{Value, Values};
use wan22_tune::runner::Repetitions;
use wan22_tune::trial::{Sample, Trial};
use wan22_tune::tune::{Runner, TrialRequest};
use wan22_tune::workload::Workload;

use crate::kind::Noise;
use crate::session::{clock_s, named, pass, set_clock_s, space};

/// Seconds of a run of the baseline, without noise.
const RUN_S: f64 = 0.4;

/// Seconds that a trial takes beside its runs.
const OVERHEAD_S: f64 = 0.005;

/// Runs of a trial.
pub const RUNS: Repetitions = Repetitions::exactly(3);

/// A command that takes less by `gain` where it has one thread.
pub struct Command {
    gain: f64,
    /// Whether what varies is a number that it prints, and not its time.
    is_metric: bool,
    noise: RefCell<Noise>,
    known: Vec<Values>,
    baseline: Values,
}

impl Command {
    /// With this gain and this noise, of its time or of a metric.
    pub fn new(gain: f64, noise: Noise, is_metric: bool) -> Result<Self> {
        let space = space()?;
        let known = space.candidates().map(|candidate| named(&space, &candidate)).collect();
        let baseline = named(&space, &space.baseline());
        Ok(Self { gain, is_metric, noise: RefCell::new(noise), known, baseline })
    }

    /// The share of the baseline's cost that these knobs truly save.
    pub fn saving(&self, values: &Values) -> f64 {
        let is_fast = values.get("intra_op_threads") == Some(&Value::Integer(1));
        if is_fast { self.gain } else { 0.0 }
    }
}

impl Runner for Command {
    fn pause(&self, time: Duration, _: &dyn Fn() -> bool) {
        set_clock_s(clock_s() + time.as_secs_f64());
    }

    fn run(&self, number: u64, order: &TrialRequest<'_>) -> Result<Trial> {
        let started_s = clock_s();
        let mut wall_s = OVERHEAD_S;
        let mut samples = Vec::new();
        while samples.len() < RUNS.most as usize {
            let factor = self.noise.borrow_mut().next(started_s + wall_s);
            let seconds = RUN_S * factor * (1.0 - self.saving(order.values));
            wall_s += if self.is_metric { RUN_S } else { seconds };
            samples.push(Sample { seconds, ..Sample::default() });
        }
        Ok(pass(number, order, samples, wall_s, OVERHEAD_S))
    }

    fn identity(&self, _: &Workload, values: &Values) -> Option<u64> {
        self.known.iter().position(|known| known == values).map(|place| place as u64)
    }

    fn baseline(&self) -> Values {
        self.baseline.clone()
    }
}
