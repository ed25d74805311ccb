//! Repetitions: how often a trial measures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::MOST_SAMPLES;

/// The share of a trial that its preparation may take. Closing takes a hundredth or two more, so that
/// what is not measured stays under 35%.
const PREPARATION: f64 = 0.33;

/// What it takes to tell noise.
pub const LEAST: u32 = 3;

/// So many are always possible.
const FEW: u32 = 5;

/// Budget for each that is possible.
const A_REPETITION: Duration = Duration::from_secs(30);

/// Bounds of how often a trial measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetitions {
    /// Whatever preparing takes.
    pub least: u32,
    /// However long preparing takes.
    pub most: u32,
}

impl Repetitions {
    /// Runs of a command, which pays for all that it does anew each time.
    pub const OF_COMMAND: Self = Self::exactly(LEAST);

    /// Those of a job in the worker, of whose trials a small budget must have room for some.
    pub fn within(budget: Duration) -> Self {
        let most = budget.div_duration_f64(A_REPETITION) as u32;
        Self { least: LEAST, most: most.clamp(FEW, MOST_SAMPLES as u32) }
    }

    /// No fewer and no more.
    pub const fn exactly(count: u32) -> Self {
        Self { least: count, most: count }
    }

    /// How many, when preparing took `setup_s` seconds and the first of them `first_s`: a candidate
    /// that is fast is measured more often for the same preparation.
    pub fn count(self, setup_s: f64, first_s: f64) -> u32 {
        let measured_s = setup_s * (1.0 - PREPARATION) / PREPARATION;
        let wanted = (measured_s / first_s).ceil();
        // A saturating cast.
        (wanted as u32).clamp(self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_preparation_the_more_is_measured() {
        // 3.3 s of 10 s are 33%.
        let long = Repetitions::within(Duration::from_secs(1800));
        let usual = |setup_s, first_s| long.count(setup_s, first_s);
        assert_eq!([usual(3.3, 6.71 / 4.0), usual(3.3, 6.69 / 4.0)], [4, 5]);
        assert_eq!([usual(0.1, 2.0), usual(60.0, 2.0), usual(1.0, 0.0)], [3, 9, 9]);
        assert_eq!(Repetitions::exactly(5).count(60.0, 2.0), 5);
        let most = |budget_s| Repetitions::within(Duration::from_secs(budget_s)).count(60.0, 2.0);
        assert_eq!([most(9), most(120), most(180), most(3600)], [5, 5, 6, 9]);
    }
}
