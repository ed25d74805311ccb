//! A simulated machine that runs the worker: what a candidate truly takes, times the machine's drift,
//! times noise that is drawn from a recorded journal.

use std::cell::RefCell;
use std::collections::BTreeMap;

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::knobs::Values;
use wan22_tune::runner::Repetitions;
use wan22_tune::space::Space;
use wan22_tune::trial::{Sample, Trial};
use wan22_tune::tune::{Runner, TrialRequest};
use wan22_tune::workload::Workload;

use crate::recorded::Noise;
use crate::session::{clock_s, named, pass, set_clock_s};

/// Seconds of a trial before it warms up.
const OVERHEAD_S: f64 = 5.0;

/// Seconds that pass in a repetition for each second a clip: two clips, as in its warm-up.
const CLIPS: f64 = 2.0;

/// The best candidate is faster than the next by at least this share.
const AHEAD: f64 = 0.03;

/// A clock reading's own spread.
const JITTER: f64 = 0.003;

/// A machine whose truth is known.
pub struct Simulated<'a> {
    pub noise: &'a Noise,
    /// What each candidate truly takes.
    pub times: BTreeMap<Values, f64>,
    pub baseline: Values,
    pub drift: f64,
    pub total_s: f64,
    pub rng: RefCell<Xoshiro256PlusPlus>,
}

impl Simulated<'_> {
    fn noise_of(&self, logs: &[f64]) -> f64 {
        let rng = &mut *self.rng.borrow_mut();
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (logs.choose(rng).copied().unwrap_or(0.0) + JITTER * normal).exp()
    }
}

impl Runner for Simulated<'_> {
    fn pause(&self, time: Duration, _: &dyn Fn() -> bool) {
        set_clock_s(clock_s() + time.as_secs_f64());
    }

    fn run(&self, number: u64, order: &TrialRequest<'_>) -> Result<Trial> {
        let started_s = clock_s();
        let slow = 1.0 + self.drift * started_s / self.total_s;
        let truth = self.times[order.values] * slow * self.noise_of(&self.noise.processes);
        let mut samples = Vec::new();
        let repetitions = Repetitions::USUAL.in_phase(order.phase);
        let setup_s = OVERHEAD_S + CLIPS * truth;
        let (mut wall_s, mut count) = (setup_s, 1);
        while samples.len() < count {
            let seconds = truth * self.noise_of(&self.noise.repetitions);
            wall_s += CLIPS * seconds;
            samples.push(Sample { seconds, ..Sample::default() });
            let is_first = samples.len() == 1;
            if is_first {
                count = repetitions.count(setup_s, CLIPS * seconds) as usize;
            }
            if is_first && order.early_stop_s.is_some_and(|limit| seconds > limit) {
                break;
            }
        }
        Ok(pass(number, order, samples, wall_s, setup_s))
    }

    fn identity(&self, _: &Workload, values: &Values) -> Option<u64> {
        self.times.keys().position(|known| known == values).map(|place| place as u64)
    }

    fn baseline(&self) -> Values {
        self.baseline.clone()
    }
}

/// What each candidate takes: the baseline a second, and one clearly less than all others.
pub fn truth(space: &Space, differs: bool, rng: &mut impl Rng) -> BTreeMap<Values, f64> {
    loop {
        let mut times = BTreeMap::new();
        let effects: Vec<f64> = (0..10).map(|_| rng.random_range(0.85..1.25)).collect();
        for candidate in space.candidates() {
            let (threads, allocator) = (candidate.level(0), candidate.level(1));
            let own = rng.random_range(0.95..1.05);
            let time = if differs { effects[threads] * effects[6 + allocator] * own } else { 1.0 };
            times.insert(named(space, &candidate), time);
        }
        let usual = times[&named(space, &space.baseline())];
        times.values_mut().for_each(|time| *time /= usual);
        let mut sorted: Vec<f64> = times.values().copied().collect();
        sorted.sort_by(f64::total_cmp);
        if !differs || (sorted[0] < 1.0 && sorted[1] > sorted[0] * (1.0 + AHEAD)) {
            return times;
        }
    }
}
