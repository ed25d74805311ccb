//! State: the process of now, and what comparisons of warm and fresh ones came to.

use anyhow::Result;

use super::Wanted;
use super::defaults::LoadedWorker;
use super::process::Process;
use super::scope::Scope;
use crate::knobs::Values;
use crate::launch::Launch;
use crate::runner::pictures::PictureCheck;
use crate::runner::response::Response;
use crate::stats;
use crate::trial::{Outcome, Sample};

/// Trials in one process without a look at a fresh one, while there is something to look for.
const UNCHECKED: u32 = 5;

/// A warm and a fresh process differ where the logarithms of their times do by more than this;
/// twice that where a process ran one repetition.
const LEAST: f64 = 0.08;

/// They differ by more than noise only beyond this many deviations of the repetitions' logarithms.
const DEVIATIONS: f64 = 6.0;

/// A worker under way.
#[derive(Default)]
pub struct State {
    /// The process of now.
    pub process: Option<Process>,
    /// A worker that was asked what it runs, before any trial.
    loaded: Option<LoadedWorker>,
    /// What is known of the worker's knobs.
    pub scope: Scope,
    /// The lowest cost that is believed.
    best: Option<f64>,
    /// Trials since the last look at a fresh process.
    unchecked: u32,
    /// Whether it was told that a warm process failed where a fresh one did not.
    has_failed: bool,
    /// Whether the worker hands frames over; unknown before the baseline's first trial.
    pub hands_over: Option<bool>,
    /// What nobody has been told yet.
    pub news: Vec<String>,
}

impl State {
    /// Before any trial.
    pub fn of(loaded: Option<LoadedWorker>) -> Self {
        Self { loaded, ..Self::default() }
    }

    /// Whether the process of now can run what is wanted.
    pub fn takes(&self, wanted: &Wanted<'_>) -> bool {
        let launch = Launch::of(&wanted.settings);
        self.process.as_ref().is_some_and(|process| {
            process.is_open()
                && process.launch == launch
                && self.scope.fits(&process.now, &wanted.request.values)
                && self.scope.fits(&process.first, &wanted.request.values)
        })
    }

    /// The worker that was asked, where its process will do for what is wanted.
    pub fn take_loaded(&mut self, launch: &Launch, wanted: &Wanted<'_>) -> Option<Process> {
        let request = wanted.request;
        self.loaded.take()?.process_for(launch, &request.workload, &request.values)
    }

    /// Seconds that went into the process of this trial before it began.
    pub fn asked_s(&self, trial: u64) -> f64 {
        let process = self.process.as_ref().filter(|process| process.since == trial);
        process.map_or(0.0, |process| process.asked_s)
    }

    /// The knobs that a job of these values changes in a process that ran others.
    pub fn changed(&self, values: &Values) -> Vec<String> {
        let process = self.process.as_ref().filter(|process| !process.ran.is_empty());
        let changed = process.map(|process| self.scope.changed(&process.now, values));
        changed.into_iter().flatten().map(ToOwned::to_owned).collect()
    }

    /// Whether a job of these values that changes those knobs is to begin with a warm-up: in a process
    /// that never ran, after a value that it did not run yet, and wherever first runs were seen to take
    /// longer.
    pub fn needs_warm_up(&self, values: &Values, changed: &[String]) -> bool {
        let has_run = |process: &&Process| process.asked_s > 0.0 || !process.ran.is_empty();
        let process = self.process.as_ref().filter(has_run);
        process.is_none_or(|process| {
            let is_new =
                |name: &String| !process.seen.contains(&(name.clone(), values[name].clone()));
            changed.iter().any(is_new) || self.scope.needs_warm_up(changed)
        })
    }

    /// Learns from a trial that changed these knobs and began with a warm-up whether it was needed.
    pub fn warmed_up(&mut self, changed: Vec<String>, answer: &Response) {
        let seconds: Vec<f64> = answer.samples.iter().map(|sample| sample.seconds).collect();
        if let Some((first_s, usual_s)) = answer.warmup_s.zip(stats::median(&seconds)) {
            self.scope.warmed_up(changed, first_s <= usual_s * (1.0 + LEAST));
        }
    }

    /// Takes note of what the process did, and lets go of one that failed.
    pub fn note(&mut self, answer: &Response, values: &Values, identity: u64) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut fresh = None;
        // What makes a bad picture may go on.
        if answer.is_failed() && answer.outcome != Outcome::PoorQuality {
            return self.end();
        }
        if process.ran.is_empty() {
            process.start_s = process.asked_s + (answer.wall_s - answer.measured_s).max(0.0);
            fresh = stats::median(costs(&answer.samples)).filter(|_| !answer.is_failed());
        } else {
            process.warm_trials += 1;
            process.warm_s = answer.wall_s;
        }
        process.ran.insert(identity);
        process.seen.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        process.now.clone_from(values);
        fresh.into_iter().for_each(|cost| self.believe(cost));
        Ok(())
    }

    /// Whether a trial's pictures are looked at: files that it writes always, frames that are handed
    /// over where they may differ.
    pub fn wants(&self, check: &PictureCheck<'_>) -> bool {
        let is_asked = check.is_of_baseline() || check.may_differ();
        check.job.files.is_some() || (is_asked && self.hands_over != Some(false))
    }

    /// Whether there are pictures after a trial; an answer without them fails where there were some
    /// before.
    pub fn has_pictures(&mut self, check: &PictureCheck<'_>, answer: &mut Response) -> bool {
        let has_some = check.job.files.is_some() || answer.pictures.is_some_and(|count| count > 0);
        match *self.hands_over.get_or_insert(has_some) {
            true if !has_some => {
                let problem = "it handed no frame over, and the baseline did".to_owned();
                answer.fail(Outcome::WrongOutput, problem);
            }
            false if self.news.is_empty() => self.news.push(
                "the worker hands no frames over: pictures are not compared (return them from what is \
                 measured, or name the files that it writes by --output)"
                    .to_owned(),
            ),
            _ => {}
        }
        has_some
    }

    /// For which trial the process of now was started, and the knobs for whose sake it may differ
    /// from a fresh one at these values.
    pub fn before(&self, values: &Values) -> (Option<u64>, Vec<String>) {
        let Some(process) = &self.process else { return (None, Vec::new()) };
        (Some(process.since), self.scope.doubtful(&process.first, values))
    }

    /// Whether a fresh process has to measure what a warm one did. What failed may have failed for
    /// what ran there before, such as memory that nobody gave back; what the worker refuses did not.
    pub fn is_due_for_check(&mut self, warm: &Response, doubtful: &[String]) -> bool {
        match warm.outcome {
            Outcome::Ok => {}
            Outcome::PoorQuality => return !doubtful.is_empty(),
            Outcome::Illegal | Outcome::Interrupted => return false,
            _ => return true,
        }
        let cost = stats::median(costs(&warm.samples)).unwrap_or(f64::INFINITY);
        // A check costs a new process: what is ahead by noise alone is not worth one.
        let is_ahead = self.best.is_none_or(|best| cost * (1.0 + LEAST) < best);
        self.unchecked += 1;
        if !doubtful.is_empty() && (is_ahead || self.unchecked > UNCHECKED) && !warm.is_cut() {
            return true;
        }
        self.believe(cost);
        false
    }

    fn believe(&mut self, cost: f64) {
        self.best = Some(self.best.map_or(cost, |best| best.min(cost)));
    }

    /// What a fresh process says of a candidate of which a warm one said something else, or the same.
    pub fn compared(&mut self, knobs: Vec<String>, warm: &Response, fresh: Response) -> Response {
        self.unchecked = 0;
        if [warm.outcome, fresh.outcome] == [Outcome::PoorQuality; 2] {
            self.scope.compared(knobs, true);
            return fresh;
        }
        if fresh.is_failed() || (fresh.is_cut() && !warm.is_failed()) {
            return fresh;
        }
        let raised = match warm.outcome {
            // It says more of all that ran there before than of what was changed last.
            Outcome::OutOfMemory | Outcome::OutOfDeviceMemory => Vec::new(),
            _ => {
                let agree =
                    !warm.is_failed() && !differ(&costs(&warm.samples), &costs(&fresh.samples));
                self.scope.compared(knobs, agree)
            }
        };
        let [before, now] = [warm, &fresh].map(said);
        if !raised.is_empty() {
            let raised = raised.join(", ");
            self.news.push(format!(
                "{raised} takes a new process from here on: changed in one that ran, {before}; in a \
                 fresh one {now}"
            ));
        } else if warm.is_failed() && !std::mem::replace(&mut self.has_failed, true) {
            self.news.push(format!(
                "a process that had run other trials failed: {before}; a fresh one did not, and counts: {now}"
            ));
        }
        fresh
    }

    /// Ends the process of now.
    pub fn end(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(true), Process::close).map(drop)
    }
}

/// What a process did, in words.
fn said(answer: &Response) -> String {
    match stats::median(costs(&answer.samples)) {
        Some(cost) if !answer.is_failed() => format!("{cost:.3} s per run"),
        _ => format!("{} ({})", answer.outcome, answer.detail),
    }
}

fn costs(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(Sample::cost).collect()
}

/// Whether two processes differ by more than the noise of their repetitions.
fn differ(warm: &[f64], fresh: &[f64]) -> bool {
    let logs = |costs: &[f64]| costs.iter().map(|cost| cost.ln()).collect::<Vec<_>>();
    let [warm, fresh] = [warm, fresh].map(logs);
    let deviations = [&warm, &fresh].map(|logs| stats::deviation(logs));
    let deviation = deviations.into_iter().flatten().fold(0.0, f64::max);
    let Some((warm, fresh)) = stats::median(&warm).zip(stats::median(&fresh)) else { return false };
    // One repetition shows no noise.
    let least = if deviations.contains(&None) { 2.0 * LEAST } else { LEAST };
    (warm - fresh).abs() > least.max(DEVIATIONS * deviation)
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::knobs::Value;
    use crate::launch::Effect;
    use crate::runner::Repetitions;

    fn answer(outcome: Outcome) -> Response {
        let mut answer = Response::new(1, Repetitions::exactly(1));
        match outcome {
            Outcome::Ok => answer.keep(Sample { seconds: 2.0, ..Sample::default() }, 2.0),
            _ => answer.fail(outcome, "so it says".to_owned()),
        }
        answer
    }

    #[test]
    fn what_a_past_may_have_caused_is_looked_at_in_a_fresh_process() {
        let is_due = |outcome: &&Outcome| {
            let mut state = State { best: Some(1.0), ..State::default() };
            state.is_due_for_check(&answer(**outcome), &[])
        };
        let due: Vec<String> =
            Outcome::VARIANTS.iter().filter(is_due).map(ToString::to_string).collect();
        let [host, device] = ["out-of-memory", "out-of-device-memory"];
        let expected = ["misapplied", "timeout", host, device, "crashed", "wrong-output"];
        assert_eq!(due, expected);
        let doubtful = ["precision".to_owned()];
        assert!(State::default().is_due_for_check(&answer(Outcome::PoorQuality), &doubtful));
    }

    #[test]
    fn a_candidate_that_is_ahead_by_noise_alone_is_looked_at_in_its_turn() {
        // The trial takes 2 s.
        let is_due = |best, unchecked| {
            let mut state = State { best, unchecked, ..State::default() };
            state.is_due_for_check(&answer(Outcome::Ok), &["precision".to_owned()])
        };
        assert!(is_due(None, 0) && is_due(Some(2.2), 0));
        assert!(!is_due(Some(2.1), 0) && !is_due(Some(1.9), 0));
        assert!(is_due(Some(1.9), UNCHECKED));
    }

    #[test]
    fn a_knob_whose_change_fails_twice_takes_a_new_process_and_lost_memory_is_nobodys_fault() {
        let mut state = State::default();
        let values: Values = [("vae_tile_size".to_owned(), Value::Integer(64))].into();
        let run_scope = ["vae_tile_size".to_owned()].into();
        state.scope.learn(&Effect { applied: values, run_scope, ..Effect::default() });
        let mut is_run_after = |outcome| {
            let knobs = vec!["vae_tile_size".to_owned()];
            assert!(!state.compared(knobs, &answer(outcome), answer(Outcome::Ok)).is_failed());
            state.scope.is_run("vae_tile_size")
        };
        let outcomes = [Outcome::OutOfMemory, Outcome::OutOfMemory, Outcome::Crashed];
        assert_eq!(outcomes.map(&mut is_run_after), [true; 3]);
        assert!(!is_run_after(Outcome::Crashed));
        let [once, raised] = &state.news[..] else { panic!("{:?}", state.news) };
        assert_eq!(
            once,
            "a process that had run other trials failed: out-of-memory (so it says); a fresh one \
             did not, and counts: 2.000 s per run"
        );
        assert_eq!(
            raised,
            "vae_tile_size takes a new process from here on: changed in one that ran, crashed (so \
             it says); in a fresh one 2.000 s per run"
        );
    }

    #[test]
    fn a_difference_has_to_be_large_and_larger_than_noise() {
        // Medians 1 and 1.1: ln 1.1 = 0.095. Deviations of the logs: 0.01 and 0.05.
        let quiet = [0.99, 1.0, 1.01];
        assert!(differ(&quiet, &[1.09, 1.1, 1.11]));
        assert!(!differ(&quiet, &[1.05, 1.1, 1.16]));
        assert!(!differ(&quiet, &[1.06, 1.07, 1.08]));
        assert!(!differ(&[1.0], &[1.15]) && differ(&[1.0], &[1.2]));
    }
}
