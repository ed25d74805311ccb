//! Sittings: the stretches of time in which a tune ran, from its start or from going on after a
//! break to its last trial.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::results::Results;

/// One stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sitting {
    start: Timestamp,
    seconds: f64,
    /// What it was given; `None` where it went on with what was left.
    budget_s: Option<f64>,
}

/// The budget that the last sitting ran on, and what it and those that shared it have spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spending {
    /// All of it.
    pub budget: Duration,
    /// What is gone.
    pub spent: Duration,
}

impl Results {
    /// The last budget that was given, and what is gone of it.
    ///
    /// # Errors
    /// A time that is none.
    pub fn spending(&self) -> Result<Spending> {
        let (mut budget, mut spent) = (Duration::ZERO, Duration::ZERO);
        for sitting in self.sittings()? {
            if let Some(given) = sitting.budget_s {
                (budget, spent) = (seconds(given), Duration::ZERO);
            }
            spent += seconds(sitting.seconds);
        }
        Ok(Spending { budget, spent })
    }

    /// Seconds in which the tune ran, breaks left out.
    ///
    /// # Errors
    /// A time that is none.
    pub fn spent_s(&self) -> Result<f64> {
        Ok(self.sittings()?.iter().map(|sitting| sitting.seconds).sum())
    }

    fn sittings(&self) -> Result<Vec<Sitting>> {
        let first = self.tune.resumed.iter().all(|resumed| resumed.budget_s.is_none());
        // Without more time given, the budget is still the first one.
        let first = (&self.tune.started, first.then_some(self.tune.budget_s));
        let resumed = self.tune.resumed.iter().map(|r| (&r.started, r.budget_s));
        let mut sittings = Vec::new();
        for (started, budget_s) in [first].into_iter().chain(resumed) {
            let start = time(started)?;
            sittings.push(Sitting { start, seconds: 0.0, budget_s });
        }
        for trial in &self.trials {
            let start = time(&trial.started)?;
            let sitting = sittings.iter_mut().rev().find(|sitting| sitting.start <= start);
            let Some(sitting) = sitting else { continue };
            let end_s = start.duration_since(sitting.start).as_secs_f64() + trial.wall_s;
            sitting.seconds = sitting.seconds.max(end_s);
        }
        Ok(sittings)
    }
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse().with_context(|| format!("`{text}` is no ISO 8601 time"))
}

/// A budget that somebody wrote into the file by hand may be anything.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).unwrap_or_default()
}
