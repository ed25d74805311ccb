//! Acquisition: one way of choosing the next candidate.

pub mod pool;
pub mod value;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use self::pool::Pool;
use self::value::AcquisitionFunction;
use super::strategies::model::{CONDITIONED_ON, FittedModel};
use super::surrogate::data::Data;
use super::surrogate::feasibility::Feasibility;
use super::surrogate::forest::Forest;
use super::surrogate::gp::GaussianProcess;
use super::surrogate::kernel::Hyperparameters;
use crate::search::sampler::Sampler;
use crate::space::Candidate;

/// What makes one proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::search) enum Acquisition {
    /// Expected improvement under a Gaussian process.
    ExpectedImprovement,
    /// What a Gaussian process expects to be best, as long as it expects to gain.
    PosteriorMean,
    /// Expected improvement under a random forest.
    ForestImprovement,
    /// Expected improvement under both: the mean of what they say, and their disagreement counts
    /// as doubt.
    Ensemble,
    /// The same with one knob held away from where it is in the best: good values of the others
    /// hide from a search that has settled in another category.
    Perturb,
    /// The best in another category, the one that may cost least with the doubt in its favour: what
    /// models miss is mostly a category that they have seen in bad company only.
    CategoryLcb,
    /// One of the best, changed a little.
    Mutation,
    /// A candidate drawn evenly: no model knows what it has no inkling of.
    Uniform,
}

/// How often a knob of categories is held away from the best's, where there are any.
const CATEGORIES_FIRST: f64 = 0.7;
/// Deviations below its mean that a category may lie.
const HOPE: f64 = 2.0;
/// A gain over the best, in logs, that makes a guess worth a trial.
const NOTICED: f64 = 0.002;
/// Mutants tried for one that is new and may succeed.
const TRIES: usize = 50;

/// What a choice is made with.
pub(in crate::search) struct AcquisitionContext<'c, 'd> {
    pub data: &'c Data,
    pub draw: &'c Sampler<'d>,
    pub feasibility: Option<Feasibility>,
    pub model: &'c FittedModel,
}

impl AcquisitionContext<'_, '_> {
    /// The candidate that an acquisition function wants most; `None` where nothing in its reach is new.
    pub fn by(
        &self,
        acquisition: Acquisition,
        mut pool: Pool<'_, '_, '_>,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Candidate> {
        if let Some(success) = &self.feasibility {
            success.retain_feasible(&mut pool.candidates);
        }
        match acquisition {
            Acquisition::Uniform => pool.any(rng),
            Acquisition::Mutation => self.mutant(&pool, rng),
            Acquisition::CategoryLcb => self.category_lcb(&mut pool, rng),
            Acquisition::ExpectedImprovement => {
                self.modelled(&mut pool, (true, false), rng, |_| true)
            }
            Acquisition::PosteriorMean => self.posterior_mean(&mut pool, rng),
            Acquisition::ForestImprovement => {
                self.modelled(&mut pool, (false, true), rng, |_| true)
            }
            Acquisition::Ensemble => self.modelled(&mut pool, (true, true), rng, |_| true),
            Acquisition::Perturb => self.perturb(pool, rng),
        }
    }

    /// The most promising by a Gaussian process, a forest or both.
    fn modelled(
        &self,
        pool: &mut Pool<'_, '_, '_>,
        (with_process, with_forest): (bool, bool),
        rng: &mut Xoshiro256PlusPlus,
        allowed: impl Fn(&Candidate) -> bool,
    ) -> Option<Candidate> {
        let space = self.draw.space();
        let scales = self.model.scales.varied(rng);
        let process = with_process.then(|| self.process(&scales)).flatten();
        let forest = (with_forest || process.is_none()).then(|| Forest::new(space, self.data, rng));
        let predict = |candidates: &[Candidate]| match (&process, &forest) {
            (Some(process), Some(forest)) => {
                let pairs = process.predict(candidates).into_iter().zip(forest.predict(candidates));
                pairs.map(mixed).collect()
            }
            (Some(process), None) => process.predict(candidates),
            (None, Some(forest)) => forest.predict(candidates),
            (None, None) => vec![(0.0, 1.0); candidates.len()],
        };
        AcquisitionFunction::new(predict, self.data, self.feasibility.as_ref()).most(pool, allowed)
    }

    /// What a Gaussian process expects to be the cheapest; where that is the best again in all but
    /// what changes nothing, the most promising. The forest's choice, where there is no process.
    fn posterior_mean(
        &self,
        pool: &mut Pool<'_, '_, '_>,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Candidate> {
        let Some(process) = self.process(&self.model.scales) else {
            return self.modelled(pool, (false, true), rng, |_| true);
        };
        let predict = |candidates: &[Candidate]| process.predict(candidates);
        let allowed = |candidate: &Candidate| self.is_feasible(candidate);
        let guess = AcquisitionFunction::expected(predict).most(pool, allowed)?;
        let best = self.data.candidates[self.data.best(1)[0]].clone();
        let [guessed, known] = [&guess, &best].map(|one| predict(std::slice::from_ref(one))[0].0);
        if process.log_deviation(known - guessed) > NOTICED {
            return Some(guess);
        }
        AcquisitionFunction::new(predict, self.data, self.feasibility.as_ref()).best_of(pool)
    }

    /// The process of what was observed; `None` where it can't be had.
    fn process(&self, scales: &Hyperparameters) -> Option<GaussianProcess> {
        GaussianProcess::new(self.draw.space(), self.data.clone().subsample(CONDITIONED_ON), scales)
    }

    /// A guess, where no other category is left to be tried.
    fn category_lcb(
        &self,
        pool: &mut Pool<'_, '_, '_>,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Candidate> {
        let best = &self.data.candidates[self.data.best(1)[0]];
        let mut switched = self.draw.switched(best);
        switched.retain(|other| pool.is_new(other) && self.is_feasible(other));
        let scales = self.model.scales.varied(rng);
        let process = self.process(&scales).filter(|_| !switched.is_empty());
        let Some(process) = process else { return self.posterior_mean(pool, rng) };
        let told = process.predict(&switched).into_iter();
        let hopes = told.map(|(mean, deviation)| mean - HOPE * deviation).zip(&switched);
        let least = hopes.min_by(|(a, _), (b, _)| a.total_cmp(b));
        least.map(|(_, other)| other.clone()).or_else(|| pool.any(rng))
    }

    /// Whether the candidate has enough of a chance to succeed.
    fn is_feasible(&self, candidate: &Candidate) -> bool {
        self.feasibility.as_ref().is_none_or(|success| success.is_feasible(candidate))
    }

    /// The most promising with one knob at a level that it does not have in the best.
    fn perturb(
        &self,
        mut pool: Pool<'_, '_, '_>,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Candidate> {
        let space = self.draw.space();
        let best = &self.data.candidates[self.data.best(1)[0]];
        let varies = |&k: &usize| space.knobs[k].levels.len() > 1;
        let all: Vec<usize> = (0..space.knobs.len()).filter(varies).collect();
        let words: Vec<usize> = all.iter().copied().filter(|&k| !space.knobs[k].ordered).collect();
        let by_word = !words.is_empty() && rng.random_bool(CATEGORIES_FIRST);
        let Some(&knob) = (if by_word { &words } else { &all }).choose(rng) else {
            return pool.any(rng);
        };
        let other = rng.random_range(0..space.knobs[knob].levels.len() - 1);
        let level = other + usize::from(other >= best.level(knob));
        let there = |candidate: &Candidate| candidate.level(knob) == level;
        let known = self.data.best(10).into_iter().map(|i| &self.data.candidates[i]);
        let moved = pool.candidates.iter().chain(known);
        let moved = moved.filter_map(|c| self.draw.legal(&c.with(knob, level))).filter(there);
        let mut moved: Vec<Candidate> = moved.collect();
        moved.retain(|candidate| self.is_feasible(candidate));
        let is_unseen = pool.restrict_to(moved);
        let found =
            is_unseen.then(|| self.modelled(&mut pool, (true, false), rng, there)).flatten();
        found.or_else(|| self.mutant(&pool, rng))
    }

    /// An unseen mutant of one of the best candidates, or of the pool. Every other time it is the
    /// best itself in another category or, where none is left, one knob away: what models miss is
    /// mostly a category that they have seen in bad company only.
    fn mutant(&self, pool: &Pool<'_, '_, '_>, rng: &mut Xoshiro256PlusPlus) -> Option<Candidate> {
        let best = self.data.best(5);
        let first = &self.data.candidates[best[0]];
        let allowed = |candidate: &Candidate| pool.is_new(candidate) && self.is_feasible(candidate);
        let step = rng.random_bool(0.5);
        if step {
            let mut switched = self.draw.switched(first);
            switched.retain(allowed);
            if let Some(switched) = switched.choose(rng) {
                return Some(switched.clone());
            }
        }
        for _ in 0..TRIES {
            let rank = rng.random_range(0..best.len()).min(rng.random_range(0..best.len()));
            let parent = &self.data.candidates[best[rank]];
            let mutant =
                if step { self.draw.stepped(first, rng) } else { self.draw.mutated(parent, rng) };
            if let Some(mutant) = mutant.filter(allowed) {
                return Some(mutant);
            }
        }
        pool.any(rng)
    }
}

/// Mean and deviation of an even mixture of two normal distributions.
fn mixed(((a, s), (b, t)): ((f64, f64), (f64, f64))) -> (f64, f64) {
    let variance = (s * s + t * t) / 2.0 + (a - b).powi(2) / 4.0;
    ((a + b) / 2.0, variance.sqrt())
}
