//! A simulated machine that runs the worker: what a candidate truly takes, times the machine's drift,
//! times noise that is drawn from a recorded journal.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use wan22_tune::knobs::Values;
use wan22_tune::runner::fake;
use wan22_tune::runner::{FakeRunner, TrialRequest};
use wan22_tune::space::Space;
use wan22_tune::stats::normal;
use wan22_tune::trial::Trial;

use crate::recorded::Noise;

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
    /// Runs its trials.
    pub fn runner(&self) -> FakeRunner<'_> {
        FakeRunner::new(self.baseline.clone(), |request, now_s| self.trial(request, now_s))
            .identifying(|values| self.identity(values))
    }

    fn trial(&self, request: &TrialRequest, started_s: f64) -> Trial {
        let slow = 1.0 + self.drift * started_s / self.total_s;
        let truth = self.times[&request.values] * slow * self.noise_of(&self.noise.processes);
        let mut samples = Vec::new();
        let setup_s = OVERHEAD_S + CLIPS * truth;
        let (mut wall_s, mut count) = (setup_s, 1);
        while samples.len() < count {
            let seconds = truth * self.noise_of(&self.noise.repetitions);
            wall_s += CLIPS * seconds;
            samples.push(seconds);
            let is_first = samples.len() == 1;
            if is_first {
                count = request.repetitions.count(setup_s, CLIPS * seconds) as usize;
            }
            if is_first && request.early_stop_s.is_some_and(|limit| seconds > limit) {
                break;
            }
        }
        fake::measured(samples, wall_s, setup_s)
    }

    fn identity(&self, values: &Values) -> Option<u64> {
        self.times.keys().position(|known| known == values).map(|place| place as u64)
    }

    fn noise_of(&self, logs: &[f64]) -> f64 {
        let rng = &mut *self.rng.borrow_mut();
        let jitter = JITTER * normal(rng);
        (logs.choose(rng).copied().unwrap_or(0.0) + jitter).exp()
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
            times.insert(space.values(&candidate), time);
        }
        let usual = times[&space.values(&space.baseline())];
        times.values_mut().for_each(|time| *time /= usual);
        let mut sorted: Vec<f64> = times.values().copied().collect();
        sorted.sort_by(f64::total_cmp);
        if !differs || (sorted[0] < 1.0 && sorted[1] > sorted[0] * (1.0 + AHEAD)) {
            return times;
        }
    }
}
