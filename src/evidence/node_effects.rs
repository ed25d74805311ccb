//! Node effects: how much slower each node is than the first, and whether that depends on the candidate.
//!
//! ln cost = candidate + node + noise, by what was measured on two nodes or more: the baseline, and every
//! candidate that a second node measured too. A node's part is a random effect: what few trials say of
//! it is shrunk, by how far nodes differ and trials scatter.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use crate::knobs::Values;
use crate::stats;
use crate::trial::Trial;

/// What is assumed of the scatter of trials and of nodes, in logs, before anything is known.
const USUAL_NOISE: f64 = 0.03;
const USUAL_SPREAD: f64 = 0.05;

/// Residuals beyond the things estimated, from which the scatter is known.
const LEAST_SPARE: usize = 3;

/// Steps until the estimates stay where they are.
const STEPS: usize = 40;

/// The chance at which nodes and candidates that do not interact seem to.
const ALPHA: f64 = 0.025;

/// Repetitions on the same node from which the noise is known well enough to compare with.
const LEAST_REPEATED: usize = 4;

/// How nodes differ.
#[derive(Clone, Debug, Default)]
pub struct NodeEffects {
    /// By node, how much slower than the first one, in logs.
    logs: BTreeMap<String, f64>,
    /// What is left between nodes.
    interaction: Option<NodeInteraction>,
}

/// Whether how nodes differ depends on the candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeInteraction {
    /// The deviation that a candidate has on a node besides its own and the node's level, in logs.
    pub deviation: f64,
    /// Whether repetitions on the same nodes scatter too little to explain it.
    pub is_real: bool,
}

/// The mean of a candidate's trials on a node.
#[derive(Clone, Copy, Debug)]
struct Cell {
    candidate: usize,
    node: usize,
    mean: f64,
    count: f64,
}

impl NodeEffects {
    /// What `trials` say, each taken as at its node's start by `drift`.
    pub fn of(trials: &[Trial], drift: impl Fn(&Trial) -> f64) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut logs: BTreeMap<(&str, &Values), BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
        for trial in trials.iter().filter(|trial| trial.phase.is_comparable()) {
            let Some(score_s) = trial.score().filter(|score_s| *score_s > 0.0) else { continue };
            let node = names.iter().position(|name| *name == trial.node).unwrap_or(names.len());
            if node == names.len() {
                names.push(&trial.node);
            }
            // Samples of another size may be on another level.
            let of_candidate = logs.entry((&trial.workload, &trial.knobs)).or_default();
            of_candidate.entry(node).or_default().push((score_s / drift(trial)).ln());
        }
        logs.retain(|_, by_node| by_node.len() > 1);
        let groups = || logs.values().flat_map(BTreeMap::values).map(Vec::as_slice);
        let within = stats::pooled_variance(groups());
        let of_candidate = |(candidate, by_node): (usize, &BTreeMap<usize, Vec<f64>>)| {
            let cell = |(&node, logs): (&usize, &Vec<f64>)| {
                let (mean, count) = (stats::mean(logs).unwrap_or(0.0), logs.len() as f64);
                Cell { candidate, node, mean, count }
            };
            by_node.iter().map(cell).collect::<Vec<_>>()
        };
        let cells: Vec<Cell> = logs.values().enumerate().flat_map(of_candidate).collect();
        let levels = levels(&cells, names.len(), within);
        let first = levels.first().copied().unwrap_or(0.0);
        let named =
            names.iter().zip(&levels).map(|(name, level)| ((*name).to_owned(), level - first));
        Self { interaction: interaction(&cells, &levels, within), logs: named.collect() }
    }

    /// How many times as long as the first one a node takes; 1 of one that is not known.
    pub fn factor(&self, node: &str) -> f64 {
        self.logs.get(node).map_or(1.0, |log| log.exp())
    }

    /// What is left between nodes once their speeds are taken out; `None` where nothing tells it.
    pub fn interaction(&self) -> Option<NodeInteraction> {
        self.interaction
    }
}

/// Each candidate's level, given the nodes'.
fn of_candidates(cells: &[Cell], nodes: &[f64]) -> Vec<f64> {
    let count = cells.iter().map(|cell| cell.candidate + 1).max().unwrap_or(0);
    let (mut sums, mut weights) = (vec![0.0; count], vec![0.0; count]);
    for cell in cells {
        sums[cell.candidate] += cell.count * (cell.mean - nodes[cell.node]);
        weights[cell.candidate] += cell.count;
    }
    sums.iter().zip(weights).map(|(sum, weight): (&f64, f64)| sum / weight.max(1.0)).collect()
}

/// The nodes' levels by expectation and maximisation: those of a random effect whose variance they tell
/// themselves.
fn levels(cells: &[Cell], nodes: usize, within: Option<(f64, usize)>) -> Vec<f64> {
    let mut levels = vec![0.0; nodes];
    let mut noise = within.filter(|(_, freedom)| *freedom >= LEAST_SPARE);
    let spare = cells.len().checked_sub(of_candidates(cells, &levels).len() + nodes.max(1) - 1);
    let mut spread = USUAL_SPREAD.powi(2);
    for _ in 0..STEPS {
        let variance = noise.map_or(USUAL_NOISE.powi(2), |(variance, _)| variance.max(1e-8));
        let candidates = of_candidates(cells, &levels);
        let (mut sums, mut weights) = (vec![0.0; nodes], vec![0.0; nodes]);
        for cell in cells {
            sums[cell.node] += cell.count * (cell.mean - candidates[cell.candidate]);
            weights[cell.node] += cell.count;
        }
        let shrunk = |weight: f64| weight + variance / spread;
        levels = sums.iter().zip(&weights).map(|(sum, weight)| sum / shrunk(*weight)).collect();
        let squares = levels.iter().zip(&weights).map(|(o, w)| o * o + variance / shrunk(*w));
        spread = (squares.sum::<f64>() / nodes.max(1) as f64).max(1e-8);
        if within.is_none()
            && let Some(spare) = spare.filter(|spare| *spare >= LEAST_SPARE)
        {
            noise = Some((left(cells, &levels) / spare as f64, spare));
        }
    }
    levels
}

/// The squared residuals of cells, by their trials.
fn left(cells: &[Cell], levels: &[f64]) -> f64 {
    let candidates = of_candidates(cells, levels);
    let off = |cell: &Cell| cell.mean - candidates[cell.candidate] - levels[cell.node];
    cells.iter().map(|cell| cell.count * off(cell).powi(2)).sum()
}

/// The residuals between nodes against those within: an analysis of variance.
fn interaction(
    cells: &[Cell],
    levels: &[f64],
    within: Option<(f64, usize)>,
) -> Option<NodeInteraction> {
    let (noise, freedom) = within.filter(|(_, freedom)| *freedom >= LEAST_REPEATED)?;
    let candidates = of_candidates(cells, levels).len();
    let spare =
        cells.len().checked_sub(candidates + levels.len() - 1).filter(|spare| *spare > 0)?;
    let between = left(cells, levels) / spare as f64;
    let count = cells.iter().map(|cell| cell.count).sum::<f64>() / cells.len() as f64;
    let deviation = ((between - noise).max(0.0) / count).sqrt();
    let distribution = FisherSnedecor::new(spare as f64, freedom as f64).ok()?;
    let is_real = distribution.sf(between / noise.max(f64::MIN_POSITIVE)) < ALPHA;
    Some(NodeInteraction { deviation, is_real })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::trial::Phase;

    fn trial(node: usize, threads: i64, log_s: f64) -> Trial {
        let node = format!("n{node}");
        Trial { node, ..Trial::made(Phase::Search, threads, log_s.exp()) }
    }

    /// Twelve even draws add up to a variance of 1.
    fn normal(rng: &mut impl Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    fn speeds(trials: &[Trial]) -> NodeEffects {
        NodeEffects::of(trials, |_| 1.0)
    }

    /// What was measured on one node only says nothing of how nodes differ.
    #[test]
    fn only_what_several_nodes_measured_counts() {
        let trials = [trial(1, 1, 0.0), trial(2, 2, 5.0), trial(2, 3, -5.0)];
        let speeds = speeds(&trials);
        assert_eq!([speeds.factor("n1"), speeds.factor("n2"), speeds.factor("n9")], [1.0; 3]);
    }

    #[test]
    fn many_trials_tell_a_nodes_speed_and_few_are_shrunk() {
        let apart = |candidates: i64| {
            let trials: Vec<Trial> = (0..candidates)
                .flat_map(|i| {
                    let wobble = if i % 2 == 0 { 0.02 } else { -0.02 };
                    [trial(1, i, i as f64 + wobble), trial(2, i, 0.1 + i as f64)]
                })
                .collect();
            speeds(&trials).factor("n2").ln()
        };
        assert!((apart(40) - 0.1).abs() < 0.01, "{}", apart(40));
        // The difference of a single pair has an error of its own.
        assert!((0.02..0.1).contains(&apart(1)), "{}", apart(1));
    }

    /// Six nodes, the baseline on each once, under noise of 3%: nearer to the truth than taking nodes for
    /// equal, and than believing each single trial.
    #[test]
    fn shrunk_speeds_are_nearer_to_the_truth() {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut equal, mut believed, mut shrunk) = (0.0, 0.0, 0.0);
        for _ in 0..200 {
            let truth: Vec<f64> = (0..6).map(|_| 0.03 * normal(rng)).collect();
            let seen: Vec<f64> = truth.iter().map(|log| log + 0.03 * normal(rng)).collect();
            let trials: Vec<Trial> = (0..6).map(|node| trial(node, 1, seen[node])).collect();
            let speeds = speeds(&trials);
            let apart = |logs: &[f64]| {
                let mean = stats::mean(logs).unwrap();
                logs.iter().map(|log| log - mean).collect::<Vec<f64>>()
            };
            let found: Vec<f64> = (0..6).map(|n| speeds.factor(&format!("n{n}")).ln()).collect();
            for (place, right) in apart(&truth).into_iter().enumerate() {
                equal += right.powi(2);
                believed += (apart(&seen)[place] - right).powi(2);
                shrunk += (apart(&found)[place] - right).powi(2);
            }
        }
        assert!(shrunk < 0.9 * equal && shrunk < 0.9 * believed, "{shrunk} {equal} {believed}");
    }

    /// Three nodes and eight candidates, each measured twice on each.
    #[test]
    fn an_interaction_is_told_from_noise() {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(2);
        let mut found = |deviation: f64| {
            let one = |rng: &mut Xoshiro256PlusPlus| {
                let mut trials = Vec::new();
                for (node, candidate) in (0..3).flat_map(|n| (0..8).map(move |c| (n, c))) {
                    let own = deviation * normal(rng);
                    for _ in 0..2 {
                        let log_s = 0.05 * node as f64 + own + 0.02 * normal(rng);
                        trials.push(trial(node, candidate, log_s));
                    }
                }
                speeds(&trials).interaction().unwrap()
            };
            (0..100).filter(|_| one(rng).is_real).count()
        };
        let (none, some) = (found(0.0), found(0.05));
        assert!(none <= 8 && some >= 95, "{none} and {some} of 100");
    }
}
