//! Relaxation: the way between the real vectors of argmin's continuous solvers and candidates.
//!
//! A knob is one coordinate from 0 to 1. A point stands for the legal candidate nearest to its
//! rounding, and rounding is what such solvers die of: several points become one candidate,
//! differences vanish and the solver believes that it has converged. So a point whose
//! candidate was asked for before becomes the nearest that was not.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::argmin_adapter::{Exhausted, KnownCosts};
use crate::search::cost::log_like;
use crate::space::{Candidate, Space};

/// One coordinate per knob.
pub(super) type Point = Vec<f64>;

/// The objective over points.
pub(super) struct Relaxation<'o, 'a> {
    answers: &'o KnownCosts<'o, 'a>,
    rng: RefCell<Xoshiro256PlusPlus>,
    /// Costs of points that were worked out before a solver asks for them.
    held: RefCell<Vec<(Point, f64)>>,
}

/// Mutants looked at around a point's rounding.
const NEARBY: usize = 60;

impl<'o, 'a> Relaxation<'o, 'a> {
    /// Takes a generator of its own from `rng`.
    pub fn new(answers: &'o KnownCosts<'o, 'a>, rng: &mut Xoshiro256PlusPlus) -> Self {
        let own = RefCell::new(Xoshiro256PlusPlus::from_rng(rng));
        Self { answers, rng: own, held: RefCell::default() }
    }

    /// Works out the cost of `point` now, so that asking for it later can't fail.
    pub fn hold(&self, point: &Point) -> Result<(), Error> {
        let cost = self.cost(point)?;
        self.held.borrow_mut().push((point.clone(), cost));
        Ok(())
    }

    fn space(&self) -> &'a Space {
        self.answers.history.space()
    }

    fn candidate(&self, point: &[f64]) -> Candidate {
        let knobs = self.space().knobs.iter().zip(point);
        Candidate::new(knobs.map(|(knob, x)| {
            let top = knob.levels.len() - 1;
            (x.clamp(0.0, 1.0) * top as f64).round() as usize
        }))
    }

    fn gap(&self, point: &[f64], candidate: &Candidate) -> f64 {
        let own = self.point(candidate);
        own.iter().zip(point).map(|(a, b)| (a - b).powi(2)).sum()
    }

    /// Where a candidate lies.
    pub fn point(&self, candidate: &Candidate) -> Point {
        let knobs = self.space().knobs.iter().zip(candidate.levels());
        knobs.map(|(knob, level)| level as f64 / (knob.levels.len() - 1).max(1) as f64).collect()
    }

    fn nearest_unasked(&self, point: &[f64]) -> Option<Candidate> {
        let rng = &mut *self.rng.borrow_mut();
        let sampler = self.answers.history.sampler();
        let rounded = self.candidate(point);
        let unasked = |found: &Candidate| self.answers.is_unasked(found);
        let mut around: Vec<Candidate> = sampler.legal(&rounded).into_iter().collect();
        if !around.iter().any(unasked) {
            around.extend(sampler.neighbours(&rounded, 1));
            around.extend((0..NEARBY).filter_map(|_| sampler.mutated(&rounded, rng)));
        }
        around.retain(unasked);
        let gap = |candidate: &Candidate| self.gap(point, candidate);
        let nearest = around.into_iter().min_by(|a, b| gap(a).total_cmp(&gap(b)));
        nearest.or_else(|| sampler.wanted(rng, unasked))
    }

    /// A random point.
    pub fn any(&self, rng: &mut impl Rng) -> Point {
        self.space().knobs.iter().map(|_| rng.random()).collect()
    }
}

impl CostFunction for Relaxation<'_, '_> {
    type Param = Point;
    type Output = f64;

    fn cost(&self, point: &Point) -> Result<f64, Error> {
        if let Some((_, cost)) = self.held.borrow().iter().find(|(held, _)| held == point) {
            return Ok(*cost);
        }
        let candidate = self.nearest_unasked(point).ok_or(Exhausted)?;
        self.answers.cost(&candidate).map(log_like)
    }
}
