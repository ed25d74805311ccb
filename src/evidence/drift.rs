//! Drift: how the speed of each node changed during a tune, and how nodes differ from the first.
//!
//! One machine that tunes by itself is one node.

use std::collections::BTreeMap;

use crate::evidence::node_drift::NodeDrift;
use crate::evidence::node_effects::NodeEffects;
use crate::stats;
use crate::trial::Trial;

/// What makes times of different moments and nodes comparable.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    nodes: BTreeMap<String, NodeDrift>,
    node_effects: NodeEffects,
}

impl Drift {
    /// What the baseline and its returns say of each node, and what was measured on several says of
    /// how they differ.
    pub fn of(trials: &[Trial]) -> Self {
        let mut own: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
        for trial in trials {
            own.entry(&trial.node).or_default().push(trial);
        }
        let nodes = own.iter().map(|(node, own)| ((*node).to_owned(), NodeDrift::of(own)));
        let mut drift = Self { nodes: nodes.collect(), node_effects: NodeEffects::default() };
        if own.len() > 1 {
            drift.node_effects = NodeEffects::of(trials, |trial| drift.own_factor(trial));
        }
        drift
    }

    fn node(&self, node: &str) -> Option<&NodeDrift> {
        self.nodes.get(node)
    }

    /// How much slower the trial's node was then than at its start.
    fn own_factor(&self, trial: &Trial) -> f64 {
        self.node(&trial.node).map_or(1.0, |node| node.factor(trial))
    }

    /// How the nodes differ.
    pub fn node_effects(&self) -> &NodeEffects {
        &self.node_effects
    }

    /// The spread of one trial around its node's speed at its time, as a share: the baseline's own,
    /// across its processes where there are enough, else across its repetitions. Of several nodes the
    /// one in the middle.
    pub fn deviation(&self) -> f64 {
        let all = self.nodes.values().map(NodeDrift::deviation);
        stats::median(all).unwrap_or_else(|| NodeDrift::default().deviation())
    }

    /// The same where it is known across processes.
    pub fn between_processes(&self) -> Option<f64> {
        stats::median(self.nodes.values().filter_map(NodeDrift::between_processes))
    }

    /// How many times as long as the fastest the most disturbed of the baseline's trials took.
    pub fn worst(&self) -> f64 {
        self.nodes.values().map(NodeDrift::worst).fold(1.0, f64::max)
    }

    /// How much slower the node was during `trial` than the first one at its start: 1.1 for a tenth.
    pub fn factor(&self, trial: &Trial) -> f64 {
        self.own_factor(trial) * self.node_effects.factor(&trial.node)
    }

    /// The score of a trial as if it had run on the first node, and that had stayed as it was at the
    /// start.
    pub fn score(&self, trial: &Trial) -> Option<f64> {
        Some(trial.score()? / self.factor(trial))
    }

    /// Whether the node changed too much around `trial` to say what it was worth.
    pub fn is_invalidated(&self, trial: &Trial) -> bool {
        self.node(&trial.node).is_some_and(|node| node.is_invalidated(trial))
    }

    /// Whether the last return of the baseline on `node` was so far off that a second has to tell a
    /// jump from a disturbance.
    pub fn is_in_doubt(&self, node: &str) -> bool {
        self.node(node).is_some_and(NodeDrift::is_in_doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Phase;

    fn trial(node: &str, phase: Phase, second: i64, score_s: f64) -> Trial {
        let started = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
        let (node, started) = (node.to_owned(), started.to_string());
        Trial { node, started, ..Trial::made(phase, 1, score_s) }
    }

    /// One node that gets slower by a fifth and one that is steady and 10% slower: neither is taken for
    /// the other's drift.
    #[test]
    fn each_node_has_a_own_factor_its_own() {
        let mut trials = Vec::new();
        for i in 0..9 {
            let slow = 1.2_f64.powf(f64::from(i) / 8.0);
            trials.push(trial("a", Phase::Sentinel, 100 * i64::from(i), slow));
            trials.push(trial("b", Phase::Sentinel, 100 * i64::from(i), 1.1));
        }
        let drift = Drift::of(&trials);
        let late = |node| drift.factor(&trial(node, Phase::Search, 799, 1.0));
        assert!((late("a") - 1.2).abs() < 0.01, "{}", late("a"));
        let early = drift.factor(&trial("b", Phase::Search, 1, 1.0));
        assert!((late("b") / early - 1.0).abs() < 0.01, "{} {early}", late("b"));
        assert_eq!(drift.factor(&trial("c", Phase::Search, 400, 1.0)), 1.0, "an unknown node");
    }

    /// A jump of one node invalidates nothing of the other.
    #[test]
    fn a_jump_is_one_nodes_own() {
        let mut trials = Vec::new();
        for (i, score) in [1.0, 1.01, 1.0, 1.4, 1.41, 1.4].into_iter().enumerate() {
            trials.push(trial("a", Phase::Sentinel, 100 * i as i64, score));
            trials.push(trial("b", Phase::Sentinel, 100 * i as i64, 1.0));
        }
        let drift = Drift::of(&trials);
        let between = |node| drift.is_invalidated(&trial(node, Phase::Search, 250, 0.9));
        assert!(between("a") && !between("b"));
    }
}
