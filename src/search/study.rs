//! Study: proposes candidates and is told what came of them (ask and tell, as in Optuna).

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::history::{History, Identify};
use super::strategies::Strategy;
use super::{Observation, Plan};
use crate::space::{Candidate, Space};

/// A search under way. It measures nothing: what it proposes is a function of its plan, of the
/// observations that it was told and of the candidates that are pending, so that a search goes on
/// from a journal by being told all of it.
pub struct Study<'a> {
    strategy: Box<dyn Strategy>,
    history: History<'a>,
}

impl<'a> Study<'a> {
    /// A study of `space` that knows nothing yet.
    pub fn new(space: &'a Space, plan: Plan, identify: Identify<'a>) -> Self {
        let strategy = plan.strategy.strategy(space);
        Self { strategy, history: History::new(space, plan, identify) }
    }

    /// The same where no two candidates are the same.
    pub fn of_distinct(space: &'a Space, plan: Plan) -> Self {
        let hash = BuildHasherDefault::<DefaultHasher>::default();
        Self::new(space, plan, Box::new(move |candidate| Some(hash.hash_one(candidate))))
    }

    /// The next candidate to measure while `pending` ones are measured; `None` where no legal
    /// candidate is left that is neither known nor pending.
    pub fn ask(&mut self, pending: &[Candidate]) -> Option<Candidate> {
        self.history.expect(pending);
        let first = self.history.first().find(|candidate| self.history.is_new(candidate)).cloned();
        first.or_else(|| self.strategy.propose(&self.history))
    }

    /// Learns what came of a candidate, asked for or not.
    pub fn tell(&mut self, observation: Observation) {
        self.history.learn(observation);
    }

    /// Everything that it was told, in order.
    pub fn observations(&self) -> &[Observation] {
        self.history.observations()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::search::{Measurement, Recorded, StrategyName};

    /// 10 x 20 candidates, the cheapest at (3, 0).
    fn bowl() -> Recorded {
        let cells = (0..200).map(|i| (i % 10, i / 10));
        let rows = cells.map(|(a, b)| format!("{a},{b},{}\n", (a - 3) * (a - 3) + b + 1));
        Recorded::parse("made", &format!("a:ord,b:ord,value\n{}", rows.collect::<String>()))
            .unwrap()
    }

    #[test]
    fn pending_candidates_are_new_and_differ() {
        let table = bowl();
        for &strategy in StrategyName::VARIANTS.iter().filter(|name| !name.searches_alone()) {
            let plan = Plan { strategy, seed: 1, ..Plan::default() };
            let mut study = Study::of_distinct(&table.space, plan);
            for _ in 0..12 {
                let mut pending = Vec::new();
                for _ in 0..4 {
                    let asked = study.ask(&pending).unwrap();
                    let is_known = |o: &Observation| o.candidate == asked;
                    assert!(!study.observations().iter().any(is_known), "{strategy}");
                    assert!(!pending.contains(&asked), "{strategy}");
                    pending.push(asked);
                }
                // They end in another order than they began.
                for candidate in pending.into_iter().rev() {
                    let measurement = table.cost(&candidate).into();
                    study.tell(Observation::new(candidate, measurement));
                }
            }
            assert_eq!(study.observations().len(), 48, "{strategy}");
        }
    }

    #[test]
    fn a_candidate_that_is_asked_for_and_not_told_is_asked_for_again() {
        let table = bowl();
        for &strategy in StrategyName::VARIANTS {
            let plan = Plan { strategy, seed: 2, ..Plan::default() };
            let mut study = Study::of_distinct(&table.space, plan);
            for _ in 0..25 {
                let asked = study.ask(&[]).unwrap();
                assert_eq!(study.ask(&[]).as_ref(), Some(&asked), "{strategy}");
                let measurement = table.cost(&asked).into();
                study.tell(Observation::new(asked, measurement));
            }
        }
    }

    #[test]
    fn what_is_another_candidate_here_is_known_by_its_trial() {
        let table = bowl();
        let plan = Plan { strategy: StrategyName::Grid, ..Plan::default() };
        let identify: Identify<'_> = Box::new(|candidate| Some(candidate.level(0) as u64 / 5));
        let mut study = Study::new(&table.space, plan, identify);
        for expected in [[0, 0], [5, 0]].map(Candidate::new) {
            assert_eq!(study.ask(&[]), Some(expected.clone()));
            study.tell(Observation::new(expected, Measurement::Failed));
        }
        assert_eq!(study.ask(&[]), None);
    }
}
