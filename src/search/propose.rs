//! Strategies of our own: a proposal is a function of what was observed.

use argmin::core::{Error, Executor, IterState, KV, Problem, Solver, State, TerminationReason};

use super::draw::Draw;
use super::objective::Objective;
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
/// A proposal depends on the seed and the observations alone, not on earlier calls: that is
/// what lets a search go on from a journal.
pub(super) trait Propose {
    /// The name for argmin's observers.
    const NAME: &'static str;

    /// At most `count` new candidates, the most wanted first; none where none is left.
    fn propose(&mut self, objective: &Objective<'_>, draw: &Draw<'_>, count: usize) -> Proposal;
}

/// Candidates proposed together; more than one once trials can run side by side.
const BATCH: usize = 1;

struct Proposing<'a, P> {
    proposer: P,
    draw: Draw<'a>,
}

type Progress = IterState<Candidate, (), (), (), (), f64>;

/// Runs `proposer` until it has nothing left to propose.
pub(super) fn search<P: Propose>(objective: &Objective<'_>, proposer: P) -> Result<(), Error> {
    let solver = Proposing { proposer, draw: Draw::new(objective.space()) };
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
