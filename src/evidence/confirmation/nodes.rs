//! Nodes: what pairs on several equal machines say of the next one.
//!
//! A candidate may gain more on one node than on another, so that many pairs on few nodes make a pooled
//! interval too narrow for the class. The node is the unit. And what a node measured in the search it
//! helped to choose: of many candidates the one that happens to suit these nodes looks best, and is so
//! again in its confirmation there. Only nodes that did not measure it before are unbiased.

use super::Confirmation;
use crate::stats;
use crate::stats::Interval;

/// The deviation, in logs, that a candidate's cost is taken to have from node to node where too few
/// nodes tell it.
const INTERACTION: f64 = 0.02;

/// How many of these the best of some dozens of candidates may owe to its nodes.
const CHOSEN: f64 = 3.0;

impl Confirmation {
    /// The gain on each of several nodes by itself, in their order.
    pub fn gains(&self) -> Vec<Option<Interval>> {
        let own = |node| Some(self.of_job(self.ratio_on(node)?));
        (0..self.nodes.len()).map(own).collect()
    }

    /// How many of the nodes did not measure the finalist before.
    pub fn unbiased(&self) -> usize {
        self.nodes.len() - self.is_chosen_by.iter().filter(|chosen| **chosen).count()
    }

    fn ratio_on(&self, node: usize) -> Option<Interval> {
        self.ratio_of(|pair| pair.node == node)
    }

    /// Whether the mean of what is known on each node is known to `half_width`, whatever it is: Student's
    /// interval is looked at once, so that what it says must not end the pairs.
    pub(super) fn is_known_on_each(&self, half_width: f64) -> bool {
        let of_one = 2.0 * half_width * (self.nodes.len() as f64).sqrt();
        let is_known = |gain: Interval| gain.high - gain.low <= of_one;
        (0..self.nodes.len()).all(|node| self.ratio_on(node).is_some_and(is_known))
    }

    /// The log ratio that may be claimed of all nodes of the class. By nodes that did not measure the
    /// finalist before: of three or more Student's interval of their means, of two what both prove by
    /// themselves. With fewer all nodes have to prove it, and by more than a class may differ.
    pub(super) fn claimable(&self) -> Option<Interval> {
        let pooled = self.ratio()?;
        if self.nodes.len() < 2 {
            return Some(pooled);
        }
        let those = |wanted: &dyn Fn(usize) -> bool| -> Vec<Interval> {
            let nodes = (0..self.nodes.len()).filter(|node| wanted(*node));
            nodes.filter_map(|node| self.ratio_on(node)).collect()
        };
        let fresh = those(&|node| !self.is_chosen_by.get(node).is_some_and(|chosen| *chosen));
        let means: Vec<f64> = fresh.iter().map(|one| one.mean).collect();
        match fresh.len() {
            0 | 1 => {
                let all = those(&|_| true);
                let wider = CHOSEN * INTERACTION / (all.len() as f64).sqrt();
                let hull = hull(&all, pooled.mean);
                let (low, high) = (pooled.low - wider, pooled.high + wider);
                Some(Interval { low: hull.low.min(low), high: hull.high.max(high), ..hull })
            }
            2 => Some(hull(&fresh, stats::mean(means).unwrap_or(pooled.mean))),
            _ => stats::student(&means, self.alpha),
        }
    }
}

/// What all of them leave possible.
fn hull(all: &[Interval], mean: f64) -> Interval {
    let low = all.iter().map(|one| one.low).fold(f64::INFINITY, f64::min);
    let high = all.iter().map(|one| one.high).fold(f64::NEG_INFINITY, f64::max);
    Interval { low, mean, high }
}

#[cfg(test)]
mod tests {
    use crate::evidence::confirmation::{Confirmation, Verdict};
    use crate::trial::{Phase, Trial};

    const STEADY: [f64; 8] = [1.0, 1.003, 0.998, 1.001, 1.002, 0.999, 1.0, 1.001];

    /// Eight pairs on each node, in balanced orders, of a finalist that saves these shares there; the
    /// nodes take turns, and each is slower than the one before by a tenth.
    fn pairs(saved: &[f64]) -> Vec<Trial> {
        let mut trials = Vec::new();
        for (round, steady) in STEADY.iter().enumerate() {
            for (node, saved) in saved.iter().enumerate() {
                let level = 1.1_f64.powi(node as i32) * steady;
                let mut turns = [(9, level), (1, level * (1.0 - saved))];
                if round % 2 == 1 {
                    turns.reverse();
                }
                for (threads, seconds) in turns {
                    trials.push(Trial {
                        node: format!("n{node}"),
                        pair: Some((round * 10 + node) as u64),
                        ..Trial::made(Phase::Confirmation, threads, seconds)
                    });
                }
            }
        }
        trials
    }

    fn confirmation(saved: &[f64]) -> Confirmation {
        Confirmation::of(&pairs(saved), &Trial::threads(9)).unwrap()
    }

    fn is_gain(saved: &[f64]) -> bool {
        matches!(confirmation(saved).verdict(), Verdict::Gain(_))
    }

    #[test]
    fn pairs_stay_within_a_node() {
        let confirmation = confirmation(&[0.2, 0.1]);
        assert_eq!(
            (confirmation.pairs.len(), &confirmation.nodes[..]),
            (16, &["n0", "n1"].map(String::from)[..])
        );
        assert!(confirmation.pairs.iter().all(|pair| pair.later.abs() == 1.0));
        let gains: Vec<f64> = confirmation.gains().into_iter().map(|g| g.unwrap().mean).collect();
        assert!((gains[0] - 0.2).abs() < 1e-3 && (gains[1] - 0.1).abs() < 1e-3, "{gains:?}");
    }

    #[test]
    fn of_two_nodes_both_have_to_prove_it() {
        assert!(is_gain(&[0.2, 0.1]));
        assert!(!is_gain(&[0.2, 0.0]), "what one node gains is no gain of the class");
        assert!(is_gain(&[0.2]));
    }

    /// The same pairs after both nodes measured the finalist in the search: a gain of 3% may be what made
    /// it the best there, one of 10% may not.
    #[test]
    fn where_it_was_chosen_a_small_gain_says_nothing_of_the_class() {
        let chosen = |saved: &[f64], by: &[usize]| {
            let searched = by.iter().map(|node| Trial {
                node: format!("n{node}"),
                phase: Phase::Search,
                knobs: Trial::threads(1),
                ..Trial::default()
            });
            let trials: Vec<Trial> = searched.chain(pairs(saved)).collect();
            let confirmation = Confirmation::of(&trials, &Trial::threads(9)).unwrap();
            matches!(confirmation.verdict(), Verdict::Gain(_))
        };
        assert!(is_gain(&[0.03, 0.03]));
        assert!(!chosen(&[0.03, 0.03], &[0, 1]) && !chosen(&[0.03, 0.03], &[0]));
        assert!(chosen(&[0.1, 0.1], &[0, 1]));
        // Two others that show it decide, whatever those say that chose it.
        assert!(chosen(&[0.1, 0.03, 0.03], &[0]));
        assert!(!chosen(&[0.1, 0.1, 0.0, 0.03], &[0, 1]));
    }

    /// By hand: log ratios 0.1, 0.2 and 0.3 have mean 0.2 and standard error 0.1 / sqrt 3; Student's
    /// quantile for two degrees of freedom is 4.3027, so that half the interval is 0.2484.
    #[test]
    fn of_three_nodes_the_node_is_the_unit() {
        let saved = [0.1_f64, 0.2, 0.3].map(|log| 1.0 - (-log).exp());
        let confirmation = confirmation(&saved);
        let gain = confirmation.gain().unwrap();
        let log = |share: f64| -(1.0 - share).ln();
        assert!((log(gain.mean) - 0.2).abs() < 1e-3, "{gain:?}");
        assert!((log(gain.low) - (0.2 - 0.2484)).abs() < 1e-3, "{gain:?}");
        assert!(matches!(confirmation.verdict(), Verdict::NoGain(_)));
        assert!(confirmation.is_decided(), "more pairs would not make more nodes");
        assert!(is_gain(&[0.19, 0.2, 0.21]));
    }
}
