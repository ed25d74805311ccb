//! Strategies of our own: a proposal is a function of what was observed.

use argmin::core::{Error, Executor, IterState, KV, Problem, Solver, State, TerminationReason};

use super::objective::Objective;
use super::sampler::Sampler;
use crate::space::Candidate;

/// What to measure next.
pub(super) enum Proposal {
    /// Candidates that were never measured.
    New(Vec<Candidate>),
    /// One that was, because its cost is in doubt.
    Again(Candidate),
}

/// Chooses what to measure from what was observed.
///
/// A proposal depends on the seed, the observations and what is left alone, not on earlier calls (but
/// for what a grid has passed).
pub(super) trait Propose {
    /// The name for argmin's observers.
    const NAME: &'static str;

    /// At most `count` new candidates, the most wanted first; none where none is left.
    fn propose(&mut self, objective: &Objective<'_>, draw: &Sampler<'_>, count: usize) -> Proposal;
}

/// Candidates proposed together; more than one once trials can run side by side.
const BATCH: usize = 1;

struct Proposing<'a, P> {
    proposer: P,
    draw: Sampler<'a>,
}

type Progress = IterState<Candidate, (), (), (), (), f64>;

/// Runs `proposer` until it has nothing left to propose.
pub(super) fn search<P: Propose>(objective: &Objective<'_>, proposer: P) -> Result<(), Error> {
    let solver = Proposing { proposer, draw: Sampler::new(objective.space()) };
    Executor::new(objective, solver).ctrlc(false).run().map(|_| ())
}

impl<'o, 'a, P: Propose> Solver<&'o Objective<'a>, Progress> for Proposing<'a, P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn next_iter(
        &mut self,
        problem: &mut Problem<&'o Objective<'a>>,
        state: Progress,
    ) -> Result<(Progress, Option<KV>), Error> {
        let objective = problem.problem("proposals", |objective| Ok(*objective))?;
        let batch = match self.proposer.propose(objective, &self.draw, BATCH) {
            Proposal::New(batch) => batch,
            Proposal::Again(candidate) => {
                objective.ask_again(&candidate)?;
                vec![candidate]
            }
        };
        let costs = problem.bulk_cost(&batch)?;
        let best = batch.into_iter().zip(costs).min_by(|a, b| a.1.total_cmp(&b.1));
        Ok(match best {
            Some((candidate, cost)) => (state.param(candidate).cost(cost), None),
            None => (state.terminate_with(TerminationReason::SolverConverged), None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::acquisition::Acquisition;
    use super::super::strategies::model::ModelBased;
    use super::super::strategies::random::Random;
    use super::super::{Measure, Observation, Plan, Stop};
    use super::*;
    use crate::search::replay::{Recorded, Replay};
    use crate::search::strategies::grid::Grid;

    fn batch(proposer: &mut dyn FnMut(&Objective<'_>, &Sampler<'_>) -> Proposal, observed: usize) {
        let cells = (0..200).map(|i| (i % 10, i / 10));
        let rows = cells.map(|(a, b)| format!("{a},{b},{}\n", (a - 3) * (a - 3) + b + 1));
        let text = format!("a:ord,b:ord,value\n{}", rows.collect::<String>());
        let recorded = Recorded::parse("made", &text).unwrap();
        let mut replay = Replay::new(&recorded, observed, 0.0, 1);
        let plan = Plan { strategy: crate::search::StrategyName::Random, ..Plan::default() };
        let known = crate::search::run(&recorded.space, &plan, &mut replay).observations;
        let mut nothing = Nothing;
        let objective =
            Objective::new(&recorded.space, &Plan { known: known.clone(), ..plan }, &mut nothing);
        let Proposal::New(batch) = proposer(&objective, &Sampler::new(&recorded.space)) else {
            panic!("nothing is in doubt without noise")
        };
        let mut different = batch.clone();
        different.sort();
        different.dedup();
        assert_eq!((batch.len(), different.len()), (6, 6));
        assert!(known.iter().all(|observation| !batch.contains(&observation.candidate)));
    }

    struct Nothing;

    impl Measure for Nothing {
        fn identity(&self, candidate: &Candidate) -> Option<u64> {
            Some(candidate.levels().fold(0, |sum, level| 100 * sum + level as u64))
        }
        fn measure(&mut self, _: &Candidate) -> Result<Observation, Stop> {
            Err(Stop::Budget)
        }
    }

    #[test]
    fn candidates_proposed_together_are_new_and_differ() {
        const VOICES: [Acquisition; 5] = [
            Acquisition::Ensemble,
            Acquisition::Mutation,
            Acquisition::Perturb,
            Acquisition::CategoryLcb,
            Acquisition::PosteriorMean,
        ];
        for observed in [4, 25, 40] {
            batch(&mut |objective, draw| Random.propose(objective, draw, 6), observed);
            batch(&mut |objective, draw| Grid::new().propose(objective, draw, 6), observed);
            let modelled = |objective: &Objective<'_>, draw: &Sampler<'_>| {
                ModelBased::new(&VOICES).propose(objective, draw, 6)
            };
            batch(&mut { modelled }, observed);
        }
    }
}
