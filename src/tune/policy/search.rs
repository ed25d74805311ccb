//! The search: asks the study for candidates, and tells it what the journal says.

use anyhow::Result;

use super::stacked::stacked;
use super::{Next, Policy};
use crate::knobs::Values;
use crate::search::pruning::Pruned;
use crate::search::{Identify, Observation, Plan, Study};
use crate::space::{Candidate, Space};
use crate::tune::observations::{Observations, values};
use crate::tune::state::State;
use crate::workload::Workload;

/// How many candidates a runner may pass over for a later one that costs it less.
const PASSED_OVER: usize = 8;

/// Proposes candidates.
pub(crate) struct Search<'s> {
    space: &'s Space,
    workload: &'s Workload,
    strategy: String,
    plan: Plan,
    /// The experts' candidates, as the study has them.
    first: Vec<Candidate>,
    observations: Observations<'s>,
    /// What the study was told.
    told: Vec<Observation>,
    study: Study<'s>,
    pruned: Pruned,
    /// Whether nothing is left to propose.
    pub is_exhausted: bool,
}

impl<'s> Search<'s> {
    pub fn new(space: &'s Space, workload: &'s Workload, plan: Plan, state: &State<'s>) -> Self {
        let pruned = pruned(space, state);
        let study = Study::new(space, plan.clone(), identify(space, workload, &pruned, state));
        Self {
            space,
            workload,
            strategy: plan.strategy.to_string(),
            first: plan.first.clone(),
            plan,
            observations: Observations::of(space),
            told: Vec::new(),
            study,
            pruned,
            is_exhausted: false,
        }
    }
}

/// A candidate is what its settings come to, without what is pruned.
fn identify<'s>(
    space: &'s Space,
    workload: &'s Workload,
    pruned: &Pruned,
    state: &State<'s>,
) -> Identify<'s> {
    let (pruned, runner, baseline) = (pruned.clone(), state.runner, state.baseline.clone());
    Box::new(move |candidate| {
        let canonical = pruned.canonical(space, candidate)?;
        runner.identity(workload, &values(&baseline, space, &canonical))
    })
}

impl<'s> Search<'s> {
    /// Tells the study what is new. Where what it was told is no more true, or candidates are no more
    /// told apart as they were, it is made anew.
    fn tell(&mut self, state: &State<'s>) {
        let pruned = pruned(self.space, state);
        let news = pruned.news(&self.pruned);
        news.iter().for_each(|sentence| state.observer.noted(sentence));
        let is_pruned_anew = !news.is_empty() || !self.pruned.news(&pruned).is_empty();
        self.pruned = pruned;
        let observations = self.observations.told(state);
        let first = match state.has_long_runs() {
            true => stacked(self.space, &self.plan.first, &observations),
            false => self.plan.first.clone(),
        };
        if is_pruned_anew || first != self.first || !observations.starts_with(&self.told) {
            self.first = first;
            let plan = Plan { first: self.first.clone(), ..self.plan.clone() };
            let identify = identify(self.space, self.workload, &self.pruned, state);
            self.study = Study::new(self.space, plan, identify);
            self.told.clear();
        }
        for observation in &observations[self.told.len()..] {
            self.study.tell(observation.clone());
        }
        self.told = observations;
    }

    fn values(&self, candidate: &Candidate, state: &State<'_>) -> Values {
        let candidate = self.pruned.with_frozen(self.space, candidate);
        values(&state.baseline, self.space, &candidate)
    }

    /// The first of the next candidates that the runner wants to run now, or the very next one.
    fn ask(&mut self, mut pending: Vec<Candidate>, state: &State<'_>) -> Option<Values> {
        let is_legal = |near: &Values| {
            self.space.candidate(near).is_some_and(|near| self.space.is_legal(&near))
        };
        let left = state.left_for_search();
        let mut first = None;
        for _ in 0..PASSED_OVER {
            let Some(candidate) = self.study.ask(&pending) else { break };
            let values = self.values(&candidate, state);
            let nearest = state.runner.nearest(self.workload, &values, left);
            if let Some(nearest) = nearest.filter(is_legal) {
                return Some(nearest);
            }
            first.get_or_insert(values);
            pending.push(candidate);
        }
        first
    }
}

impl<'s> Policy<'s> for Search<'s> {
    fn next(&mut self, state: &State<'s>) -> Result<Option<Next>> {
        self.tell(state);
        if self.is_exhausted || !state.affords_search() {
            return Ok(None);
        }
        let pending = state.running.iter();
        let pending: Vec<Candidate> =
            pending.filter_map(|(_, request)| self.space.candidate(&request.values)).collect();
        let is_alone = pending.is_empty();
        let asked = self.ask(pending, state);
        self.is_exhausted = asked.is_none() && is_alone;
        let request =
            asked.and_then(|values| state.search_request(&self.strategy, self.workload, values));
        Ok(request.map(Next::Run))
    }
}

/// What the search goes on without.
pub(super) fn pruned(space: &Space, state: &State<'_>) -> Pruned {
    let all = Pruned::of(space, state.trials());
    if state.config.prunes_no_effect { all } else { Pruned { no_effect: Vec::new(), ..all } }
}
