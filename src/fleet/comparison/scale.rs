//! Scale: what the gains of a comparison are shares of.
//!
//! Everything is compared as the logarithm of a ratio of costs, and a metric to be large costs what
//! is left of one divided by it: twice as many frames per second are half the time per frame. What is
//! shown of a run is its own: time saved, or growth of its metric.

use super::portability::ProfilePortability;
use super::{Comparison, Member, geometric_mean};
use crate::workload::metric::{Direction, Metric};

impl Comparison {
    /// What belongs to all runs together is shown as growth if all of them have a metric to be
    /// large, else as a saving.
    pub fn common(&self) -> Metric {
        let grows = self.members.iter().all(|member| member.metric.direction() == Direction::Max);
        Metric::Printed(if grows { Direction::Max } else { Direction::Min })
    }

    /// Whether some numbers are to grow and others to shrink.
    pub fn is_mixed(&self) -> bool {
        let common = self.common().direction();
        self.members.iter().any(|member| member.metric.direction() != common)
    }

    /// The word after a gain, where it has to be told.
    pub fn word(&self, metric: Metric) -> String {
        if self.is_mixed() { format!(" {}", metric.better()[0]) } else { String::new() }
    }

    /// What a gain is.
    pub fn gain_is(&self) -> String {
        self.by_goal(|goal| match goal {
            None => "share of time saved",
            Some(Direction::Min) => "share of the metric saved",
            Some(Direction::Max) => "growth of the metric",
        })
    }

    /// What a regret is.
    pub fn regret_is(&self) -> String {
        self.by_goal(|goal| match goal {
            None => "time more",
            Some(Direction::Min) => "metric more",
            Some(Direction::Max) => "metric less",
        })
    }

    /// What the axis of all gains shows.
    pub fn axis_is(&self) -> &'static str {
        let is_time = self.members.iter().all(|member| member.metric.goal().is_none());
        match self.common().direction() {
            _ if is_time => "Share of time saved",
            Direction::Min => "Share of cost saved",
            Direction::Max => "Growth of the metric",
        }
    }

    /// How a mean is taken of what grows and what shrinks.
    pub fn mean_is(&self) -> Option<&'static str> {
        self.is_mixed().then_some(
            "the geometric mean is of costs: a metric that is to grow costs its reciprocal, so that \
             twice as much of it is half the cost",
        )
    }

    /// The geometric means of what the runs save over their baselines, where what is not proven
    /// counts as nothing, and over libtorch's defaults, as shares of what [`Self::common`] counts.
    pub fn means(&self) -> [Option<f64>; 2] {
        let members = self.members.iter();
        let over = members.clone().filter_map(|member| Some(member.over_defaults?.mean));
        let means = [geometric_mean(members.map(Member::shipped_gain)), geometric_mean(over)];
        means.map(|mean| mean.map(|saved| self.common().share(saved)))
    }

    /// A regret of a profile as a share of the number that its job is known by.
    pub fn lost(&self, profile: &ProfilePortability, regret: f64) -> f64 {
        self.metric(profile).lost(regret)
    }

    /// What scores of a profile's job count.
    pub fn metric(&self, profile: &ProfilePortability) -> Metric {
        self.members[profile.from[0]].metric
    }

    /// Each different thing once, in the order of runs.
    fn by_goal(&self, thing: fn(Option<Direction>) -> &'static str) -> String {
        let mut things = Vec::new();
        for member in &self.members {
            let thing = thing(member.metric.goal());
            if !things.contains(&thing) {
                things.push(thing);
            }
        }
        things.join(" or ")
    }
}
