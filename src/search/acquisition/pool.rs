//! Pool: the unseen candidates among which an acquisition chooses.
//!
//! Whether one is something known under another name takes a machine to tell, and far longer than a
//! prediction: that is asked of what is about to be chosen, not of a thousand others.

use std::collections::HashSet;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::search::history::History;
use crate::search::sampler::Sampler;
use crate::search::surrogate::data::Data;
use crate::space::Candidate;

/// Candidates drawn from the whole space.
const ANYWHERE: usize = 500;
/// The best candidates that mutations start from, and how many from each.
const PARENTS: usize = 10;
const MUTATIONS: usize = 20;
/// Mixtures of two of them.
const CROSSED: usize = 100;
/// The best candidates whose neighbours are all looked at.
const CENTRES: usize = 5;
/// The best candidates that are looked at with two knobs elsewhere, and how many of those.
const LEADERS: usize = 2;
const PAIRS: usize = 100;

/// Different unseen, legal candidates; [`Pool::is_new`] says whether one may be proposed.
pub(in crate::search) struct Pool<'p, 'o, 'd> {
    history: &'p History<'o>,
    draw: &'p Sampler<'d>,
    /// What was measured or asked for.
    known: HashSet<Candidate>,
    /// What is in the pool or known.
    seen: HashSet<Candidate>,
    /// What is chosen from.
    pub candidates: Vec<Candidate>,
    /// How many of them, from the first, were drawn evenly.
    even: usize,
}

impl<'p, 'o, 'd> Pool<'p, 'o, 'd> {
    /// A pool for the next proposal.
    pub fn new(
        history: &'p History<'o>,
        draw: &'p Sampler<'d>,
        data: &Data,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let measured = data.candidates.iter().chain(&data.failed);
        let known: HashSet<Candidate> = measured.chain(history.pending()).cloned().collect();
        let seen = known.clone();
        let mut pool = Self { history, draw, known, seen, candidates: Vec::new(), even: 0 };
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
        let any_of = |among: &[usize], rng: &mut Xoshiro256PlusPlus| {
            among.choose(rng).map(|&place| &data.candidates[place])
        };
        for _ in 0..CROSSED {
            let parents = any_of(&best, rng).zip(any_of(&best, rng));
            pool.add(parents.and_then(|(one, other)| draw.crossed(one, other, rng)));
        }
        let leaders = &best[..best.len().min(LEADERS)];
        for _ in 0..PAIRS {
            let leader = any_of(leaders, rng);
            pool.add(leader.and_then(|leader| draw.moved_twice(leader, rng)));
        }
        for &centre in best.iter().take(CENTRES) {
            pool.add_neighbours(&data.candidates[centre], usize::MAX, |_| true);
        }
        pool
    }

    fn add(&mut self, candidate: Option<Candidate>) {
        if let Some(candidate) = candidate
            && !self.seen.contains(&candidate)
        {
            self.seen.insert(candidate.clone());
            self.candidates.push(candidate);
        }
    }

    /// One drawn evenly, where chance found one; `None` where what it finds is not new.
    pub fn any(&self, rng: &mut impl Rng) -> Option<Candidate> {
        let even = self.even.min(self.candidates.len());
        let among = if even > 0 { even } else { self.candidates.len() };
        let mut drawn = (0..among).map(|_| &self.candidates[rng.random_range(0..among)]);
        drawn.find(|candidate| self.is_new(candidate)).cloned()
    }

    /// Whether the candidate at `place` is new.
    pub fn has_new(&self, place: usize) -> bool {
        self.is_new(&self.candidates[place])
    }

    /// Whether `candidate` was never measured, nor asked for just now.
    pub fn is_new(&self, candidate: &Candidate) -> bool {
        !self.known.contains(candidate) && self.history.is_new(candidate)
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
        others.retain(|other| !self.known.contains(other));
        if others.is_empty() {
            return false;
        }
        self.seen.extend(others.iter().cloned());
        self.even = 0;
        self.candidates = others;
        true
    }
}

impl Sampler<'_> {
    /// `candidate` with one knob at another level, where that is legal.
    pub fn stepped(&self, candidate: &Candidate, rng: &mut impl Rng) -> Option<Candidate> {
        let position = rng.random_range(0..self.space().knobs.len());
        let level = rng.random_range(0..self.space().knobs[position].levels.len());
        self.legal(&candidate.with(position, level)).filter(|stepped| stepped != candidate)
    }

    /// Each knob from one or the other, where that is legal.
    fn crossed(&self, one: &Candidate, other: &Candidate, rng: &mut impl Rng) -> Option<Candidate> {
        let parents = one.levels().zip(other.levels());
        let levels = parents.map(|(one, other)| if rng.random_bool(0.5) { one } else { other });
        self.legal(&Candidate::new(levels))
    }

    /// `candidate` with two knobs at levels by chance, where that is legal: what only pays
    /// together is out of the reach of single steps.
    fn moved_twice(&self, candidate: &Candidate, rng: &mut impl Rng) -> Option<Candidate> {
        let knobs = &self.space().knobs;
        let moved = (0..2).fold(candidate.clone(), |moved, _| {
            let position = rng.random_range(0..knobs.len());
            moved.with(position, rng.random_range(0..knobs[position].levels.len()))
        });
        self.legal(&moved)
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
