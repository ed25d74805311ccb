//! A simulated command of one's own: three runs per trial, each with its noise.

use std::cell::RefCell;

use anyhow::Result;
use wan22_tune::knobs::{Value, Values};
use wan22_tune::runner::fake;
use wan22_tune::runner::{FakeRunner, Repetitions};

use crate::kind::Noise;
use crate::session::space;

/// Seconds of a run of the baseline, without noise.
const RUN_S: f64 = 0.4;

/// Seconds that a trial takes beside its runs.
const OVERHEAD_S: f64 = 0.005;

/// Runs of a trial.
pub const RUNS: Repetitions = Repetitions::exactly(3);

/// A command that takes less by `gain` where it has one thread, with this noise of its time or of a
/// metric.
pub fn command(gain: f64, noise: Noise, is_metric: bool) -> Result<FakeRunner<'static>> {
    let space = space()?;
    let baseline = space.values(&space.baseline());
    let noise = RefCell::new(noise);
    Ok(FakeRunner::new(baseline, move |request, started_s| {
        let mut wall_s = OVERHEAD_S;
        let mut samples = Vec::new();
        while samples.len() < RUNS.most as usize {
            let factor = noise.borrow_mut().next(started_s + wall_s);
            let seconds = RUN_S * factor * (1.0 - saving(gain, &request.values));
            wall_s += if is_metric { RUN_S } else { seconds };
            samples.push(seconds);
        }
        fake::measured(samples, wall_s, OVERHEAD_S)
    }))
}

/// The share of the baseline's cost that these values truly save.
pub fn saving(gain: f64, values: &Values) -> f64 {
    let is_fast = values.get("intra_op_threads") == Some(&Value::Integer(1));
    if is_fast { gain } else { 0.0 }
}
