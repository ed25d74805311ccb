//! History: what a strategy sees when it is asked for a candidate.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::cost::FAILED;
use super::sampler::Sampler;
use super::surrogate::prior::Prior;
use super::transfer::TransferModel;
use super::{Measurement, Observation, Plan, Transfer};
use crate::space::{Candidate, Space};

/// What makes two candidates the same on this machine (a digest of the settings that they resolve
/// to), or `None` where the machine can't run the candidate.
pub type Identify<'a> = Box<dyn Fn(&Candidate) -> Option<u64> + 'a>;

/// The space, the seed, what was observed and what is pending.
pub struct History<'a> {
    space: &'a Space,
    sampler: Sampler<'a>,
    seed: u64,
    first: Vec<Candidate>,
    beliefs: Rc<Vec<TransferModel>>,
    identify: Identify<'a>,
    /// Telling what a candidate is takes a machine: each is asked once.
    identities: RefCell<HashMap<Candidate, Option<u64>>>,
    observations: Vec<Observation>,
    /// What each identity cost when it was first observed, failures charged.
    costs: HashMap<u64, f64>,
    pending: Vec<Candidate>,
    pending_identities: HashSet<u64>,
}

impl<'a> History<'a> {
    pub(super) fn new(space: &'a Space, plan: Plan, identify: Identify<'a>) -> Self {
        let Plan { seed, first, transfers, .. } = plan;
        let beliefs = Prior::beliefs(space, &transfers);
        let first =
            [Transfer::best(&transfers), TransferModel::cheapest_first(&beliefs, first)].concat();
        Self {
            space,
            sampler: Sampler::new(space),
            seed,
            first: first.iter().map(|candidate| space.canonical(candidate)).collect(),
            beliefs,
            identify,
            identities: RefCell::default(),
            observations: Vec::new(),
            costs: HashMap::new(),
            pending: Vec::new(),
            pending_identities: HashSet::new(),
        }
    }

    /// Adds an observation.
    pub(super) fn learn(&mut self, mut observation: Observation) {
        observation.candidate = self.space.canonical(&observation.candidate);
        let cost = match observation.measurement {
            Measurement::Cost(cost) | Measurement::AtLeast(cost) if cost.abs() < FAILED => {
                Some(cost)
            }
            _ => None,
        };
        if cost.is_none() {
            observation.measurement = Measurement::Failed;
        }
        let cost = cost.unwrap_or(FAILED);
        if let Some(identity) = self.identity(&observation.candidate) {
            self.costs.entry(identity).or_insert(cost);
        }
        self.observations.push(observation);
    }

    /// Notes which candidates are measured at the moment.
    pub(super) fn expect(&mut self, pending: &[Candidate]) {
        let pending = pending.iter().map(|candidate| self.space.canonical(candidate));
        let known = |candidate: &Candidate| {
            self.identity(candidate).is_some_and(|identity| self.costs.contains_key(&identity))
        };
        let pending: Vec<Candidate> = pending.filter(|candidate| !known(candidate)).collect();
        self.pending_identities = pending.iter().filter_map(|c| self.identity(c)).collect();
        self.pending = pending;
    }

    /// Where to search.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Draws legal candidates.
    pub(super) fn sampler(&self) -> &Sampler<'a> {
        &self.sampler
    }

    /// The run's seed, for strategies that keep a generator of their own.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// What earlier searches say of any candidate.
    pub(super) fn beliefs(&self) -> &Rc<Vec<TransferModel>> {
        &self.beliefs
    }

    /// Everything observed so far, in order.
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Candidates of which nothing is known yet, but soon will be.
    pub fn pending(&self) -> &[Candidate] {
        &self.pending
    }

    /// What is to come before the strategy's own proposals. What is illegal or can't run here is
    /// left out: a list of experts' candidates need not fit every machine.
    pub(super) fn first(&self) -> impl Iterator<Item = &Candidate> {
        let fits = |candidate: &&Candidate| {
            self.space.is_legal(candidate) && self.identity(candidate).is_some()
        };
        self.first.iter().filter(fits)
    }

    /// A generator that is a function of the seed and of how many candidates are known or pending.
    pub(super) fn rng(&self) -> Xoshiro256PlusPlus {
        let asked = (self.costs.len() + self.pending.len()) as u64;
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ asked.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Whether the canonical, legal `candidate` can run here and is neither known nor pending.
    pub fn is_new(&self, candidate: &Candidate) -> bool {
        self.identity(candidate).is_some_and(|identity| {
            !self.costs.contains_key(&identity) && !self.pending_identities.contains(&identity)
        })
    }

    /// Whether the candidate was observed, under whatever name.
    pub(super) fn is_known(&self, candidate: &Candidate) -> bool {
        self.identity(candidate).is_some_and(|identity| self.costs.contains_key(&identity))
    }

    /// What the machine makes of a candidate; `None` where it can't run it.
    pub(super) fn identity(&self, candidate: &Candidate) -> Option<u64> {
        if let Some(&identity) = self.identities.borrow().get(candidate) {
            return identity;
        }
        let identity = (self.identify)(candidate);
        self.identities.borrow_mut().insert(candidate.clone(), identity);
        identity
    }

    /// The cost of an identity when it was first observed, so that it never changes.
    pub(super) fn cost(&self, identity: u64) -> Option<f64> {
        self.costs.get(&identity).copied()
    }
}
