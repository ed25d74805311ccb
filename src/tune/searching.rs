//! The search's eyes: candidates become trials of a session.

use anyhow::Result;

use super::{Order, Session};
use crate::search::{Measure, Observation, Stop};
use crate::settings::Knobs;
use crate::space::{Candidate, Space};
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
    fn knobs(&self, candidate: &Candidate) -> Result<Knobs, String> {
        self.session.bench.baseline.knobs.with(self.space.named(candidate))
    }

    fn identity_of(&self, knobs: &Knobs) -> Option<u64> {
        let settings = knobs.resolve(&self.session.bench.machine).ok()?;
        Some(settings.identity(self.workload))
    }

    /// The same settings with as many knobs as can be at the baseline's value: a tile larger than
    /// the picture, say, is no change that anybody should ship.
    fn plainest(&self, mut knobs: Knobs) -> Knobs {
        let identity = self.identity_of(&knobs);
        for (name, usual) in self.session.bench.baseline.knobs.values() {
            if let Ok(plainer) = knobs.with([(name.as_str(), &usual)])
                && self.identity_of(&plainer) == identity
            {
                knobs = plainer;
            }
        }
        knobs
    }
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.identity_of(&self.knobs(candidate).ok()?)
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let left = self.session.left_for_search();
        if left < self.session.baseline_trial() {
            return Err(Stop::Budget);
        }
        let knobs = self.plainest(self.knobs(candidate).map_err(anyhow::Error::msg)?);
        let order = Order {
            phase: Phase::Search,
            pair: None,
            strategy: self.strategy,
            workload: self.workload,
            knobs: &knobs,
            min_psnr_db: self.session.min_psnr_db(&knobs),
            limit: self.session.limit(),
            left,
        };
        let trial = self.session.run(&order)?;
        Ok(Observation { candidate: candidate.clone(), cost: trial.score_s() })
    }
}
