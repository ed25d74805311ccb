//! Sample: one repetition inside a trial's process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::workload::custom::printed::MetricValue;

/// One repetition inside a trial's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds per clip of the whole job; of a user's own job, a run.
    pub seconds: f64,
    /// Seconds per clip of the slice of the job that ran, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_s: Option<f64>,
    /// The number by which the run of a user's own command is scored instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricValue>,
    /// Busy seconds per clip of each stage; stages overlap, so these don't add up to `seconds`.
    pub stages: BTreeMap<String, f64>,
    /// Pages faulted in without I/O during the repetition; explains allocators' two speeds.
    pub minor_faults: u64,
    /// Seconds that this process's threads waited for a CPU, as a share of wall time.
    pub run_queue_share: f64,
}

impl Sample {
    /// What is to be small: the seconds, unless a metric is asked for.
    pub fn cost(&self) -> f64 {
        self.metric.map_or(self.seconds, |metric| metric.goal.cost(metric.value))
    }
}
