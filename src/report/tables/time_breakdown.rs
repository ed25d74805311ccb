//! Time breakdown: what a tune's trials came to, and where its time went.

use std::collections::BTreeMap;

use crate::io::number::{count, percent, span};
use crate::results::Results;
use crate::runner::repetitions::LEAST;
use crate::stats;
use crate::trial::{Outcome, Trial};

/// Counts and times of a whole tune.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeBreakdown {
    /// Trials by outcome.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Seconds from the tune's start to the end of its last trial, breaks left out.
    pub spent_s: f64,
    /// Seconds inside measured repetitions.
    pub measured_s: f64,
    /// Seconds of trials outside the repetitions: start, libtorch, weights, warm-up.
    pub overhead_s: f64,
    /// The median share of it in good trials of [`LEAST`] repetitions and more, without the one
    /// that also measured the machine's peak; `None` without any.
    pub overhead_share: Option<f64>,
}

impl TimeBreakdown {
    /// The breakdown of a tune.
    pub fn of(results: &Results) -> Self {
        let mut outcomes = BTreeMap::new();
        for trial in &results.trials {
            *outcomes.entry(trial.outcome).or_default() += 1;
        }
        let total = |part: fn(&Trial) -> f64| results.trials.iter().map(part).sum::<f64>();
        let (wall_s, overhead_s) = (total(|trial| trial.wall_s), total(|trial| trial.overhead_s));
        let last_s = results.spent_s().unwrap_or_default();
        Self {
            outcomes,
            spent_s: last_s.max(wall_s),
            measured_s: wall_s - overhead_s,
            overhead_s,
            overhead_share: overhead_share(&results.trials),
        }
    }

    /// How many trials.
    pub fn trials(&self) -> usize {
        self.outcomes.values().sum()
    }

    /// How many trials failed.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|(outcome, _)| outcome.is_failure()).map(|(_, n)| n).sum()
    }

    /// `61 trials: 55 ok, 4 timeout, 2 crashed`.
    pub fn trials_line(&self) -> String {
        let each = |(outcome, number): (&Outcome, &usize)| format!("{number} {outcome}");
        let outcomes: Vec<String> = self.outcomes.iter().map(each).collect();
        match outcomes.as_slice() {
            [] => "No trial was made".to_owned(),
            some => format!("{}: {}", count(self.trials(), "trial"), some.join(", ")),
        }
    }

    /// How much of `budget_s` went where.
    pub fn time_line(&self, budget_s: f64) -> String {
        let share = |seconds: f64| percent(seconds / budget_s);
        let between_s = (self.spent_s - self.measured_s - self.overhead_s).max(0.0);
        let of_a_trial = self
            .overhead_share
            .map(percent)
            .map(|share| format!(", {share} of a trial measured in full"));
        format!(
            "Budget {}: {} measured, {} ({} of the budget{}) to start and warm up workers, {} \
             between trials",
            span(budget_s),
            span(self.measured_s),
            span(self.overhead_s),
            share(self.overhead_s),
            of_a_trial.unwrap_or_default(),
            span(between_s)
        )
    }
}

fn overhead_share(trials: &[Trial]) -> Option<f64> {
    let in_full = |trial: &&Trial| {
        let is_whole = trial.outcome == Outcome::Ok && trial.samples.len() >= LEAST as usize;
        is_whole && trial.peak.is_none() && trial.wall_s > 0.0
    };
    let shares = trials.iter().filter(in_full).map(|trial| trial.overhead_s / trial.wall_s);
    stats::median(shares)
}
