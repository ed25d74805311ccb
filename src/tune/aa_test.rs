//! A/A test: the baseline under many names, for a tune that has nothing to find.

use anyhow::Result;

use crate::knobs::{Value, Values};
use crate::runner::{Runner, TrialRequest};
use crate::space::{Given, KnobDomain, Space};
use crate::trial::Trial;
use crate::workload::Workload;

/// The knob that tells copies apart and does nothing.
const COPY: &str = "copy";

/// Copies beside the baseline: as many as a space has that could yield a lucky one.
const COPY_COUNT: i64 = 24;

/// Runs the baseline, whatever is asked for.
pub struct AaRunner<'a>(pub &'a dyn Runner);

impl AaRunner<'_> {
    /// A space of nothing but copies of the baseline.
    pub fn space(&self) -> Space {
        let knob = KnobDomain {
            name: COPY.to_owned(),
            why: "Does nothing: a gain in this space is a false one.".to_owned(),
            levels: (0..=COPY_COUNT).map(Value::Integer).collect(),
            ..KnobDomain::default()
        };
        Space {
            name: "self-test".to_owned(),
            why: "The baseline against copies of itself.".to_owned(),
            knobs: vec![knob],
            constraints: Vec::new(),
            given: Given { facts: Default::default(), baseline: self.baseline() },
            listed: None,
        }
    }
}

impl Runner for AaRunner<'_> {
    fn run(&self, request: &TrialRequest) -> Result<Trial> {
        let baseline = TrialRequest { values: self.0.baseline(), ..request.clone() };
        Ok(Trial { knobs: request.values.clone(), ..self.0.run(&baseline)? })
    }

    fn identity(&self, _workload: &Workload, values: &Values) -> Option<u64> {
        match values.get(COPY) {
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn baseline(&self) -> Values {
        let mut values = self.0.baseline();
        values.insert(COPY.to_owned(), Value::Integer(0));
        values
    }
}
