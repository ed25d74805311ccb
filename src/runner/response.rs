//! What a worker answered to one job, checked message by message.

use std::collections::BTreeMap;

use super::process::output_lines::shortened;
use super::protocol::Message;
use super::{Repetitions, TrialRequest};
use crate::launch::Effect;
use crate::trial::{OVER, Outcome, Peak, Quality, Sample};
use crate::workload::custom::printed::MetricValue;
use crate::workload::metric::Direction;

/// How the words begin for a worker that ends before it has said all.
pub const ENDED_EARLY: &str = "ended early";

/// The longest repetition that is believed.
const LONGEST_S: f64 = 1e9;

/// One trial's result as its process told it.
#[derive(Clone, Debug, Default)]
pub struct Response {
    trial: u64,
    repetitions: Repetitions,
    is_done: bool,
    is_cut: bool,
    /// Whether the worker itself said that it failed.
    pub says_failed: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The outcome in words; empty for ok.
    pub detail: String,
    /// The repetitions.
    pub samples: Vec<Sample>,
    /// Seconds from the worker's start to its first repetition.
    pub setup_s: Option<f64>,
    /// Seconds of the last run of its warm-up.
    pub warmup_s: Option<f64>,
    /// Peak resident memory.
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that was held on one GPU, as far as it was seen or said.
    pub peak_device_bytes: Option<u64>,
    /// Peak resident memory of each of the models' stages.
    pub stage_rss_bytes: BTreeMap<String, u64>,
    /// How good the picture was.
    pub quality: Option<Quality>,
    /// How many frames a worker handed over.
    pub pictures: Option<u64>,
    /// What the process could do at the most.
    pub peak: Option<Peak>,
    /// What the process read back.
    pub effect: Option<Effect>,
    /// Seconds inside its repetitions.
    pub measured_s: f64,
    /// Seconds from spawn to end.
    pub wall_s: f64,
}

impl Response {
    /// Nothing heard yet.
    pub fn new(trial: u64, repetitions: Repetitions) -> Self {
        Self { trial, repetitions, ..Self::default() }
    }

    /// That of a trial for which no process was asked.
    pub fn failed(request: &TrialRequest, outcome: Outcome, detail: String) -> Self {
        Self { outcome, detail, ..Self::new(request.number, request.repetitions) }
    }

    /// Ends it as interrupted where it ran out of time with the whole budget.
    pub fn judge_timeout(&mut self, request: &TrialRequest) {
        if self.outcome == Outcome::Timeout && request.ends_with_the_budget() {
            (self.outcome, self.detail) = (Outcome::Interrupted, OVER.to_owned());
        }
    }

    /// Whether it has failed.
    pub fn is_failed(&self) -> bool {
        self.outcome != Outcome::Ok
    }

    /// Takes the first failure; later ones are its consequences.
    pub fn fail(&mut self, outcome: Outcome, detail: String) {
        if !self.is_failed() {
            (self.outcome, self.detail) = (outcome, detail);
        }
    }

    /// Gives the trial up if its first repetition cost more than `limit`: it is ok with fewer samples
    /// than others, and its detail says so.
    pub fn cut_above(&mut self, limit: Option<f64>) -> bool {
        let ([sample], Some(limit)) = (&self.samples[..], limit) else { return false };
        self.is_cut = !self.is_failed() && self.repetitions.most > 1 && sample.cost() > limit;
        if self.is_cut {
            self.detail = match sample.metric {
                None => {
                    let seconds = sample.seconds;
                    format!("cut after {seconds:.3} s: early stop above {limit:.3} s")
                }
                Some(MetricValue { value, goal }) => {
                    let beyond = if goal == Direction::Min { "above" } else { "below" };
                    let limit = goal.cost(limit);
                    format!("cut at a metric of {value:.3}: early stop {beyond} {limit:.3}")
                }
            };
        }
        self.is_cut
    }

    /// Whether the worker said its last word on this job.
    pub fn is_over(&self) -> bool {
        self.is_done || self.is_failed()
    }

    /// Whether it was given up.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Takes one line of the worker.
    ///
    /// # Errors
    /// What makes no sense about it.
    pub fn receive(&mut self, line: &str) -> Result<(), String> {
        let message: Message = serde_json::from_str(line).map_err(|error| {
            let is_printed = !line.trim_start().starts_with('{');
            let cure =
                if is_printed { "; what a worker prints belongs on standard error" } else { "" };
            format!("`{}` is no message: {error}{cure}", shortened(line))
        })?;
        if self.is_done || self.is_failed() {
            return Err("a message after the last".to_owned());
        }
        let trial = match &message {
            Message::Ready { trial, .. }
            | Message::Sample { trial, .. }
            | Message::Done { trial, .. }
            | Message::Failed { trial, .. } => *trial,
        };
        if trial != self.trial {
            return Err(format!("an answer for trial {trial}, not {}", self.trial));
        }
        self.take(message)
    }

    fn take(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Ready { setup_s, warmup_s, effect, .. } => {
                is_duration("setup_s", setup_s)?;
                self.warmup_s = warmup_s;
                if self.setup_s.replace(setup_s).is_some() {
                    return Err("`ready` twice".to_owned());
                }
                self.effect = Some(*effect);
            }
            Message::Sample { sample, wall_s, .. } => self.take_sample(sample, wall_s)?,
            Message::Done {
                trial: _,
                peak_rss_bytes,
                peak_device_bytes,
                stage_rss_bytes,
                quality,
                pictures,
                peak,
            } => {
                let told = (peak_rss_bytes > 0).then_some(peak_rss_bytes);
                self.peak_rss_bytes = told.or(self.peak_rss_bytes);
                self.peak_device_bytes = self.peak_device_bytes.max(peak_device_bytes);
                (self.quality, self.pictures, self.peak) = (quality, pictures, peak);
                self.stage_rss_bytes = stage_rss_bytes;
                self.is_done = true;
            }
            Message::Failed { outcome: Outcome::Ok, .. } => {
                return Err("failed with outcome ok".to_owned());
            }
            Message::Failed { outcome, detail, .. } => {
                self.says_failed = true;
                self.fail(outcome.told_by(&detail), detail);
            }
        }
        Ok(())
    }

    fn take_sample(&mut self, sample: Sample, wall_s: f64) -> Result<(), String> {
        if self.setup_s.is_none() {
            return Err("a sample before `ready`".to_owned());
        }
        let most = self.repetitions.most;
        if self.samples.len() == most as usize {
            return Err(format!("more than {most} samples"));
        }
        is_duration("seconds", sample.seconds)?;
        if sample.seconds == 0.0 {
            return Err("a repetition of 0 seconds".to_owned());
        }
        sample.metric.map_or(Ok(()), |metric| metric.check())?;
        for (stage, &seconds) in &sample.stages {
            is_duration(stage, seconds)?;
        }
        is_duration("run_queue_share", sample.run_queue_share)?;
        is_duration("wall_s", wall_s)?;
        let wall_s = if wall_s > 0.0 { wall_s } else { sample.seconds };
        self.keep(sample, wall_s);
        Ok(())
    }

    /// Keeps a repetition that took `wall_s` seconds in all.
    pub fn keep(&mut self, sample: Sample, wall_s: f64) {
        self.measured_s += wall_s;
        self.samples.push(sample);
    }

    /// Whether everything that a good trial says was said.
    ///
    /// # Errors
    /// What is missing.
    pub fn complete(&self) -> Result<(), String> {
        let (said, least) = (self.samples.len(), self.repetitions.least);
        if !self.is_done || said < least as usize {
            return Err(format!("{ENDED_EARLY}, after {said} of {least} samples:"));
        }
        Ok(())
    }
}

fn is_duration(name: &str, seconds: f64) -> Result<(), String> {
    let sane = seconds.is_finite() && (0.0..LONGEST_S).contains(&seconds);
    if sane { Ok(()) } else { Err(format!("{name} = {seconds} is no duration")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seconds` is all that a worker of one's own has to know.
    #[test]
    fn what_a_worker_does_not_know_may_be_left_out() {
        let mut answer = Response::new(1, Repetitions::exactly(1));
        for line in [
            r#"{"ready": {"trial": 1, "setup_s": 0.5, "new": 1}}"#,
            r#"{"sample": {"trial": 1, "sample": {"seconds": 1.5, "new": {}}}}"#,
            r#"{"done": {"trial": 1}}"#,
        ] {
            answer.receive(line).unwrap();
        }
        assert_eq!(answer.complete(), Ok(()));
        assert_eq!((answer.measured_s, answer.peak_rss_bytes), (1.5, None));
    }

    #[test]
    fn a_worker_may_say_any_number_of_samples_within_the_bounds() {
        let heard = |samples: usize| {
            let mut answer = Response::new(1, Repetitions { least: 2, most: 4 });
            let ready =
                Message::Ready { trial: 1, setup_s: 0.5, warmup_s: None, effect: Box::default() };
            answer.take(ready).unwrap();
            for _ in 0..samples {
                let sample = Sample { seconds: 1.5, ..Sample::default() };
                answer.take(Message::Sample { trial: 1, sample, wall_s: 3.0 })?;
            }
            answer.is_done = true;
            answer.complete().map(|()| answer.measured_s)
        };
        assert_eq!([2, 3, 4].map(heard), [Ok(6.0), Ok(9.0), Ok(12.0)]);
        assert_eq!(heard(1).unwrap_err(), "ended early, after 1 of 2 samples:");
        assert_eq!(heard(5).unwrap_err(), "more than 4 samples");
    }
}
