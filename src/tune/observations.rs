//! Observations: what a study is told of a tune's trials. They follow from the journal alone, so that a
//! tune goes on from it as if it had never stopped.

use super::state::State;
use crate::evidence::blame;
use crate::evidence::drift::Drift;
use crate::knobs::Values;
use crate::search::Observation;
use crate::space::{Candidate, Space};
use crate::trial::{Phase, Trial};

/// The values of all knobs for a candidate.
pub(super) fn values(baseline: &Values, space: &Space, candidate: &Candidate) -> Values {
    let mut values = baseline.clone();
    values.extend(space.values(candidate));
    values
}

/// What the trials of a tune say of candidates of a space.
pub(super) struct Observations<'s> {
    space: &'s Space,
    /// By the place of the trial: what came before it decides them, what comes after it does not.
    seen: Vec<Option<Observation>>,
}

impl<'s> Observations<'s> {
    pub fn of(space: &'s Space) -> Self {
        Self { space, seen: Vec::new() }
    }

    /// What there is to tell, in the order of the trials. Those that say nothing are left out, but for
    /// the last of a candidate that is given up: what always ends it counts as its failure.
    pub fn told(&mut self, state: &State<'_>) -> Vec<Observation> {
        let trials = state.trials();
        for place in self.seen.len()..trials.len() {
            self.seen.push(self.seen_at(place, state));
        }
        let silent = blame::silent(trials, &state.baseline);
        let tells = |place: &usize| !silent[*place] || is_given_up_at(*place, state);
        let told = (0..trials.len()).filter(tells);
        told.filter_map(|place| self.seen[place].clone()).collect()
    }

    /// What the trial at `place` says of the candidate of its values, as if the machine had stayed as
    /// it was, judged by what was known then; nothing where it is none of the space's or no news of
    /// it, as the baseline's later trials are, by which the machine's drift is judged.
    fn seen_at(&self, place: usize, state: &State<'_>) -> Option<Observation> {
        let trials = state.trials();
        let trial = &trials[place];
        let tells = matches!(trial.phase, Phase::Baseline | Phase::Search | Phase::Repeat);
        let candidate = self.space.candidate(&trial.knobs).filter(|_| tells)?;
        let seen = Observation::of(self.space.canonical(&candidate), trial, state.too_slow());
        let drift = Drift::of(&trials[..=place]);
        let (factor, speed) = (drift.factor(trial), drift.node_effects().factor(&trial.node));
        let as_on_first = |(stage, busy_s): (&String, &f64)| (stage.clone(), busy_s / speed);
        let stages = seen.stages.iter().map(as_on_first).collect();
        Some(Observation { measurement: seen.measurement.times(1.0 / factor), stages, ..seen })
    }
}

/// Whether the silent trial at `place` is the last proposed one of a candidate that is given up.
fn is_given_up_at(place: usize, state: &State<'_>) -> bool {
    let trials = state.trials();
    let Trial { phase, knobs, .. } = &trials[place];
    let is_last = || !trials[place + 1..].iter().any(|later| later.knobs == *knobs);
    *phase == Phase::Search && is_last() && state.is_given_up(knobs)
}
