//! The objective: what argmin minimises, and all that no strategy should do by itself.

use std::cell::{Ref, RefCell};
use std::collections::{HashMap, HashSet};

use argmin::core::{CostFunction, Error};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Finding, Measure, Observation, Plan, Transfer};
use crate::space::{Candidate, Space};

/// argmin's cost function over candidates.
///
/// Strategies hold it by reference, so that everything observed outlives the executor, which
/// drops its problem when a cost function returns an error.
pub struct Objective<'a> {
    space: &'a Space,
    seed: u64,
    earlier: Vec<Transfer>,
    memory: RefCell<Memory<'a>>,
}

struct Memory<'a> {
    measure: &'a mut dyn Measure,
    observations: Vec<Observation>,
    /// How many of them were asked for, now or before.
    measured: usize,
    /// What each candidate is on this machine; `None` where it can't run.
    identities: HashMap<Candidate, Option<u64>>,
    /// Mean cost of everything observed, failures charged.
    costs: HashMap<u64, Mean>,
    /// What this run's strategy asked for, whether it was known or had to be measured. Unlike
    /// `costs` it grows alike in a run that was interrupted and in one that was not.
    asked: HashSet<u64>,
    best_asked: Option<(f64, Candidate)>,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

/// Charged for a failure, whatever comes first, and some of them can be added up. What costs as much
/// has failed: the largest numbers are often its marks.
pub(crate) const FAILED: f64 = 1e100;

impl<'a> Objective<'a> {
    /// An objective that knows what the plan knows.
    pub(super) fn new(space: &'a Space, plan: &Plan, measure: &'a mut dyn Measure) -> Self {
        let mut memory = Memory {
            measure,
            observations: Vec::new(),
            measured: plan.known.len(),
            identities: HashMap::new(),
            costs: HashMap::new(),
            asked: HashSet::new(),
            best_asked: None,
        };
        for observation in &plan.known {
            let candidate = space.canonical(&observation.candidate);
            memory.learn(Observation { candidate, ..observation.clone() });
        }
        let earlier = plan.transfers.clone();
        Self { space, seed: plan.seed, earlier, memory: RefCell::new(memory) }
    }

    /// Measures what is to come before the strategy's own proposals. Illegal candidates are
    /// left out: a list of experts' candidates need not fit every machine.
    pub(super) fn begin(&self, first: &[Candidate]) -> Result<(), Error> {
        for candidate in first.iter().map(|candidate| self.space.canonical(candidate)) {
            if self.space.is_legal(&candidate) && self.identity(&candidate).is_some() {
                self.ask(&candidate)?;
            }
        }
        Ok(())
    }

    /// Where to search.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// What earlier searches found.
    pub(super) fn transfers(&self) -> &[Transfer] {
        &self.earlier
    }

    /// Everything observed so far, in order.
    pub fn observations(&self) -> Ref<'_, [Observation]> {
        Ref::map(self.memory.borrow(), |memory| memory.observations.as_slice())
    }

    pub(super) fn into_observations(self) -> Vec<Observation> {
        self.memory.into_inner().observations
    }

    /// A generator that is a function of the seed and of how much was measured or `asked` for
    /// since, so that a search that goes on proposes what it would have proposed.
    pub(super) fn rng(&self, asked: usize) -> Xoshiro256PlusPlus {
        let measured = (self.memory.borrow().measured + asked) as u64;
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ measured.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The run's seed, for strategies that keep a generator of their own.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether the canonical, legal `candidate` can run here and was never observed.
    pub(super) fn is_new(&self, candidate: &Candidate) -> bool {
        let identity = self.identity(candidate);
        identity.is_some_and(|identity| !self.memory.borrow().costs.contains_key(&identity))
    }

    /// Whether this run's strategy could still ask for the canonical, legal `candidate`.
    pub(super) fn is_unasked(&self, candidate: &Candidate) -> bool {
        let identity = self.identity(candidate);
        identity.is_some_and(|identity| !self.memory.borrow().asked.contains(&identity))
    }

    fn identity(&self, candidate: &Candidate) -> Option<u64> {
        self.memory.borrow_mut().identity(candidate)
    }

    /// The cost of a canonical, legal candidate: remembered where it was observed, else measured.
    pub(super) fn ask(&self, candidate: &Candidate) -> Result<f64, Error> {
        let memory = &mut *self.memory.borrow_mut();
        let Some(identity) = memory.identity(candidate) else { return Ok(FAILED) };
        memory.asked.insert(identity);
        if !memory.costs.contains_key(&identity) {
            memory.observe(candidate)?;
        }
        // It may be another's now: its own trial may show that a knob of it changes nothing.
        let identity = memory.identity(candidate);
        memory.asked.extend(identity);
        let mean = identity.and_then(|identity| memory.costs.get(&identity));
        let cost = mean.map_or(FAILED, |mean| mean.sum / mean.count);
        if memory.best_asked.as_ref().is_none_or(|(best, _)| cost < *best) {
            memory.best_asked = Some((cost, candidate.clone()));
        }
        Ok(cost)
    }

    /// The cheapest candidate that this run has asked for.
    pub(super) fn best_asked(&self) -> Option<Candidate> {
        self.memory.borrow().best_asked.as_ref().map(|(_, candidate)| candidate.clone())
    }

    /// The share of the search that is left, where repeats are the strategy's affair: 1 at its
    /// beginning, 0 at its end.
    pub(super) fn share_left(&self) -> Option<f64> {
        let memory = self.memory.borrow();
        let left = memory.measure.left()? as f64;
        Some(left / (left + memory.observations.len() as f64))
    }

    /// Measures a candidate that was observed before: under noise that is data, not a copy.
    pub(super) fn ask_again(&self, candidate: &Candidate) -> Result<(), Error> {
        Ok(self.memory.borrow_mut().observe(candidate)?)
    }
}

impl Memory<'_> {
    fn identity(&mut self, candidate: &Candidate) -> Option<u64> {
        if let Some(&identity) = self.identities.get(candidate) {
            return identity;
        }
        let identity = self.measure.identity(candidate);
        self.identities.insert(candidate.clone(), identity);
        identity
    }

    fn observe(&mut self, candidate: &Candidate) -> Result<(), super::Stop> {
        let dropped = self.measure.dropped();
        let observation = self.measure.measure(candidate)?;
        self.measured += 1;
        let retracted = self.measure.retracted();
        self.observations.retain(|o| o.cost().is_some() || !retracted.contains(&o.candidate));
        if self.measure.dropped() != dropped || !retracted.is_empty() {
            self.forget_identities();
        }
        self.learn(Observation { candidate: candidate.clone(), ..observation });
        self.measure
            .extra_observations()
            .into_iter()
            .for_each(|observation| self.learn(observation));
        Ok(())
    }

    /// Learns all again under the identities that candidates have now.
    fn forget_identities(&mut self) {
        self.identities.clear();
        self.costs.clear();
        for observation in std::mem::take(&mut self.observations) {
            self.learn(observation);
        }
    }

    fn learn(&mut self, mut observation: Observation) {
        let cost = match observation.finding {
            Finding::Cost(cost) | Finding::AtLeast(cost) if cost.abs() < FAILED => Some(cost),
            _ => None,
        };
        if cost.is_none() {
            observation.finding = Finding::Failed;
        }
        let cost = cost.unwrap_or(FAILED);
        if let Some(identity) = self.identity(&observation.candidate) {
            let mean = self.costs.entry(identity).or_default();
            *mean = Mean { sum: mean.sum + cost, count: mean.count + 1.0 };
        }
        self.observations.push(observation);
    }
}

impl CostFunction for &Objective<'_> {
    type Param = Candidate;
    type Output = f64;

    fn cost(&self, candidate: &Candidate) -> Result<f64, Error> {
        self.ask(candidate)
    }
}

/// ln(2e9 cost) for every cost above some nanoseconds, rising through zero and below it.
pub(super) fn log_like(cost: f64) -> f64 {
    (cost * 1e9).asinh()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::replay::{Recorded, Replay};

    #[test]
    fn a_failure_costs_more_than_anything_that_comes_after_it() {
        let recorded = Recorded::parse("made", "a:ord,value\n1,inf\n2,3e9\n3,4e9\n").unwrap();
        let mut replay = Replay::new(&recorded, 3, 0.0, 0);
        let objective = Objective::new(&recorded.space, &Plan::default(), &mut replay);
        let [failed, good, bad] = [0, 1, 2].map(|level| Candidate::new([level]));
        let charged = objective.ask(&failed).unwrap();
        assert_eq!(objective.ask(&good).unwrap(), 3e9);
        assert!(charged > objective.ask(&bad).unwrap());
        assert_eq!(objective.best_asked(), Some(good));
    }

    /// What is the same is known after one trial: levels are nothing.
    #[derive(Default)]
    struct Levelled(usize);

    impl Measure for Levelled {
        fn identity(&self, candidate: &Candidate) -> Option<u64> {
            Some(if self.0 == 0 { candidate.level(0) as u64 } else { 7 })
        }

        fn measure(&mut self, candidate: &Candidate) -> Result<Observation, super::super::Stop> {
            self.0 += 1;
            Ok(Observation::new(candidate.clone(), Finding::Cost(5.0)))
        }

        fn dropped(&self) -> usize {
            self.0.min(1)
        }
    }

    #[test]
    fn what_becomes_another_by_its_own_trial_costs_what_it_was_measured_at() {
        let space = Recorded::parse("made", "a:ord,value\n1,3\n2,3\n").unwrap().space;
        let mut measure = Levelled::default();
        let objective = Objective::new(&space, &Plan::default(), &mut measure);
        let [one, other] = [0, 1].map(|level| Candidate::new([level]));
        assert_eq!(objective.ask(&one).unwrap(), 5.0);
        assert!(!objective.is_unasked(&other));
        assert_eq!(objective.ask(&other).unwrap(), 5.0);
        assert_eq!(objective.observations().len(), 1);
    }

    #[test]
    fn costs_are_on_a_scale_of_shares_through_zero() {
        assert!((log_like(2.0) - log_like(1.0) - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(log_like(-3.0), -log_like(3.0));
    }
}
