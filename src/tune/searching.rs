//! The search's eyes: candidates become trials of a session.

use super::{Session, TrialRequest};
use crate::knobs::Values;
use crate::search::pruning::{PROBE, Pruned};
use crate::search::{Measure, Observation, Stop};
use crate::space::{Candidate, Space};
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
    /// What it asked for, by the place of the trial: with knobs that rest at other values.
    asked: Vec<(usize, Candidate)>,
    /// What was measured besides, of which it is still to be told.
    besides: Vec<Observation>,
    /// Candidates of whose failures it was told that turned out to be the machine's.
    retracted: Vec<Candidate>,
    /// By the trials that it was told of.
    dropped: Pruned,
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
        let dropped = Pruned::of(space, &session.trials[..told]);
        let (asked, besides, retracted, changes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        Self {
            session,
            space,
            workload,
            strategy,
            told,
            asked,
            besides,
            retracted,
            dropped,
            changes,
        }
    }

    /// The place of the trial that answers for `values` since before a break. One of which nothing
    /// was learnt is repeated, unless that was done often enough: what is always interrupted may
    /// bring the tuner down, and counts as a failure.
    fn recorded(&self, values: &Values) -> Option<usize> {
        let trial = |place: usize| &self.session.trials[place];
        let is_own = |&place: &usize| is_proposed(trial(place)) && trial(place).knobs == *values;
        let own = || (self.told..self.session.before).filter(is_own);
        let finished = own().find(|&place| !self.session.is_silent(place));
        finished.or_else(|| own().next_back().filter(|_| self.session.is_given_up(values)))
    }

    /// Runs a trial of `values`, again where nothing was learnt of it, and of the candidates before
    /// it of which it turned out that nothing was; the place of the last trial.
    fn try_out(&mut self, values: &Values) -> Result<usize, Stop> {
        let place = loop {
            let place = self.session.try_out(self.strategy, self.workload, values)?;
            if self.session.is_stopped() && self.session.is_silent(place) {
                return Err(Stop::Interrupted);
            }
            if !self.session.is_silent(place) || self.session.is_given_up(values) {
                break place;
            }
        };
        self.repeat_excused()?;
        Ok(place)
    }

    /// Measures again what failed by the machine's fault, and takes back what the strategy was told.
    fn repeat_excused(&mut self) -> Result<(), Stop> {
        while let Some(index) = (0..self.asked.len()).find(|&index| self.is_excused(index)) {
            let (place, candidate) = self.asked[index].clone();
            let values = self.session.trials[place].knobs.clone();
            let place = self.session.try_out(self.strategy, self.workload, &values)?;
            self.asked[index].0 = place;
            self.retracted.push(candidate.clone());
            if !self.session.is_silent(place) {
                self.besides.push(self.session.observation(candidate, place));
            }
        }
        Ok(())
    }

    /// Whether what the strategy asked for at this place was measured while the machine failed.
    fn is_excused(&self, index: usize) -> bool {
        let (place, _) = self.asked[index];
        let trial = &self.session.trials[place];
        trial.outcome != Outcome::Interrupted
            && self.session.is_silent(place)
            && !self.session.is_given_up(&trial.knobs)
    }

    /// Notes that the strategy asked for `candidate` and is told of all trials from the last that it
    /// was told of to the next one of its own after `place`.
    fn tell(&mut self, candidate: &Candidate, place: usize) {
        self.asked.push((place, candidate.clone()));
        // What was measured again after it is known already.
        let until = match place < self.session.before {
            true => self.session.until_search(place + 1).max(self.told),
            false => self.session.trials.len(),
        };
        let is_asked = |other: &usize| self.asked.iter().any(|(place, _)| place == other);
        let others = (self.told..until).filter(|other| !is_asked(other));
        let besides: Vec<Observation> = others.filter_map(|other| self.beside(other)).collect();
        self.besides.extend(besides);
        self.told = until;
        let dropped = Pruned::of(self.space, &self.session.trials[..until]);
        let news = dropped.news(&self.dropped);
        if !news.is_empty() || !self.dropped.news(&dropped).is_empty() {
            self.changes += 1;
        }
        if place >= self.session.before {
            news.iter().for_each(|sentence| self.session.observer.noted(sentence));
        }
        self.dropped = dropped;
    }

    /// What the trial at `place` says of what the strategy asked for when it got the same values.
    fn beside(&self, place: usize) -> Option<Observation> {
        let trials = &self.session.trials;
        let is_same =
            |(asked, _): &&(usize, Candidate)| trials[*asked].knobs == trials[place].knobs;
        let observation = self.session.told_at(self.space, place)?;
        Some(match self.asked.iter().rev().find(is_same) {
            Some((_, candidate)) => Observation { candidate: candidate.clone(), ..observation },
            None => observation,
        })
    }
}

impl Session<'_> {
    /// The values of all knobs for a candidate.
    pub(super) fn values(&self, space: &Space, candidate: &Candidate) -> Values {
        let mut values = self.runner.baseline();
        let named = space.named(candidate);
        values.extend(named.map(|(name, value)| (name.to_owned(), value.clone())));
        values
    }

    /// Runs a trial of `values`, and what is due after it; says where it stands.
    ///
    /// # Errors
    /// The budget does not pay for it, or the tuner can't go on.
    pub(super) fn try_out(
        &mut self,
        strategy: &str,
        workload: &Workload,
        values: &Values,
    ) -> Result<usize, Stop> {
        let left = self.left_for_search();
        if left < self.usual_trial() || self.searched() >= self.most_trials {
            return Err(Stop::Budget);
        }
        let place = self.trials.len();
        self.run(&TrialRequest {
            phase: Phase::Search,
            pair: None,
            strategy,
            workload,
            values,
            min_psnr_db: self.min_psnr_db(values),
            limit: self.limit().unwrap_or(left),
            left,
            ready_s: self.ready_s(),
            early_stop_s: self.early_stop_s(),
        })?;
        self.remeasure(workload)?;
        Ok(place)
    }

    /// How many trials of the search came to an end.
    pub(super) fn searched(&self) -> usize {
        let ended = |t: &&Trial| t.phase == Phase::Search && t.outcome != Outcome::Interrupted;
        self.trials.iter().filter(ended).count()
    }

    /// The place of the first trial from `place` on that the search's strategy proposed, or else of
    /// the end.
    pub(super) fn until_search(&self, place: usize) -> usize {
        let later = self.trials.iter().skip(place).position(is_proposed);
        later.map_or(self.trials.len(), |further| place + further)
    }
}

/// Whether the search's strategy proposed it.
pub(super) fn is_proposed(trial: &Trial) -> bool {
    trial.phase == Phase::Search && trial.strategy != PROBE
}

impl Measure for Searching<'_, '_> {
    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        let plain = self.dropped.canonical(self.space, candidate)?;
        self.session.runner.identity(self.workload, &self.session.values(self.space, &plain))
    }

    fn measure(&mut self, candidate: &Candidate) -> Result<Observation, Stop> {
        if self.session.is_stopped() {
            return Err(Stop::Interrupted);
        }
        let values =
            self.session.values(self.space, &self.dropped.with_frozen(self.space, candidate));
        let place = match self.recorded(&values) {
            Some(place) => place,
            None => self.try_out(&values)?,
        };
        self.tell(candidate, place);
        Ok(self.session.observation(candidate.clone(), place))
    }

    fn extra_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.besides)
    }

    fn retracted(&mut self) -> Vec<Candidate> {
        std::mem::take(&mut self.retracted)
    }

    fn dropped(&self) -> usize {
        self.changes
    }
}
