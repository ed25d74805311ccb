//! Repetitions: how often a trial measures.

use serde::{Deserialize, Serialize};

/// The share of a trial that its preparation may take. Closing takes a hundredth or two more, so that
/// what is not measured stays under 35%.
const PREPARATION: f64 = 0.33;

/// What it takes to tell noise.
pub const LEAST: u32 = 3;

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

    /// Those of a job in the worker. More than five make simulated tunes find less: trials in
    /// processes of their own tell more than repetitions in one.
    pub const USUAL: Self = Self { least: LEAST, most: 5 };

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
        let usual = |setup_s, first_s| Repetitions::USUAL.count(setup_s, first_s);
        assert_eq!([usual(3.3, 6.71 / 4.0), usual(3.3, 6.69 / 4.0)], [4, 5]);
        assert_eq!([usual(0.1, 2.0), usual(60.0, 2.0), usual(1.0, 0.0)], [3, 5, 5]);
        assert_eq!(Repetitions::exactly(7).count(0.1, 2.0), 7);
    }
}
