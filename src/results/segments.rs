//! Segments: the stretches of time in which a tune ran, from its start or from going on after a
//! break to its last trial.
//!
//! Each row says how long the tune had run by a clock that nobody sets. Rows of older versions have
//! only the time of day at which they began: of that no more is believed than what may lie between
//! two trials.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::results::Results;
use crate::trial::Trial;

/// More seconds than this between two trials are a clock that was set.
const LONGEST_PAUSE_S: f64 = 60.0;

/// The budget that the last segment ran on, and what it and those that shared it have spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segments {
    /// The whole budget.
    pub budget: Duration,
    /// What is spent of it.
    pub spent: Duration,
}

impl Results {
    /// The last budget that was given, and what is gone of it.
    ///
    /// # Errors
    /// A time in the journal that can't be read.
    pub fn spending(&self) -> Result<Segments> {
        let given = self.tune.resumed.iter().rev().find(|resumed| resumed.budget_s.is_some());
        let (budget_s, before_s) = match given {
            // Without more time given, the budget is still the first one.
            None => (self.tune.budget_s, 0.0),
            Some(resumed) => {
                let before_s = match resumed.spent_s {
                    Some(spent_s) => spent_s,
                    None => {
                        let start = time(&resumed.started)?;
                        let is_before =
                            |trial: &Trial| time(&trial.started).is_ok_and(|t| t < start);
                        let count = self.trials.iter().filter(|trial| is_before(trial)).count();
                        *self.spent()?.get(count.wrapping_sub(1)).unwrap_or(&0.0)
                    }
                };
                (resumed.budget_s.unwrap_or_default(), before_s)
            }
        };
        let spent = seconds(self.spent_s()? - before_s);
        Ok(Segments { budget: seconds(budget_s), spent })
    }

    /// Seconds in which the tune ran, breaks left out.
    ///
    /// # Errors
    /// A time in the journal that can't be read.
    pub fn spent_s(&self) -> Result<f64> {
        Ok(self.spent()?.last().copied().unwrap_or_default())
    }

    /// Seconds in which the tune had run at the end of each trial, breaks left out.
    ///
    /// # Errors
    /// A time in the journal that can't be read.
    pub fn spent(&self) -> Result<Vec<f64>> {
        let resumed = self.tune.resumed.iter().map(|resumed| time(&resumed.started));
        let resumed: Vec<Timestamp> = resumed.collect::<Result<_>>()?;
        let (mut spent_s, mut last) = (0.0_f64, time(&self.tune.started)?);
        let mut all = Vec::new();
        for trial in &self.trials {
            let start = time(&trial.started)?;
            let later = resumed.iter().filter(|mark| **mark > last && **mark <= start).max();
            let pause_s = start.duration_since(*later.unwrap_or(&last)).as_secs_f64();
            let pause_s = Some(pause_s).filter(|pause_s| (0.0..=LONGEST_PAUSE_S).contains(pause_s));
            spent_s = match trial.spent_s {
                Some(known_s) => spent_s.max(known_s),
                None => spent_s + pause_s.unwrap_or_default() + trial.wall_s,
            };
            let wall = jiff::SignedDuration::try_from_secs_f64(trial.wall_s).unwrap_or_default();
            last = start.checked_add(wall).unwrap_or(start);
            all.push(spent_s);
        }
        Ok(all)
    }
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse().with_context(|| format!("`{text}` is no ISO 8601 time"))
}

/// A budget that somebody wrote into the file by hand may be anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::Made;
    use crate::space::Resumed;

    /// Each trial takes 6.01 s and begins a second after the one before; 4 of them.
    fn made() -> Results {
        Made::new().baseline(&[2.0 / 1.5; 4]).results
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn rows_that_say_how_long_it_ran_are_believed_whatever_the_clock_did() {
        for step in ["2026-11-21T20:00:00Z", "2026-11-23T20:00:00Z", "1970-01-01T00:00:00Z"] {
            let mut results = made();
            for (place, trial) in results.trials.iter_mut().enumerate() {
                trial.spent_s = Some(8.0 * (place + 1) as f64);
            }
            step.clone_into(&mut results.trials[2].started);
            step.clone_into(&mut results.trials[3].started);
            near(results.spent_s().unwrap(), 32.0);
            let Segments { budget, spent } = results.spending().unwrap();
            assert_eq!([budget, spent].map(|time| time.as_secs()), [240, 32]);
            // Ten minutes more, given after 20 s: 12 s of those are gone.
            let (started, budget_s) = (step.to_owned(), Some(600.0));
            results.tune.resumed.push(Resumed { started, budget_s, spent_s: Some(20.0) });
            let Segments { budget, spent } = results.spending().unwrap();
            assert_eq!([budget, spent].map(|time| time.as_secs()), [600, 12]);
        }
    }

    #[test]
    fn without_that_no_step_of_the_clock_counts() {
        let trial_s = made().trials[0].wall_s;
        near(made().spent_s().unwrap(), 4.0 * (trial_s + 1.0));
        for step in ["2026-11-21T20:00:00Z", "2026-11-23T20:00:00Z"] {
            let mut results = made();
            // The pause before this one and that before the next are lost.
            step.clone_into(&mut results.trials[2].started);
            near(results.spent_s().unwrap(), 4.0 * trial_s + 2.0);
        }
    }

    #[test]
    fn a_break_is_nothing_that_was_spent() {
        let mut results = made();
        let trial_s = results.trials[0].wall_s;
        "2026-11-22T20:30:00Z".clone_into(&mut results.trials[3].started);
        let started = "2026-11-22T20:29:58Z".to_owned();
        results.tune.resumed.push(Resumed { started, budget_s: None, spent_s: None });
        near(results.spent_s().unwrap(), 4.0 * trial_s + 3.0 + 2.0);
    }
}
