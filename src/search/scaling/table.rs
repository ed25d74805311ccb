//! Table: laws worked out for every level of a space, since choosing a proposal asks for the time of
//! a thousand candidates.

use super::{Scaling, StageLaw};
use crate::space::{Candidate, Space, Value, Values};

/// Tells any candidate's seconds a clip.
#[derive(Clone, Debug)]
pub struct Table {
    stages: Vec<Row>,
    /// ln of [`Scaling`]'s overlap.
    overlap: f64,
}

/// ln seconds a clip of one stage, a sum over the knobs.
#[derive(Clone, Debug)]
pub(in crate::search) struct Row {
    is_pool: bool,
    /// ln seconds by what the space leaves alone.
    fixed: f64,
    /// What each knob's level adds.
    levels: Vec<Vec<f64>>,
}

impl Table {
    /// The laws over `space`; `None` where a stage's threads are no numbers there.
    pub fn new(scaling: &Scaling, space: &Space) -> Option<Self> {
        let row = |law: &StageLaw| Row::new(law, space);
        let stages = scaling.stages.iter().map(row).collect::<Option<_>>()?;
        Some(Self { stages, overlap: scaling.overlap.ln() })
    }

    /// ln seconds a clip.
    pub fn log_seconds(&self, candidate: &Candidate) -> f64 {
        let (mut models, mut pools) = (0.0, 0.0_f64);
        for row in &self.stages {
            let seconds = row.log_seconds(candidate).exp();
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
    /// Of a stage without a law: no more than that the workers of a pool, the knob called `threads`,
    /// each take a clip of their own. `None` where their number is no number.
    pub fn shared(space: &Space, threads: Option<&str>) -> Option<Self> {
        let log = |value: &Value| match value {
            Value::Number(count) => Some(-(*count.max(&1) as f64).ln()),
            Value::Word(_) => None,
        };
        let levels = |knob: &crate::space::Knob| {
            let is_shared = threads == Some(knob.name.as_str());
            let level = |value| if is_shared { log(value) } else { Some(0.0) };
            knob.levels.iter().map(level).collect::<Option<Vec<f64>>>()
        };
        let levels = space.knobs.iter().map(levels).collect::<Option<_>>()?;
        Some(Self { is_pool: threads.is_some(), fixed: 0.0, levels })
    }

    /// ln seconds a clip.
    pub fn log_seconds(&self, candidate: &Candidate) -> f64 {
        let levels = candidate.levels().zip(&self.levels).map(|(level, logs)| logs[level]);
        self.fixed + levels.sum::<f64>()
    }

    fn new(law: &StageLaw, space: &Space) -> Option<Self> {
        let log = |knob: &str, value: &Value| match value {
            Value::Number(threads) if knob == law.knob => {
                Some(law.law.seconds((*threads).max(1) as f64).max(f64::MIN_POSITIVE).ln())
            }
            Value::Word(_) if knob == law.knob => None,
            value => Some(law.effects.of(knob, value)),
        };
        let left: &Values = &space.given.baseline;
        let fixed = left.iter().filter(|(name, _)| space.knob(name).is_none());
        let fixed: Option<f64> = fixed.map(|(name, value)| log(name, value)).sum();
        let levels = |knob: &crate::space::Knob| {
            knob.levels.iter().map(|value| log(&knob.name, value)).collect::<Option<Vec<f64>>>()
        };
        let levels = space.knobs.iter().map(levels).collect::<Option<_>>()?;
        Some(Self { is_pool: law.is_pool, fixed: fixed?, levels })
    }
}
