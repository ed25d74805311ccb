//! Repetitions: how often a trial measures.

use serde::{Deserialize, Serialize};

use crate::trial::{Outcome, Phase, Trial};

/// The share of a trial that setting up should take at most; what follows the last repetition takes
/// a few hundredths more.
const SETUP_SHARE: f64 = 0.32;

/// What it takes to tell noise.
pub const LEAST: u32 = 2;

/// What the first trial and those of pairs measure: with more, pairs are fewer and prove less.
const FIXED: u32 = 2;

/// Runs of a command, which pays for all that it does anew each time.
const RUNS: u32 = 3;

/// Bounds of how often a trial measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetitions {
    /// At least this often, however fast the process is ready.
    pub least: u32,
    /// At most this often, however slow it is to be ready.
    pub most: u32,
}

/// What a repetition is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Repetitions in wan22-worker.
    Pipeline,
    /// Processes of a command.
    Command,
    /// Calls in a user's own worker.
    Worker,
}

impl Repetitions {
    /// Runs of a command, which pays for all that it does anew each time: one where the budget has
    /// room for few.
    const OF_COMMAND: Self = Self { least: 1, most: RUNS };

    /// Those of a job in the worker. More than five make simulated tunes find less: trials in
    /// processes of their own tell more than repetitions in one.
    pub const USUAL: Self = Self { least: LEAST, most: 5 };

    /// No fewer and no more.
    pub const fn exactly(count: u32) -> Self {
        Self { least: count, most: count }
    }

    /// Runs of a user's own worker, after one to warm up: two in pairs.
    const OF_WORKER: Self = Self { least: 1, most: 2 };

    /// Those of a job, `given` of them where the user says so.
    pub fn of(job: Measured, given: Option<u32>) -> Self {
        let usual = match job {
            Measured::Pipeline => Self::USUAL,
            Measured::Command => Self::OF_COMMAND,
            Measured::Worker => Self::OF_WORKER,
        };
        given.map_or(usual, Self::exactly)
    }

    /// The same once `trials` tell: a command's first trial decides how often all others run it.
    #[must_use]
    pub fn decided(self, trials: &[Trial]) -> Self {
        let is_open = self == Self::OF_COMMAND;
        let first = trials.iter().find(|trial| is_open && trial.outcome == Outcome::Ok);
        first.map_or(self, |first| match first.samples.len() {
            1 => Self::exactly(1),
            _ => Self::exactly(self.most),
        })
    }

    /// Those of a trial in `phase`, which a command's length may still decide. The two sides of a pair
    /// are measured equally often, since the median of few repetitions depends a little on how many
    /// they are; and a tune's first process is slow to set up, so that it would always measure the
    /// most.
    pub fn in_phase(self, phase: Phase) -> Self {
        if self == Self::OF_COMMAND {
            return self;
        }
        let fixed = Self::exactly(FIXED.clamp(self.least, self.most));
        if phase.has_fixed_repetitions() { fixed } else { self }
    }

    /// How many, when setting up took `setup_s` seconds and the first of them `first_s`.
    pub fn count(self, setup_s: f64, first_s: f64) -> u32 {
        let measured_s = setup_s * (1.0 - SETUP_SHARE) / SETUP_SHARE;
        let wanted = (measured_s / first_s).ceil();
        // A saturating cast.
        (wanted as u32).clamp(self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_it_takes_to_set_up_the_more_is_measured() {
        // 3.2 s of 10 s are 32%.
        let usual = |setup_s, first_s| Repetitions::USUAL.count(setup_s, first_s);
        assert_eq!([usual(3.2, 6.81 / 4.0), usual(3.2, 6.79 / 4.0)], [4, 5]);
        assert_eq!([usual(0.1, 2.0), usual(60.0, 2.0), usual(1.0, 0.0)], [2, 5, 5]);
        for phase in [Phase::Calibration, Phase::Baseline, Phase::Confirmation] {
            let fixed = Repetitions::USUAL.in_phase(phase);
            assert_eq!([fixed.count(0.1, 2.0), fixed.count(60.0, 2.0)], [2, 2], "{phase}");
        }
        let trial =
            |samples| Trial { samples: vec![Default::default(); samples], ..Trial::default() };
        let command = |samples| Repetitions::of(Measured::Command, None).decided(&[trial(samples)]);
        assert_eq!([command(1), command(3)], [1, 3].map(Repetitions::exactly));
        assert_eq!(Repetitions::USUAL.decided(&[trial(1)]), Repetitions::USUAL);
        let seven = Repetitions::exactly(7);
        assert_eq!([seven, seven.in_phase(Phase::Confirmation)].map(|r| r.count(0.1, 2.0)), [7, 7]);
    }
}
