//! Pool: the unseen candidates among which an acquisition chooses.

use std::collections::HashSet;

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::data::Data;
use crate::search::draw::Draw;
use crate::search::objective::Objective;
use crate::space::Candidate;

/// Candidates drawn from the whole space.
const ANYWHERE: usize = 300;
/// The best candidates that mutations start from, and how many from each.
const PARENTS: usize = 10;
const MUTATIONS: usize = 20;
/// The best candidates whose neighbours are all looked at.
const CENTRES: usize = 5;

/// Different unseen, legal candidates.
pub(super) struct Pool<'p, 'o, 'd> {
    objective: &'p Objective<'o>,
    draw: &'p Draw<'d>,
    /// What was measured or asked for.
    known: HashSet<Candidate>,
    /// What is in the pool or known.
    seen: HashSet<Candidate>,
    /// What may be proposed.
    pub candidates: Vec<Candidate>,
    /// How many of them, from the first, were drawn evenly.
    even: usize,
}

impl<'p, 'o, 'd> Pool<'p, 'o, 'd> {
    /// A pool for the next proposal.
    pub fn new(
        objective: &'p Objective<'o>,
        draw: &'p Draw<'d>,
        data: &Data,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let known: HashSet<Candidate> =
            data.candidates.iter().chain(&data.failed).cloned().collect();
        let seen = known.clone();
        let mut pool = Self { objective, draw, known, seen, candidates: Vec::new(), even: 0 };
        for _ in 0..ANYWHERE {
            let found = draw.any(rng);
            pool.add(found);
        }
        pool.even = pool.candidates.len();
        let best = data.best(PARENTS);
        for &parent in &best {
            for _ in 0..MUTATIONS {
                let mutant = draw.mutated(&data.candidates[parent], rng);
                pool.add(mutant);
            }
        }
        for &centre in best.iter().take(CENTRES) {
            pool.add_neighbours(&data.candidates[centre], usize::MAX, |_| true);
        }
        if pool.candidates.is_empty() {
            let last = draw.wanted(rng, |found| pool.is_new(found));
            pool.add(last);
        }
        pool
    }

    fn add(&mut self, candidate: Option<Candidate>) {
        if let Some(candidate) = candidate
            && !self.seen.contains(&candidate)
        {
            self.seen.insert(candidate.clone());
            if self.objective.is_new(&candidate) {
                self.candidates.push(candidate);
            }
        }
    }

    /// One drawn evenly, where chance found one.
    pub fn any(&self, rng: &mut impl Rng) -> Candidate {
        let even = self.even.min(self.candidates.len());
        let among = if even > 0 { even } else { self.candidates.len() };
        self.candidates[rng.random_range(0..among)].clone()
    }

    /// Whether `candidate` was never measured, nor asked for just now.
    pub fn is_new(&self, candidate: &Candidate) -> bool {
        !self.known.contains(candidate) && self.objective.is_new(candidate)
    }

    /// Adds the unseen neighbours of `candidate` that are allowed, and says from where on they
    /// stand.
    pub fn add_neighbours(
        &mut self,
        candidate: &Candidate,
        reach: usize,
        allowed: impl Fn(&Candidate) -> bool,
    ) -> usize {
        let from = self.candidates.len();
        for neighbour in self.draw.neighbours(candidate, reach).into_iter().filter(allowed) {
            self.add(Some(neighbour));
        }
        from
    }

    /// Puts those of `others` that are unseen in the place of all candidates; says whether there
    /// are any, and leaves the pool as it is where there are none.
    pub fn restrict_to(&mut self, mut others: Vec<Candidate>) -> bool {
        others.sort_unstable();
        others.dedup();
        others.retain(|other| self.is_new(other));
        if others.is_empty() {
            return false;
        }
        self.seen.extend(others.iter().cloned());
        self.even = 0;
        self.candidates = others;
        true
    }
}

impl Draw<'_> {
    /// `candidate` with one knob at another level, where that is legal.
    pub fn stepped(&self, candidate: &Candidate, rng: &mut impl Rng) -> Option<Candidate> {
        let position = rng.random_range(0..self.space().knobs.len());
        let level = rng.random_range(0..self.space().knobs[position].levels.len());
        self.legal(&candidate.with(position, level)).filter(|stepped| stepped != candidate)
    }

    /// The legal candidates that differ from `candidate` in one category.
    pub fn switched(&self, candidate: &Candidate) -> Vec<Candidate> {
        let knobs = self.space().knobs.iter().enumerate();
        let switches = knobs.filter(|(_, knob)| !knob.ordered);
        let others = switches.flat_map(|(position, knob)| {
            (0..knob.levels.len())
                .filter_map(move |level| self.legal(&candidate.with(position, level)))
        });
        others.filter(|other| other != candidate).collect()
    }

    /// `candidate` with each knob changed with probability 1/knobs, at least one; `None` where
    /// chance finds no legal one.
    pub fn mutated(&self, candidate: &Candidate, rng: &mut impl Rng) -> Option<Candidate> {
        (0..20).find_map(|_| {
            let knobs = &self.space().knobs;
            let sure = rng.random_range(0..knobs.len());
            let mut mutant = candidate.clone();
            for (position, knob) in knobs.iter().enumerate() {
                let levels = knob.levels.len();
                if levels > 1 && (position == sure || rng.random_range(0..knobs.len()) == 0) {
                    let other = rng.random_range(0..levels - 1);
                    let level = candidate.level(position);
                    mutant = mutant.with(position, other + usize::from(other >= level));
                }
            }
            self.legal(&mutant).filter(|mutant| mutant != candidate)
        })
    }
}
