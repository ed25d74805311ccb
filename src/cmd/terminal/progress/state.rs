//! State: how far a tune is, as plain data that every view is drawn from.

use std::time::Instant;

use crate::evidence::confirmation::pairs_for;
use crate::evidence::findings::Findings;
use crate::knobs::Values;
use crate::report::plots::progress::BestSoFar;
use crate::runner::{LocalRunner, Repetitions, TrialRequest};
use crate::stats::Interval;
use crate::trial::{Outcome, Phase, Sample, Trial};
use crate::tune::budget::{self, Budget, Pairs};
use crate::workload::metric::Metric;

/// How far a tune is.
#[derive(Clone, Debug)]
pub struct State {
    /// The machine in a line.
    pub machine: String,
    /// The preset that is to be beaten.
    pub preset: String,
    /// What scores count.
    pub metric: Metric,
    /// Facts that a reader should know.
    pub notes: Vec<String>,
    /// Wall time for everything.
    pub budget: Budget,
    /// The baseline's knobs.
    pub baseline: Values,
    /// How often a trial measures.
    pub repetitions: Repetitions,
    /// What runs now.
    pub current: Option<RunningTrial>,
    /// What the trials so far come to.
    pub summary: Summary,
}

/// A trial under way.
#[derive(Clone, Debug)]
pub struct RunningTrial {
    /// The part of the tune.
    pub phase: Phase,
    /// Confirmation pair.
    pub pair: Option<u64>,
    /// The candidate in short.
    pub tried: String,
    /// When it began.
    pub since: Instant,
}

/// What the trials so far come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many trials there were.
    pub trials: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The baseline's time.
    pub baseline: Option<Spread>,
    /// The best candidate's time, the baseline's where nothing is better.
    pub best: Option<Spread>,
    /// The confirmation's pairs and the gain that they show.
    pub confirmation: Option<(usize, Option<Interval>)>,
    /// Seconds spent in each phase, in the order in which they came.
    pub spent: Vec<(Phase, f64)>,
    /// Every trial after calibration: seconds of trials to its end, and seconds per clip.
    pub points: Vec<(f64, Option<f64>)>,
    /// When the best so far changed, and to how many seconds per clip.
    pub best_so_far: Vec<(f64, f64)>,
    /// How much the last trial that came to samples was disturbed.
    pub noise: Option<Disturbance>,
    /// The last trials, the latest first.
    pub last: Vec<EndedTrial>,
    /// The pairs that the confirmation will run.
    pub pairs: Option<Pairs>,
}

/// Times of one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Seconds per clip, the median.
    pub score_s: f64,
    /// Its best and its worst repetition.
    pub range_s: (f64, f64),
    /// How many trials.
    pub trials: usize,
}

/// How much of a trial's time others took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disturbance {
    /// Share of time that its own threads waited for a CPU, in its worst repetition.
    pub waited: f64,
    /// Share of CPU time that the hypervisor gave to others.
    pub stolen: f64,
}

/// A trial that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTrial {
    /// Its number.
    pub number: u64,
    /// What it was for.
    pub phase: Phase,
    /// How it ended.
    pub outcome: Outcome,
    /// Seconds per clip, or what went wrong.
    pub result: Result<f64, String>,
    /// The candidate in short.
    pub tried: String,
}

/// The most last trials that a view shows.
const MOST_LAST_TRIALS: usize = 15;

impl State {
    /// Before the first trial.
    pub fn new(runner: &LocalRunner, repetitions: Repetitions, budget: Budget) -> Self {
        let machine = &runner.machine;
        let counts = [
            (machine.core_count(), "core"),
            (machine.thread_limit(), "CPU"),
            (machine.memory_nodes().len(), "node"),
            (machine.l3_groups.len(), "L3 group"),
        ];
        let counts = counts.map(|(number, one)| crate::io::number::count(number, one));
        Self {
            machine: format!("{}: {}", machine.cpu.model, counts.join(", ")),
            preset: runner.baseline.name(),
            metric: Metric::of(runner.custom_job.as_ref()),
            notes: machine.notes.clone(),
            budget,
            baseline: runner.baseline.knobs.values(),
            repetitions,
            current: None,
            summary: Summary::default(),
        }
    }

    /// A trial starts.
    pub fn start(&mut self, request: &TrialRequest) {
        self.current = Some(RunningTrial {
            phase: request.phase,
            pair: request.pair,
            tried: on(&request.node, tried(&request.values, &self.baseline)),
            since: Instant::now(),
        });
    }

    /// A trial ended; all so far.
    pub fn finish(&mut self, trials: &[Trial]) {
        self.current = None;
        self.summary = Summary::of(trials, &self.baseline, self.repetitions);
    }
}

impl Summary {
    /// What these trials come to; `baseline` is its knobs, `repetitions` those of a trial.
    pub fn of(trials: &[Trial], baseline: &Values, repetitions: Repetitions) -> Self {
        let Findings { drift, ranking, confirmation, .. } = Findings::of(trials, baseline);
        let best = ranking.into_iter().next();
        let of = |knobs: &Values, confirms| Spread::of(trials, knobs, confirms);
        let finalist = confirmation.as_ref().map(|confirmation| &confirmation.finalist);
        let paired = finalist.and_then(|finalist| of(baseline, true).zip(of(finalist, true)));
        let searched = || best.as_ref().and_then(|best| of(&best.knobs, false));
        let mut summary = Self {
            trials: trials.len(),
            failed: trials.iter().filter(|trial| trial.outcome.is_failure()).count(),
            baseline: paired.map(|(baseline, _)| baseline).or_else(|| of(baseline, false)),
            best: paired.map(|(_, finalist)| finalist).or_else(searched),
            spent: spent(trials),
            noise: trials.iter().rev().find_map(Disturbance::of),
            last: trials
                .iter()
                .rev()
                .take(MOST_LAST_TRIALS)
                .map(|t| EndedTrial::of(t, baseline))
                .collect(),
            pairs: budget::in_pair(trials, repetitions.decided(trials)).map(|trial| Pairs {
                trial,
                wanted: pairs_for(&drift),
                search: budget::in_search(trials),
            }),
            confirmation: confirmation.map(|c| (c.pairs.len(), c.gain())),
            ..Self::default()
        };
        summary.course(trials);
        summary
    }

    /// Breaks of a tune, and what passes between trials, are left out.
    fn course(&mut self, trials: &[Trial]) {
        let (mut best, mut end_s) = (BestSoFar::default(), 0.0);
        for trial in trials {
            end_s += trial.wall_s;
            if trial.phase.is_comparable() {
                self.points.push((end_s, trial.score()));
                best.see(trial, end_s);
            }
        }
        self.best_so_far = best.changes;
    }

    /// Share of the baseline's cost that the best so far saves.
    pub fn saved(&self) -> Option<f64> {
        Some(1.0 - self.best?.score_s / self.baseline?.score_s)
    }
}

impl Spread {
    /// Of the confirmation, which may run another size of the job, or of the search.
    fn of(trials: &[Trial], knobs: &Values, confirms: bool) -> Option<Self> {
        let counts = |trial: &&Trial| {
            trial.phase.is_comparable()
                && (trial.phase == Phase::Confirmation) == confirms
                && trial.knobs == *knobs
        };
        let ok: Vec<&Trial> =
            trials.iter().filter(counts).filter(|trial| trial.score().is_some()).collect();
        let scores: Vec<f64> = ok.iter().filter_map(|trial| trial.score()).collect();
        let costs = || ok.iter().flat_map(|trial| &trial.samples).map(Sample::cost);
        let score_s = crate::stats::median(&scores)?;
        let range_s = (costs().fold(score_s, f64::min), costs().fold(score_s, f64::max));
        Some(Self { score_s, range_s, trials: ok.len() })
    }
}

impl Disturbance {
    fn of(trial: &Trial) -> Option<Self> {
        let stolen = trial.noise.steal_share.unwrap_or(0.0);
        trial.run_queue_share().map(|waited| Self { waited, stolen })
    }
}

impl EndedTrial {
    /// A trial in short; `baseline` is the baseline's knobs.
    pub fn of(trial: &Trial, baseline: &Values) -> Self {
        Self {
            number: trial.number,
            phase: trial.phase,
            outcome: trial.outcome,
            result: trial.score().ok_or_else(|| trial.detail.clone()),
            tried: on(&trial.node, tried(&trial.knobs, baseline)),
        }
    }
}

fn spent(trials: &[Trial]) -> Vec<(Phase, f64)> {
    let mut spent: Vec<(Phase, f64)> = Vec::new();
    for trial in trials {
        match spent.iter_mut().find(|(phase, _)| *phase == trial.phase) {
            Some((_, seconds)) => *seconds += trial.wall_s,
            None => spent.push((trial.phase, trial.wall_s)),
        }
    }
    spent
}

/// What is tried on a node of several.
fn on(node: &str, tried: String) -> String {
    if node.is_empty() { tried } else { format!("{node}: {tried}") }
}

/// A candidate in short: what differs from the baseline.
fn tried(knobs: &Values, baseline: &Values) -> String {
    let changed = knobs.iter().filter(|(name, value)| baseline.get(*name) != Some(value));
    let words: Vec<String> = changed.map(|(name, value)| format!("{name}={value}")).collect();
    if words.is_empty() { "the baseline".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Made, number};

    /// Pairs may run another size of the job: 40 s against 20 s says nothing of the search's 4 s.
    #[test]
    fn a_confirmation_is_compared_within_itself() {
        let tiles = [("vae_tile_size", number(192))];
        let made = Made::new().baseline(&[4.0]).search(&tiles, 3.0);
        let saved = |made: &Made| {
            let baseline = &made.results.space.given.baseline;
            Summary::of(&made.results.trials, baseline, Repetitions::USUAL).saved().unwrap()
        };
        assert!((saved(&made) - 0.25).abs() < 1e-9);
        let made = made.pairs(&tiles, &[(40.0, 20.0), (40.0, 20.0)]);
        assert!((saved(&made) - 0.5).abs() < 1e-9);
    }
}
