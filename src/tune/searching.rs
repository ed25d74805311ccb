//! The search's eyes: candidates become trials of a session.

use super::{Order, Session};
use crate::dropped::Dropped;
use crate::search::{Measure, Observation, Stop};
use crate::space::{Candidate, Space, Values};
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::Workload;

/// The search's eyes: candidates become trials of the session.
///
/// After a break the strategy starts anew, and what it asks for is answered from the journal as long
/// as that has the answer: it learns the same in the same order, and goes on where it stopped.
pub struct Searching<'s, 'a> {
    session: &'s mut Session<'a>,
    space: &'s Space,
    workload: &'s Workload,
    strategy: &'s str,
    /// How many of the session's trials the strategy has been told of.
    told: usize,
    /// What was measured besides what it asked for, of which it is still to be told.
    besides: Vec<Observation>,
    /// By the trials that it was told of.
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
        let told = session.until_search(0);
        let dropped = Dropped::of(space, &session.trials[..told]);
        let besides = Vec::new();
        Self { session, space, workload, strategy, told, besides, dropped, changes: 0 }
    }

    fn values(&self, candidate: &Candidate) -> Values {
        let mut values = self.session.rig.baseline();
        let named = self.space.named(candidate);
        values.extend(named.map(|(name, value)| (name.to_owned(), value.clone())));
        values
    }

    /// The place of the trial that answers for `values` since before a break. Of one that was
    /// interrupted nothing was learnt, and it is repeated; what was interrupted twice may have
    /// brought the tuner down, and counts as a failure.
    fn recorded(&self, values: &Values) -> Option<usize> {
        let trials = self.session.trials[..self.session.before].iter().enumerate();
        let mut own = trials.filter(|(_, t)| t.phase == Phase::Search && t.knobs == *values);
        let finished = own.clone().find(|(_, trial)| trial.outcome != Outcome::Interrupted);
        finished.or_else(|| own.nth(1)).map(|(place, _)| place)
    }

    /// Runs a trial of `values`, and what is due after it; says where it stands.
    fn run(&mut self, values: &Values) -> Result<usize, Stop> {
        let left = self.session.left_for_search();
        if left < self.session.usual_trial() {
            return Err(Stop::Budget);
        }
        let order = Order {
            phase: Phase::Search,
            pair: None,
            strategy: self.strategy,
            workload: self.workload,
            values,
            min_psnr_db: self.session.min_psnr_db(values),
            limit: self.session.limit().unwrap_or(left),
            left,
            ready_s: self.session.ready_s(),
            hopeless_s: self.session.hopeless_s(),
        };
        self.session.run(&order)?;
        let place = self.session.trials.len() - 1;
        self.session.upkeep(self.workload)?;
        Ok(place)
    }

    /// Notes that the strategy is told of all trials up to the search's next one after `place`.
    fn tell(&mut self, place: usize) {
        let until = self.session.until_search(place + 1).max(self.told);
        let new = self.told..until;
        self.besides.extend(self.session.observations(self.space, Phase::Repeat, new));
        self.told = until;
        let dropped = Dropped::of(self.space, &self.session.trials[..until]);
        let news = dropped.news(&self.dropped);
        if !news.is_empty() || !self.dropped.news(&dropped).is_empty() {
            self.changes += 1;
        }
        if place >= self.session.before {
            news.iter().for_each(|sentence| self.session.watch.noted(sentence));
        }
        self.dropped = dropped;
    }
}

impl Session<'_> {
    /// The place of the search's first trial from `place` on, or else of the end.
    fn until_search(&self, place: usize) -> usize {
        let later = self.trials.iter().skip(place).position(is_of_search);
        later.map_or(self.trials.len(), |further| place + further)
    }
}

fn is_of_search(trial: &Trial) -> bool {
    trial.phase == Phase::Search
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        let plain = self.dropped.plain(self.space, candidate)?;
        self.session.rig.identity(self.workload, &self.values(&plain))
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let plain = self.dropped.plain(self.space, candidate);
        let values = self.values(plain.as_ref().unwrap_or(candidate));
        let place = match self.recorded(&values) {
            Some(place) => place,
            None => self.run(&values)?,
        };
        self.tell(place);
        Ok(self.session.observation(candidate.clone(), place))
    }

    fn besides(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.besides)
    }

    fn dropped(&self) -> usize {
        self.changes
    }
}
