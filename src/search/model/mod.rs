//! Model-based strategies: a surrogate of the cost, and the candidate that promises most.

mod cholesky;
mod data;
mod forest;
mod gp;
mod pool;
mod repeat;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

pub(crate) use self::cholesky::Factor;
pub(super) use self::data::Data;
pub(super) use self::forest::Forest;
use self::gp::{Process, Scales, fit};
use self::pool::Pool;
pub(super) use self::repeat::choose;
use super::draw::Draw;
use super::objective::Objective;
use super::propose::{Proposal, Propose};
use crate::space::Candidate;

/// What makes one proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// Expected improvement under a Gaussian process.
    Process,
    /// Expected improvement under a random forest.
    Forest,
    /// One of the best, changed a little.
    Mutation,
    /// A candidate drawn evenly: no model knows what it has no inkling of.
    Any,
}

/// Proposes by voices in turn.
pub(super) struct Modelled {
    voices: &'static [Voice],
    /// Scales of the Gaussian process by how many observations they were fitted to.
    fits: Vec<(usize, Scales)>,
}

/// Candidates drawn evenly before the first model. Drawing them far apart was worse: they end up
/// in the corners, where knobs at their extremes hide what the others do.
const DESIGN: usize = 20;
/// Every so many proposals one may be spent on measuring a candidate again.
const REPEAT: usize = 6;
/// Before that, what is best is too far from the end to be in doubt.
const REPEAT_FROM: usize = 30;
/// Points that scales are fitted to: likelihoods of more cost more than they tell.
const FITTED_TO: usize = 110;

impl Modelled {
    pub fn new(voices: &'static [Voice]) -> Self {
        Self { voices, fits: Vec::new() }
    }
}

impl Propose for Modelled {
    const NAME: &'static str = "model";

    fn propose(&mut self, objective: &Objective<'_>, draw: &Draw<'_>, count: usize) -> Proposal {
        let rng = &mut objective.rng();
        let space = objective.space();
        let observed = objective.observations().len();
        let data = Data::new(&objective.observations());
        if data.len() + data.failed.len() < DESIGN || data.len() < 3 {
            let any = draw.wanted(rng, |found| objective.is_new(found));
            return Proposal::New(any.into_iter().collect());
        }
        if observed > REPEAT_FROM && observed.is_multiple_of(REPEAT) {
            let scales = self.scales(objective, observed);
            if let Some(doubtful) = repeat::doubtful(space, &data, &scales) {
                return Proposal::Again(doubtful);
            }
        }
        let pool = Pool::new(objective, draw, &data, rng);
        if pool.candidates.is_empty() {
            return Proposal::New(Vec::new());
        }
        let voice = self.voices[observed.saturating_sub(DESIGN) % self.voices.len()];
        let success = (!data.failed.is_empty()).then(|| Forest::new(space, &data.successes(), rng));
        let chosen = match voice {
            Voice::Any => vec![pool.any(rng)],
            Voice::Mutation => vec![mutant(&pool, draw, &data, rng)],
            Voice::Forest => {
                let forest = Forest::new(space, &data, rng);
                most_promising(pool, &data, success.as_ref(), count, |candidates| {
                    forest.predict(candidates)
                })
            }
            Voice::Process => {
                let scales = self.scales(objective, observed).varied(rng);
                match Process::new(space, &data, &scales) {
                    Some(process) => {
                        most_promising(pool, &data, success.as_ref(), count, |candidates| {
                            process.predict(candidates)
                        })
                    }
                    None => vec![mutant(&pool, draw, &data, rng)],
                }
            }
        };
        Proposal::New(chosen)
    }
}

impl Modelled {
    /// Scales fitted to the first so many observations: a chain of fits, each from the last, so
    /// that they depend on the observations alone.
    fn scales(&mut self, objective: &Objective<'_>, observed: usize) -> Scales {
        let space = objective.space();
        loop {
            let last = self.fits.last();
            let next = last.map_or(DESIGN, |(at, _)| at + (at / 8).max(4));
            if next > observed {
                return last.map_or_else(|| Scales::usual(space), |(_, scales)| scales.clone());
            }
            let data = Data::new(&objective.observations()[..next]).thinned(FITTED_TO);
            let start = last.map_or_else(|| Scales::usual(space), |(_, scales)| scales.clone());
            let steps = if last.is_none() { 30 } else { 8 };
            self.fits.push((next, fit(space, &data, &start, steps)));
        }
    }
}

/// An unseen mutant of one of the best candidates, or of the pool. Every other time it is the
/// best itself in another category or, where none is left, one knob away: what models miss is
/// mostly a category that they have seen in bad company only.
fn mutant(
    pool: &Pool<'_, '_, '_>,
    draw: &Draw<'_>,
    data: &Data,
    rng: &mut Xoshiro256PlusPlus,
) -> Candidate {
    let best = data.best(5);
    let first = &data.candidates[best[0]];
    let step = rng.random_bool(0.5);
    if step {
        let mut switched = draw.switched(first);
        switched.retain(|candidate| pool.is_new(candidate));
        if let Some(switched) = switched.choose(rng) {
            return switched.clone();
        }
    }
    for _ in 0..50 {
        let rank = rng.random_range(0..best.len()).min(rng.random_range(0..best.len()));
        let parent = &data.candidates[best[rank]];
        let mutant = if step { draw.stepped(first, rng) } else { draw.mutated(parent, rng) };
        if let Some(mutant) = mutant.filter(|mutant| pool.is_new(mutant)) {
            return mutant;
        }
    }
    pool.any(rng)
}

/// The least chance of success that a candidate is given: the forest may be wrong.
const LEAST_CHANCE: f64 = 0.1;
/// Steps from a promising candidate to a neighbour that promises more.
const CLIMBS: usize = 6;

/// The candidates of the pool, and around it, with the highest expected improvement.
fn most_promising(
    mut pool: Pool<'_, '_, '_>,
    data: &Data,
    success: Option<&Forest>,
    count: usize,
    predict: impl Fn(&[Candidate]) -> Vec<(f64, f64)>,
) -> Vec<Candidate> {
    let seen =
        predict(&data.best(10).iter().map(|&i| data.candidates[i].clone()).collect::<Vec<_>>());
    let lowest = seen.iter().map(|(mean, _)| *mean).fold(f64::INFINITY, f64::min);
    let promise = |candidates: &[Candidate]| -> Vec<f64> {
        let gain = |(mean, sd)| expected_improvement(lowest, mean, sd);
        let mut promises: Vec<f64> = predict(candidates).into_iter().map(gain).collect();
        if let Some(forest) = success {
            let chances = forest.predict(candidates);
            let chance = |(chance, _): (f64, f64)| chance.max(LEAST_CHANCE).ln();
            promises.iter_mut().zip(chances).for_each(|(promise, c)| *promise += chance(c));
        }
        promises
    };
    let mut promises = promise(&pool.candidates);
    let mut climbed = 0;
    for _ in 0..CLIMBS {
        let top = best_of(&promises);
        if climbed > 0 && top < climbed {
            break;
        }
        let centre = pool.candidates[top].clone();
        climbed = pool.add_neighbours(&centre, 2);
        promises.extend(promise(&pool.candidates[climbed..]));
    }
    let mut order: Vec<usize> = (0..promises.len()).collect();
    order.sort_by(|&a, &b| promises[b].total_cmp(&promises[a]));
    order.truncate(count);
    order.into_iter().map(|i| pool.candidates[i].clone()).collect()
}

fn best_of(promises: &[f64]) -> usize {
    (0..promises.len()).max_by(|&a, &b| promises[a].total_cmp(&promises[b])).unwrap_or(0)
}

/// ln E[max(lowest - y, 0)] for a normal y: in logarithms, since far from the best it underflows
/// (Ament et al., *Unexpected improvements to expected improvement*, 2023).
fn expected_improvement(lowest: f64, mean: f64, deviation: f64) -> f64 {
    let z = (lowest - mean) / deviation;
    let ln_density = -0.5 * z * z - 0.918_938_533_204_672_7;
    let ln_h = if z > -4.0 {
        (z * normal_cdf(z) + ln_density.exp()).max(f64::MIN_POSITIVE).ln()
    } else {
        // Mills' ratio: z Φ(z) + φ(z) → φ(z) / z² (1 - 3 / z²).
        ln_density - 2.0 * (-z).ln() + (-3.0 / (z * z)).ln_1p()
    };
    ln_h + deviation.ln()
}

/// Φ (Abramowitz and Stegun 7.1.26, off by 1.5e-7 at most).
fn normal_cdf(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * polynomial * (-x * x).exp();
    if z >= 0.0 { 1.0 - tail } else { tail }
}
