//! Table: laws worked out for every level of a space, since choosing a proposal asks for the time of
//! a thousand candidates.

use super::{Scaling, StageLaw};
use crate::knobs::{Value, Values};
use crate::space::{Candidate, Space};

/// Tells any candidate's seconds per clip.
#[derive(Clone, Debug)]
pub struct TimingTable {
    stages: Vec<Row>,
    /// ln of [`Scaling`]'s overlap.
    overlap: f64,
}

#[derive(Clone, Debug)]
struct Row {
    is_pool: bool,
    /// ln seconds by what the space leaves alone.
    fixed: f64,
    /// What each knob's level adds.
    levels: Vec<Vec<f64>>,
}

impl TimingTable {
    /// The laws over `space`; `None` where a stage's threads are no numbers there.
    pub fn new(scaling: &Scaling, space: &Space) -> Option<Self> {
        let row = |law: &StageLaw| Row::new(law, space);
        let stages = scaling.stages.iter().map(row).collect::<Option<_>>()?;
        Some(Self { stages, overlap: scaling.overlap.ln() })
    }

    /// ln seconds per clip.
    pub fn log_seconds(&self, candidate: &Candidate) -> f64 {
        let (mut models, mut pools) = (0.0, 0.0_f64);
        for row in &self.stages {
            let levels = candidate.levels().zip(&row.levels).map(|(level, logs)| logs[level]);
            let seconds = (row.fixed + levels.sum::<f64>()).exp();
            if row.is_pool {
                pools = pools.max(seconds);
            } else {
                models += seconds;
            }
        }
        self.overlap + pools.max(models).max(f64::MIN_POSITIVE).ln()
    }
}

impl Row {
    fn new(law: &StageLaw, space: &Space) -> Option<Self> {
        let log = |knob: &str, value: &Value| match value {
            Value::Integer(threads) if knob == law.knob => {
                Some(law.law.seconds((*threads).max(1) as f64).max(f64::MIN_POSITIVE).ln())
            }
            Value::Word(_) if knob == law.knob => None,
            value => Some(law.effects.of(knob, value)),
        };
        let left: &Values = &space.given.baseline;
        let fixed = left.iter().filter(|(name, _)| space.knob(name).is_none());
        let fixed: Option<f64> = fixed.map(|(name, value)| log(name, value)).sum();
        let levels = |knob: &crate::space::KnobDomain| {
            knob.levels.iter().map(|value| log(&knob.name, value)).collect::<Option<Vec<f64>>>()
        };
        let levels = space.knobs.iter().map(levels).collect::<Option<_>>()?;
        Some(Self { is_pool: law.is_pool, fixed: fixed?, levels })
    }
}
