//! The search's eyes: candidates become trials of a session.

use super::{Order, Session};
use crate::search::{Measure, Observation, Stop};
use crate::space::{Candidate, Space, Values};
use crate::trial::Phase;
use crate::workload::Workload;

/// The search's eyes: candidates become trials of the session.
pub struct Searching<'s, 'a> {
    /// The session.
    pub session: &'s mut Session<'a>,
    /// The space.
    pub space: &'s Space,
    /// The workload.
    pub workload: &'s Workload,
    /// The strategy's name.
    pub strategy: &'s str,
}

impl Searching<'_, '_> {
    fn values(&self, candidate: &Candidate) -> Values {
        let mut values = self.session.rig.baseline();
        let named = self.space.named(candidate);
        values.extend(named.map(|(name, value)| (name.to_owned(), value.clone())));
        values
    }
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.session.rig.identity(self.workload, &self.values(candidate))
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let left = self.session.left_for_search();
        if left < self.session.baseline_trial() {
            return Err(Stop::Budget);
        }
        let values = self.values(candidate);
        let order = Order {
            phase: Phase::Search,
            pair: None,
            strategy: self.strategy,
            workload: self.workload,
            values: &values,
            min_psnr_db: self.session.min_psnr_db(&values),
            limit: self.session.limit(),
            left,
        };
        let trial = self.session.run(&order)?;
        Ok(Observation { candidate: candidate.clone(), cost: trial.score_s() })
    }
}
