//! Acquisition value: how much better than the best a candidate may be.

use super::pool::Pool;
use crate::search::surrogate::data::Data;
use crate::search::surrogate::feasibility::Feasibility;
use crate::space::Candidate;

/// Expected improvement times the chance of success, in logarithms; or how low the expected cost is.
pub(in crate::search) struct AcquisitionFunction<'m, P> {
    predict: P,
    success: Option<&'m Feasibility>,
    /// The lowest of what the model says of the best that were measured; `None` where the least
    /// that is expected is wanted, whatever the doubt.
    lowest: Option<f64>,
}

/// The best of a pool from which steps to more promising neighbours start, and how many at most.
const STARTS: usize = 6;
const STEPS: usize = 20;
/// Levels of an ordered knob that a step may go.
const REACH: usize = 2;

impl<'m, P: Fn(&[Candidate]) -> Vec<(f64, f64)>> AcquisitionFunction<'m, P> {
    /// With what `predict` says of candidates: mean and deviation.
    pub fn new(predict: P, data: &Data, success: Option<&'m Feasibility>) -> Self {
        let best = data.best(10).into_iter().map(|i| data.candidates[i].clone());
        let means = predict(&best.collect::<Vec<_>>()).into_iter().map(|(mean, _)| mean);
        let lowest = means.fold(f64::INFINITY, f64::min);
        Self { predict, success, lowest: Some(lowest) }
    }

    /// Where only what is expected counts.
    pub fn expected(predict: P) -> Self {
        Self { predict, success: None, lowest: None }
    }

    fn of(&self, candidates: &[Candidate]) -> Vec<f64> {
        let gain = |(mean, deviation): (f64, f64)| {
            self.lowest.map_or(-mean, |lowest| expected_improvement(lowest, mean, deviation))
        };
        let mut values: Vec<f64> = (self.predict)(candidates).into_iter().map(gain).collect();
        if let Some(success) = self.success {
            let chances = success.log_chances(candidates);
            values.iter_mut().zip(chances).for_each(|(value, chance)| *value += chance);
        }
        values
    }

    /// The most promising of the pool that is new, if anything is.
    pub fn best_of(&self, pool: &Pool<'_, '_, '_>) -> Option<Candidate> {
        let best = highest(pool, &self.of(&pool.candidates), 0);
        best.map(|best| pool.candidates[best].clone())
    }

    /// The most promising of the pool that is new and of what can be reached from its best by steps
    /// that are worth more, if anything is; only what is `allowed` is looked at.
    pub fn most(
        &self,
        pool: &mut Pool<'_, '_, '_>,
        allowed: impl Fn(&Candidate) -> bool,
    ) -> Option<Candidate> {
        let mut values = self.of(&pool.candidates);
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let starts = order.into_iter().filter(|&place| pool.has_new(place)).take(STARTS);
        for start in starts.collect::<Vec<_>>() {
            let mut at = start;
            for _ in 0..STEPS {
                let centre = pool.candidates[at].clone();
                let from = pool.add_neighbours(&centre, REACH, &allowed);
                values.extend(self.of(&pool.candidates[from..]));
                let best = highest(pool, &values, from);
                match best.filter(|&best| values[best] > values[at]) {
                    Some(best) => at = best,
                    None => break,
                }
            }
        }
        highest(pool, &values, 0).map(|best| pool.candidates[best].clone())
    }
}

/// The place of the highest value, from one place on, and is new.
fn highest(pool: &Pool<'_, '_, '_>, values: &[f64], from: usize) -> Option<usize> {
    let mut order: Vec<usize> = (from..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order.into_iter().rev().find(|&place| pool.has_new(place))
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
