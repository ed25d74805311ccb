//! Repetitions: how often a trial measures.

use serde::{Deserialize, Serialize};

use crate::journal::MOST_SAMPLES;

/// The share of a trial that its preparation may take. Closing takes a few hundredths more, so that
/// what is not measured stays under 35%.
const PREPARATION: f64 = 0.31;

/// Bounds of how often a trial measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetitions {
    /// What it takes to tell noise.
    pub least: u32,
    /// What its row has room for.
    pub most: u32,
}

impl Repetitions {
    /// Those of the worker's jobs.
    pub const USUAL: Self = Self { least: 3, most: MOST_SAMPLES as u32 };

    /// Runs of a command, which pays for all that it does anew each time.
    const OF_COMMAND: Self = Self::exactly(3);

    /// Those of a job, `given` where the user said so.
    pub fn of(is_command: bool, given: Option<u32>) -> Self {
        let usual = if is_command { Self::OF_COMMAND } else { Self::USUAL };
        given.map_or(usual, Self::exactly)
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
        // 3.1 s of 10 s are 31%.
        let usual = |setup_s, first_s| Repetitions::USUAL.count(setup_s, first_s);
        assert_eq!([usual(3.1, 6.9 / 4.0), usual(3.1, 6.8 / 4.0)], [4, 5]);
        assert_eq!([usual(0.1, 2.0), usual(60.0, 2.0), usual(1.0, 0.0)], [3, 9, 9]);
        assert_eq!(Repetitions::exactly(5).count(60.0, 2.0), 5);
    }
}
