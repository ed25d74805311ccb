//! Clock: seconds since a tune started.

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::results::Results;
use crate::trial::Trial;

/// Turns the times in a journal into seconds since the tune started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Timestamp);

impl Clock {
    /// The clock of a tune.
    ///
    /// # Errors
    /// The start in `space.toml` is no ISO 8601 time.
    pub fn of(results: &Results) -> Result<Self> {
        let started = &results.tune.started;
        let zero = started.parse().with_context(|| {
            format!("space.toml: tune.started: `{started}` is no ISO 8601 time")
        })?;
        Ok(Self(zero))
    }

    /// When a trial started: by the tune's own clock, which leaves breaks out, where its row has
    /// that, or else by the time of day; 0 for one that started before the tune, as after a change of clocks.
    ///
    /// # Errors
    /// The trial whose start is no ISO 8601 time.
    pub fn start_s(&self, trial: &Trial) -> Result<f64> {
        let Trial { number, started, .. } = trial;
        let time: Timestamp = started.parse().with_context(|| {
            format!("trials.csv: trial {number}: started: `{started}` is no ISO 8601 time")
        })?;
        let by_day_s = time.duration_since(self.0).as_secs_f64();
        Ok(trial.spent_s.map_or(by_day_s, |spent_s| spent_s - trial.wall_s).max(0.0))
    }

    /// When a trial ended.
    ///
    /// # Errors
    /// As [`Clock::start_s`].
    pub fn end_s(&self, trial: &Trial) -> Result<f64> {
        Ok(self.start_s(trial)? + trial.wall_s)
    }
}
