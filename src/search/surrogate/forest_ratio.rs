//! Forest's ratio: by how much one candidate costs more than another, where neither need be measured.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::data::Data;
use super::forest::Forest;
use crate::search::Observation;
use crate::space::{Candidate, Space};

/// Fewer different candidates than this say nothing of another one.
const FEWEST: usize = 10;

/// A random forest over what was observed.
pub struct ForestRatio {
    forest: Forest,
    deviation: f64,
}

impl ForestRatio {
    /// Learns from observations; `None` where fewer than ten candidates succeeded.
    pub fn fit(space: &Space, observations: &[Observation]) -> Option<Self> {
        let data = Data::unclipped(observations);
        let forest = Forest::new(space, &data, &mut Xoshiro256PlusPlus::seed_from_u64(0));
        (data.len() >= FEWEST).then_some(Self { forest, deviation: data.scale.deviation })
    }

    /// ln of the cost of `candidate` over that of `other`, and the standard deviation of this over
    /// the forest's trees. What the trees have wrong about both alike falls out.
    pub fn ln_ratio(&self, candidate: &Candidate, other: &Candidate) -> (f64, f64) {
        let trees = self.forest.by_tree(candidate).zip(self.forest.by_tree(other));
        let ratios: Vec<f64> = trees.map(|(a, b)| (a - b) * self.deviation).collect();
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Recorded;

    #[test]
    fn what_was_never_measured_is_predicted_from_levels_of_equal_divisibility() {
        // Cost doubles with every level of a; b does nothing. Every candidate but (3, 0) is seen.
        let mut text = "a:ord,b:ord,value\n".to_owned();
        for (a, b) in (0..24).map(|i| (i % 4, i / 4)) {
            text += &format!("{a},{b},{}\n", 1 << a);
        }
        let recorded = Recorded::parse("made", &text).unwrap();
        let unseen = Candidate::new([3, 0]);
        let mut seen: Vec<_> = recorded.costs.keys().filter(|c| **c != unseen).cloned().collect();
        seen.sort();
        let observed = |candidate: Candidate| {
            let cost = recorded.cost(&candidate);
            Observation::new(candidate, cost.into())
        };
        let observations: Vec<_> = seen.into_iter().map(observed).collect();
        let surrogate = ForestRatio::fit(&recorded.space, &observations).unwrap();
        let (mean, deviation) = surrogate.ln_ratio(&unseen, &Candidate::new([0, 3]));
        assert!((mean - 8_f64.ln()).abs() < 0.2 && deviation < 0.5, "{mean} {deviation}");
        assert_eq!(surrogate.ln_ratio(&unseen, &unseen), (0.0, 0.0));
        assert!(ForestRatio::fit(&recorded.space, &observations[..9]).is_none());
    }
}
