//! Metric: what a score counts, with its unit and its direction.

use serde::{Deserialize, Serialize};

use super::custom::CustomJob;
use crate::stats::Interval;

/// What a score counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The pipeline's time, by clip.
    SecondsPerClip,
    /// A command's time from start to end.
    SecondsPerRun,
    /// A module's time from call to return.
    SecondsPerCall,
    /// A number that the command prints.
    Printed(Direction),
}

impl Metric {
    /// The metric of a tune: the pipeline's, or that of the user's own job.
    pub fn of(own: Option<&CustomJob>) -> Self {
        own.map_or(Self::SecondsPerClip, CustomJob::metric)
    }

    /// How costs turn into the numbers that a person knows, and back.
    pub fn direction(self) -> Direction {
        self.goal().unwrap_or_default()
    }

    /// The direction of a metric.
    pub fn goal(self) -> Option<Direction> {
        match self {
            Self::Printed(goal) => Some(goal),
            _ => None,
        }
    }

    /// The number that a person knows, from a cost, which is what is to be small.
    pub fn shown(self, cost: f64) -> f64 {
        self.direction().cost(cost)
    }

    /// What the number counts, as a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "seconds per clip",
            Self::SecondsPerRun => "seconds per run",
            Self::SecondsPerCall => "seconds per call",
            Self::Printed(Direction::Min) => "metric (less is better)",
            Self::Printed(Direction::Max) => "metric (more is better)",
        }
    }

    /// The same, as monitoring names it.
    pub fn gauge(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "clip_seconds",
            Self::SecondsPerRun => "run_seconds",
            Self::SecondsPerCall => "call_seconds",
            Self::Printed(_) => "metric",
        }
    }

    /// The same, short, after a number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "s per clip",
            Self::SecondsPerRun => "s per run",
            Self::SecondsPerCall => "s per call",
            Self::Printed(_) => "(metric)",
        }
    }

    /// The same, as the heading of a column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Printed(_) => "metric",
            _ => self.unit(),
        }
    }

    /// What there is several times more of with a gain, and the words after that number.
    pub fn factor(self) -> [&'static str; 2] {
        match self {
            Self::SecondsPerClip => ["clips in the same time", "as many"],
            Self::SecondsPerRun => ["runs in the same time", "as many"],
            Self::SecondsPerCall => ["calls in the same time", "as many"],
            Self::Printed(_) => ["metric", "as good"],
        }
    }

    /// What there is less or more of, after a share.
    pub fn noun(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "time per clip",
            Self::SecondsPerRun => "time per run",
            Self::SecondsPerCall => "time per call",
            Self::Printed(_) => "of the metric",
        }
    }

    /// A saving of cost as a share of the baseline's number: of time or of a metric to be small
    /// the very saving, of one to be large what is won.
    pub fn share(self, saving: f64) -> f64 {
        match self {
            Self::Printed(Direction::Max) => 1.0 / (1.0 - saving) - 1.0,
            _ => saving,
        }
    }

    /// The same of a saving with its interval.
    pub fn shares(self, saved: Interval) -> Interval {
        let share = |saving| self.share(saving);
        Interval { low: share(saved.low), mean: share(saved.mean), high: share(saved.high) }
    }

    /// What costs a share more than something else, as a share of that one's number: how much more
    /// of time or of a metric to be small, or how much less of one to be large.
    pub fn lost(self, regret: f64) -> f64 {
        match self {
            Self::Printed(Direction::Max) => 1.0 - 1.0 / (1.0 + regret),
            _ => regret,
        }
    }

    /// The word for a change for the better, and the one for the worse.
    pub fn better(self) -> [&'static str; 2] {
        match self {
            Self::Printed(Direction::Max) => ["more", "less"],
            _ => ["less", "more"],
        }
    }
}

/// Whether little or much of it is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(strum::Display, strum::EnumString, clap::ValueEnum, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Direction {
    /// The less the better, such as seconds a step.
    #[default]
    Min,
    /// The more the better, such as frames per second.
    Max,
}

impl Direction {
    /// What is to be small: the value, or what is left of one divided by it. Its own inverse, so
    /// that it turns costs back into values too.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Min => value,
            Self::Max => 1.0 / value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_to_be_large_is_shown_as_printed_and_won_as_a_share_of_the_baselines() {
        let fps = Metric::Printed(Direction::Max);
        // 20 frames per second instead of 16 are a quarter more, in a fifth less time.
        assert_eq!(fps.shown(1.0 / 16.0), 16.0);
        assert!((fps.share(1.0 - 16.0 / 20.0) - 0.25).abs() < 1e-12);
        // At a quarter more cost 16 are left of 20: a fifth less.
        assert!((fps.lost(0.25) - 0.2).abs() < 1e-12);
        assert_eq!(Metric::SecondsPerRun.lost(0.25), 0.25);
        assert_eq!(Metric::SecondsPerRun.share(0.2), 0.2);
        assert_eq!(Metric::SecondsPerRun.shown(2.0), 2.0);
    }

    #[test]
    fn much_is_as_good_as_the_inverse_is_little() {
        assert_eq!(Direction::Max.cost(4.0), 0.25);
        assert_eq!(Direction::Max.cost(Direction::Max.cost(3.0)), 3.0);
        assert_eq!(Direction::Min.cost(4.0), 4.0);
    }
}
