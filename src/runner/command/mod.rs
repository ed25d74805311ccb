//! A user's own command as a trial: each repetition is a fresh process of the whole program.

mod check;
pub mod copies;
mod process_snapshot;
mod run;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::pictures::PictureCheck;
use super::process::Limit;
use super::response::Response;
use crate::knobs::Settings;
use crate::knobs::effect::in_words;
use crate::runner::Repetitions;
use crate::trial::{Outcome, Sample};
use crate::workload::custom::CommandJob;
use crate::workload::custom::printed::{MetricSource, MetricValue};
use run::Run;

/// How a run failed, and in words.
type Failure = (Outcome, String);

/// All runs of one trial.
pub struct CommandTrial<'a> {
    /// What is run.
    pub command: &'a CommandJob,
    /// Its words, whose placeholders `exec` fills in.
    pub words: Vec<String>,
    /// `wan22-tune`, for its `exec`.
    pub tuner: &'a Path,
    /// The trial's profile.
    pub profile: &'a Path,
    /// What the profile asks for.
    pub settings: &'a Settings,
    /// Measured runs.
    pub repetitions: Repetitions,
    /// Seconds of a run from which the fewest are enough.
    pub long_s: Option<f64>,
    /// What its pictures are held to, where they are compared.
    pub pictures: Option<PictureCheck<'a>>,
    /// What the trial may use.
    pub limit: Limit,
    /// Whether somebody wants the tuner to stop.
    pub stop: &'a dyn Fn() -> bool,
}

impl CommandTrial<'_> {
    /// Runs trial `number` to its end.
    ///
    /// # Errors
    /// Only when the machine can't start processes at all; a bad trial is an [`Response`].
    pub fn answer(&self, number: u64) -> Result<Response> {
        let started = Instant::now();
        let source = self.command.source().map_err(anyhow::Error::msg)?;
        let mut answer = Response::new(number, self.repetitions);
        for round in 0..self.command.warmup + self.repetitions.most {
            if round == self.command.warmup {
                answer.setup_s = Some(started.elapsed().as_secs_f64());
            }
            let before = self.pictures.as_ref().and_then(PictureCheck::before);
            let run = self.run(started)?;
            answer.peak_rss_bytes = answer.peak_rss_bytes.max(run.peak_rss_bytes);
            answer.peak_device_bytes = answer.peak_device_bytes.max(run.peak_device_bytes);
            match self.judge(&run, source.as_ref(), started)? {
                Ok(sample) if round >= self.command.warmup => {
                    let wall_s = sample.seconds;
                    answer.keep(sample, wall_s);
                    if let Some((check, before)) = self.pictures.as_ref().zip(before) {
                        check.judge(before.and_then(|before| before.written()), &mut answer);
                    }
                }
                Ok(_) => {}
                Err((outcome, detail)) => answer.fail(outcome, detail),
            }
            if answer.is_failed() {
                break;
            }
            answer.effect = run.look.map(|look| look.effect);
            let is_long = self.long_s.is_some_and(|long_s| run.wall_s > long_s);
            let is_enough = answer.samples.len() >= self.repetitions.least as usize;
            if answer.cut_above(self.limit.sample_s) || (is_long && is_enough) {
                break;
            }
        }
        let binding = answer.effect.as_ref().and_then(|e| e.own_binding(self.settings));
        if let Some(binding) = binding.filter(|_| answer.detail.is_empty()) {
            answer.detail = binding;
        }
        answer.wall_s = started.elapsed().as_secs_f64();
        Ok(answer)
    }

    /// What one run came to: a sample, or how it failed.
    fn judge(
        &self,
        run: &Run,
        source: Option<&MetricSource>,
        started: Instant,
    ) -> Result<Result<Sample, Failure>> {
        if let Some(failure) = run.failure() {
            return Ok(Err(failure));
        }
        let effect = run.look.as_ref().map(|look| &look.effect);
        let mismatches = effect.map(|effect| effect.foreign_mismatches(self.settings));
        if let Some(mismatches) = mismatches.filter(|mismatches| !mismatches.is_empty()) {
            return Ok(Err((Outcome::Misapplied, in_words(&mismatches))));
        }
        let value = source.map(|source| run.metric(source)).transpose();
        let value = match value {
            Ok(value) => value,
            Err(problem) => return Ok(Err((Outcome::WrongOutput, problem))),
        };
        let goal = self.command.goal;
        if let Some(odd) = value.filter(|value| !goal.cost(*value).is_finite()) {
            let why = format!("the metric is {odd}: as good as 0, of which nothing can be a share");
            return Ok(Err((Outcome::WrongOutput, why)));
        }
        if let Some(failure) = self.check(run, started)? {
            return Ok(Err(failure));
        }
        let look = run.look.as_ref();
        Ok(Ok(Sample {
            slice_s: None,
            seconds: run.wall_s,
            metric: value.map(|value| MetricValue { value, goal }),
            minor_faults: look.map_or(0, |look| look.minor_faults),
            run_queue_share: look.map_or(0.0, |look| look.waited_s / run.wall_s),
            ..Sample::default()
        }))
    }
}
