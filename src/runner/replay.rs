//! Replay: recorded measurements answer instead of a machine.

use std::cell::RefCell;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::fake;
use super::{Runner, TrialRequest};
use crate::knobs::Values;
use crate::search::Recorded;
use crate::space::Candidate;
use crate::stats;
use crate::stats::normal;
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::Workload;

/// Answers from a record. Each trial of the search takes a second of the simulated clock, and the
/// baseline's take none: a budget in seconds is one in trials.
pub struct ReplayRunner<'a> {
    recorded: &'a Recorded,
    noise: f64,
    rng: RefCell<Xoshiro256PlusPlus>,
    baseline: Values,
}

impl<'a> ReplayRunner<'a> {
    /// Where a candidate was recorded with its repetitions, each measurement is the median of as many,
    /// drawn from those of one of its trials; where it was recorded more than once without, one of
    /// its records; where it was recorded once, that record times a log-normal factor of standard
    /// deviation `noise` (0.05 for 5%). The baseline is a candidate that succeeded, by chance: one that is the same for all seeds would mislead
    /// the models of all alike.
    pub fn new(recorded: &'a Recorded, noise: f64, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(!seed);
        let succeeded = recorded.succeeded();
        let baseline = recorded.space.values(succeeded[rng.random_range(0..succeeded.len())]);
        Self { recorded, noise, rng: RefCell::new(rng), baseline }
    }

    /// One measurement; `None` of a candidate that failed.
    fn measure(&self, candidate: &Candidate) -> Option<f64> {
        let rng = &mut *self.rng.borrow_mut();
        let trials = self.recorded.samples(candidate);
        if !trials.is_empty() {
            let samples = &trials[rng.random_range(0..trials.len())];
            let drawn = samples.iter().map(|_| samples[rng.random_range(0..samples.len())]);
            return stats::median(drawn);
        }
        match self.recorded.costs.get(candidate).map_or(&[][..], Vec::as_slice) {
            [] => None,
            [only] => Some(only * (self.noise * normal(rng)).exp()),
            several => Some(several[rng.random_range(0..several.len())]),
        }
    }
}

impl Runner for ReplayRunner<'_> {
    fn run(&self, request: &TrialRequest) -> Result<Trial> {
        let candidate = self.recorded.space.candidate(&request.values);
        let measured = candidate.and_then(|candidate| self.measure(&candidate));
        let failed = Trial { outcome: Outcome::Crashed, wall_s: 1.0, ..Trial::default() };
        let trial = measured.map_or(failed, |cost| fake::measured([cost], 1.0, 0.0));
        if matches!(request.phase, Phase::Search | Phase::Repeat) {
            fake::set_now_s(fake::now_s() + 1.0);
        }
        Ok(fake::row(trial, request, request.number as f64))
    }

    fn identity(&self, _: &Workload, values: &Values) -> Option<u64> {
        Some(fake::digest(values))
    }

    fn baseline(&self) -> Values {
        self.baseline.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journals_noise_is_replayed() {
        let text = "phase,outcome,score_s,sample.1_s,sample.2_s,sample.3_s,knob.a\n\
                    search,ok,2,1,2,3,1\nsearch,ok,5,5,5,5,2\nsearch,crashed,,,,,3\n";
        let recorded = Recorded::parse("made", text).unwrap();
        let replay = ReplayRunner::new(&recorded, 0.0, 1);
        let draw = |level| replay.measure(&Candidate::new([level]));
        let drawn: Vec<f64> = (0..300).filter_map(|_| draw(0)).collect();
        // Of three draws the median is 2 in 13 of 27 cases, 1 and 3 in 7 each.
        let twos = drawn.iter().filter(|cost| **cost == 2.0).count();
        assert!((110..180).contains(&twos), "{twos}");
        assert_eq!(drawn.iter().filter(|cost| [1.0, 3.0].contains(*cost)).count(), 300 - twos);
        assert_eq!((draw(1), draw(2)), (Some(5.0), None));
        assert_eq!(recorded.cost(&Candidate::new([0])), Some(2.0));
    }
}
