//! Random forest over candidates of mixed knobs.
//!
//! Trees on bootstrap samples, split at random between the levels that a sample shows
//! (Geurts, Ernst and Wehenkel, *Extremely randomized trees*, 2006); the spread of the trees
//! is the uncertainty (Hutter, Hoos and Leyton-Brown, SMAC, 2011).

use rand::Rng;

use super::data::Data;
use crate::space::{Candidate, Space};

const TREES: usize = 24;
/// Samples that are not split further.
const SMALLEST: usize = 3;

/// Predicts log cost in the units of [`Data::targets`].
#[derive(Debug)]
pub(in crate::search) struct Forest {
    trees: Vec<Vec<Node>>,
}

#[derive(Debug)]
enum Node {
    /// Goes to the next node where the level is at most (ordered) or exactly (not) `level`,
    /// else to `other`.
    Split {
        knob: usize,
        ordered: bool,
        level: usize,
        other: usize,
    },
    Leaf {
        mean: f64,
        variance: f64,
    },
}

impl Forest {
    pub fn new(space: &Space, data: &Data, rng: &mut impl Rng) -> Self {
        let n = data.len();
        let mut trees = Vec::with_capacity(TREES);
        for _ in 0..TREES {
            let mut sample: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
            let mut nodes = Vec::new();
            grow(space, data, &mut sample, &mut nodes, rng);
            trees.push(nodes);
        }
        Self { trees }
    }

    /// Mean and standard deviation of each candidate's log cost.
    pub fn predict(&self, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        candidates.iter().map(|candidate| self.predict_one(candidate)).collect()
    }

    /// Each tree's mean log cost of a candidate.
    pub fn by_tree<'a>(&'a self, candidate: &'a Candidate) -> impl Iterator<Item = f64> + 'a {
        self.trees.iter().map(|tree| leaf(tree, candidate).0)
    }

    fn predict_one(&self, candidate: &Candidate) -> (f64, f64) {
        let count = self.trees.len() as f64;
        let (mut sum, mut squares, mut within) = (0.0, 0.0, 0.0);
        for tree in &self.trees {
            let (mean, variance) = leaf(tree, candidate);
            sum += mean;
            squares += mean * mean;
            within += variance;
        }
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0) + within / count;
        (mean, variance.sqrt().max(1e-3))
    }
}

fn leaf(tree: &[Node], candidate: &Candidate) -> (f64, f64) {
    let mut at = 0;
    loop {
        match &tree[at] {
            Node::Leaf { mean, variance } => return (*mean, *variance),
            Node::Split { knob, ordered, level, other } => {
                let here = goes_on(candidate, *knob, *ordered, *level);
                at = if here { at + 1 } else { *other };
            }
        }
    }
}

fn goes_on(candidate: &Candidate, knob: usize, ordered: bool, level: usize) -> bool {
    if ordered { candidate.level(knob) <= level } else { candidate.level(knob) == level }
}

fn grow(
    space: &Space,
    data: &Data,
    sample: &mut [usize],
    nodes: &mut Vec<Node>,
    rng: &mut impl Rng,
) {
    let split = if sample.len() > SMALLEST { best_split(space, data, sample, rng) } else { None };
    let Some((knob, level)) = split else {
        let (mean, variance) = spread(data, sample);
        nodes.push(Node::Leaf { mean, variance });
        return;
    };
    let ordered = space.knobs[knob].ordered;
    let here = |&i: &usize| goes_on(&data.candidates[i], knob, ordered, level);
    sample.sort_by_key(|i| !here(i));
    let middle = sample.partition_point(here);
    let at = nodes.len();
    nodes.push(Node::Split { knob, ordered, level, other: 0 });
    let (near, far) = sample.split_at_mut(middle);
    grow(space, data, near, nodes, rng);
    let place = nodes.len();
    if let Node::Split { other, .. } = &mut nodes[at] {
        *other = place;
    }
    grow(space, data, far, nodes, rng);
}

/// One random split a knob that still varies; the one that leaves the least variance.
fn best_split(
    space: &Space,
    data: &Data,
    sample: &[usize],
    rng: &mut impl Rng,
) -> Option<(usize, usize)> {
    let mut best: Option<(f64, usize, usize)> = None;
    for (position, knob) in space.knobs.iter().enumerate() {
        let levels = || sample.iter().map(|&i| data.candidates[i].level(position));
        let (low, high) = (levels().min()?, levels().max()?);
        if low == high {
            continue;
        }
        let level = if knob.ordered {
            rng.random_range(low..high)
        } else {
            levels().nth(rng.random_range(0..sample.len()))?
        };
        let left = remaining(data, sample, position, knob.ordered, level);
        if best.is_none_or(|(least, ..)| left < least) {
            best = Some((left, position, level));
        }
    }
    best.map(|(_, knob, level)| (knob, level))
}

/// The sum of squares around the two sides' means, up to a constant.
fn remaining(data: &Data, sample: &[usize], knob: usize, ordered: bool, level: usize) -> f64 {
    let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
    for &i in sample {
        let side = usize::from(goes_on(&data.candidates[i], knob, ordered, level));
        sums[side] += data.targets[i];
        counts[side] += 1.0;
    }
    -(0..2)
        .map(|side| if counts[side] > 0.0 { sums[side] * sums[side] / counts[side] } else { 0.0 })
        .sum::<f64>()
}

fn spread(data: &Data, sample: &[usize]) -> (f64, f64) {
    let n = sample.len() as f64;
    let mean = sample.iter().map(|&i| data.targets[i]).sum::<f64>() / n;
    let variance = sample.iter().map(|&i| (data.targets[i] - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}
