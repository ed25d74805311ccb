//! The search's eyes: candidates become trials of a session.

use super::{Order, Session};
use crate::dropped::Dropped;
use crate::search::{Measure, Observation, Stop};
use crate::space::{Candidate, Space, Values};
use crate::trial::Phase;
use crate::workload::Workload;

/// The search's eyes: candidates become trials of the session.
pub struct Searching<'s, 'a> {
    session: &'s mut Session<'a>,
    space: &'s Space,
    workload: &'s Workload,
    strategy: &'s str,
    dropped: Dropped,
    /// How often `dropped` changed.
    changes: usize,
}

impl<'s, 'a> Searching<'s, 'a> {
    /// Eyes that turn candidates of `space` into trials of `session`, proposed by the strategy
    /// of this name.
    pub fn new(
        session: &'s mut Session<'a>,
        space: &'s Space,
        workload: &'s Workload,
        strategy: &'s str,
    ) -> Self {
        let dropped = Dropped::of(space, session.trials());
        Self { session, space, workload, strategy, dropped, changes: 0 }
    }

    fn values(&self, candidate: &Candidate) -> Values {
        let mut values = self.session.rig.baseline();
        let named = self.space.named(candidate);
        values.extend(named.map(|(name, value)| (name.to_owned(), value.clone())));
        values
    }

    /// Looks again what the search goes on without, and tells what is new.
    fn drop_what_the_trials_show(&mut self) {
        let dropped = Dropped::of(self.space, &self.session.trials);
        let news = dropped.news(&self.dropped);
        if !news.is_empty() || !self.dropped.news(&dropped).is_empty() {
            self.changes += 1;
        }
        news.iter().for_each(|sentence| self.session.watch.noted(sentence));
        self.dropped = dropped;
    }
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        let plain = self.dropped.plain(self.space, candidate)?;
        self.session.rig.identity(self.workload, &self.values(&plain))
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        self.session.upkeep(self.workload)?;
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let left = self.session.left_for_search();
        if left < self.session.usual_trial() {
            return Err(Stop::Budget);
        }
        let plain = self.dropped.plain(self.space, candidate);
        let values = self.values(plain.as_ref().unwrap_or(candidate));
        let order = Order {
            phase: Phase::Search,
            pair: None,
            strategy: self.strategy,
            workload: self.workload,
            values: &values,
            min_psnr_db: self.session.min_psnr_db(&values),
            limit: self.session.limit().unwrap_or(left),
            left,
            ready_s: self.session.ready_s(),
            hopeless_s: self.session.hopeless_s(),
        };
        self.session.run(&order)?;
        let session = &*self.session;
        let observation =
            super::observation(candidate.clone(), &session.trials, session.too_slow());
        self.drop_what_the_trials_show();
        Ok(observation)
    }

    fn dropped(&self) -> usize {
        self.changes
    }
}
