//! Bench: what every trial of a tune has in common, and how one is run and judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytesize::ByteSize;

use super::Runner;
use crate::architecture::Architecture;
use crate::io::held;
use crate::knobs::Values;
use crate::knobs::effect::in_words;
use crate::knobs::{Baseline, Knobs, Numerics, Settings};
use crate::machine::Machine;
use crate::profile::Profile;
use crate::runner::command::Runs;
use crate::runner::response::Response;
use crate::runner::worker;
use crate::runner::worker::{Limit, Programs};
use crate::runner::{Repetitions, protocol};
use crate::trial::noise::NoiseWatch;
use crate::trial::{Outcome, Phase, Quality, Trial};
use crate::workload::custom::{CommandJob, CustomJob};
use crate::workload::{MemoryContext, Stage, Workload};

/// What rounding leaves of two pictures that should be equal: float32 keeps 120 dB, another order
/// of sums takes some 20.
const NEUTRAL_DB: f64 = 80.0;

/// The worst picture that may win, in dB, unless the user or the baseline's own picture says
/// another: above it a picture is hard to tell from the original.
pub const MIN_PSNR_DB: f64 = 30.0;

/// What one trial runs besides knobs: the same for all trials of a tune.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The machine.
    pub machine: Machine,
    /// The baseline fitted to it.
    pub baseline: Baseline,
    /// The programs.
    pub programs: Programs,
    /// The user's own job, if it is not the pipeline that runs.
    pub own: Option<CustomJob>,
    /// How the models are built.
    pub parts: Architecture,
    /// The user's own weights, in diffusers layout.
    pub weights: Option<PathBuf>,
    /// Memory that a trial may take.
    pub memory_bytes: u64,
    /// The worst picture that may win, in dB, where the user says so.
    pub min_psnr_db: Option<f64>,
    /// Input pictures.
    pub images: Vec<PathBuf>,
    /// Where a trial's launch file and frames go.
    pub scratch: PathBuf,
    /// Seeds everything.
    pub seed: u64,
    /// How often a trial measures.
    pub repetitions: Repetitions,
    /// Set when somebody wants the tuner to finish.
    pub stop: Arc<AtomicBool>,
}

/// What one trial is asked to do.
#[derive(Clone, Debug)]
pub struct TrialRequest<'a> {
    /// The part of the tune.
    pub phase: Phase,
    /// Confirmation pair.
    pub pair: Option<u64>,
    /// Who proposed it.
    pub strategy: &'a str,
    /// What to run.
    pub workload: &'a Workload,
    /// The value of every knob.
    pub values: &'a Values,
    /// The worst picture that it may make, dB.
    pub min_psnr_db: f64,
    /// What it may take before it counts as too slow.
    pub limit: Duration,
    /// Seconds after which it counts as too slow unless it is ready to measure.
    pub ready_s: Option<f64>,
    /// What is left of the budget for it; when this ends first, nothing was learnt of it.
    pub left: Duration,
    /// The cost above which its first repetition is enough to give it up.
    pub early_stop_s: Option<f64>,
}

impl TrialRequest<'_> {
    /// How long it may run.
    pub fn time(&self) -> Duration {
        self.limit.min(self.left)
    }

    /// Whether it is the budget that ends it when its time is up. Where nothing is known yet that
    /// would make a limit, the limit is the budget.
    pub fn ends_with_the_budget(&self) -> bool {
        self.left <= self.limit
    }
}

impl Runner for Bench {
    fn run(&self, number: u64, order: &TrialRequest<'_>) -> Result<Trial> {
        let started = jiff::Timestamp::now().to_string();
        let noise = NoiseWatch::start();
        let answer = self.answer(number, order)?;
        Ok(Trial {
            number,
            started,
            phase: order.phase,
            pair: order.pair,
            strategy: order.strategy.to_owned(),
            seed: self.seed,
            workload: order.workload.to_string(),
            knobs: order.values.clone(),
            overhead_s: (answer.wall_s - answer.measured_s).max(0.0),
            outcome: answer.outcome,
            detail: answer.detail,
            samples: answer.samples,
            peak_rss_bytes: answer.peak_rss_bytes,
            setup_s: answer.setup_s,
            wall_s: answer.wall_s,
            spent_s: None,
            noise: noise.finish(&self.machine.allowed),
            stage_rss_bytes: answer.stage_rss_bytes,
            quality: answer.quality,
            peak: answer.peak,
            effect: answer.effect.map(|effect| effect.digest()).unwrap_or_default(),
            tool: crate::TOOL.to_owned(),
        })
    }

    fn identity(&self, workload: &Workload, values: &Values) -> Option<u64> {
        let settings = self.knobs(values).ok()?.resolve(&self.machine).ok()?;
        Some(settings.identity(workload))
    }

    fn baseline(&self) -> Values {
        self.baseline.knobs.values()
    }
}

impl Bench {
    /// The knobs that `values` stand for.
    fn knobs(&self, values: &Values) -> Result<Knobs, String> {
        self.baseline.knobs.with(values.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn answer(&self, number: u64, order: &TrialRequest<'_>) -> Result<Response> {
        let resolved = self.knobs(order.values);
        let resolved =
            resolved.and_then(|knobs| Ok((self.settings(order.workload, &knobs)?, knobs)));
        let (settings, knobs) = match resolved {
            Ok(resolved) => resolved,
            Err(problem) => {
                let mut answer = Response::new(number, self.repetitions);
                answer.fail(Outcome::Illegal, problem);
                return Ok(answer);
            }
        };
        let now = jiff::Timestamp::now().to_string();
        let profile = Profile::new(&self.machine, &self.baseline, &knobs, now);
        let profile = profile.map_err(anyhow::Error::msg)?;
        let scratch = held::at(&self.scratch, |scratch| {
            profile.write(&scratch.join("launch.json")).map(|()| scratch.to_owned())
        })?;
        let launch = scratch.join("launch.json");
        let programs = || [&self.programs.tuner, &self.programs.worker].map(|path| held::now(path));
        let begun = programs();
        let time = order.time();
        let memory_bytes = self.memory_bytes;
        let TrialRequest { ready_s, early_stop_s: sample_s, .. } = *order;
        let limit = Limit { time, ready_s, memory_bytes, sample_s };
        let mut answer = match &self.own {
            Some(CustomJob::Command(command)) => {
                self.run_command(command, number, &settings, &launch, limit)?
            }
            Some(CustomJob::Module(_)) | None => {
                self.run_worker(number, order, settings, &launch, limit)?
            }
        };
        if answer.is_failed() && held::now(&self.scratch) != scratch {
            answer.outcome = Outcome::Interrupted;
            answer.detail = "its folder was moved while it ran".to_owned();
        }
        // Which of the two was started can't be told.
        if programs() != begun {
            answer.outcome = Outcome::Interrupted;
            answer.detail = "a program of the trial was replaced while it ran".to_owned();
        }
        if answer.outcome == Outcome::Timeout && order.ends_with_the_budget() {
            answer.outcome = Outcome::Interrupted;
            answer.detail = crate::trial::OVER.to_owned();
        }
        Ok(answer)
    }

    fn run_command(
        &self,
        command: &CommandJob,
        number: u64,
        settings: &Settings,
        profile: &Path,
        limit: Limit,
    ) -> Result<Response> {
        let stop = || self.stop.load(Ordering::Relaxed);
        let (tuner, repetitions) = (&*self.programs.tuner, self.repetitions.least);
        let runs = Runs { command, tuner, profile, settings, repetitions, limit, stop: &stop };
        runs.answer(number)
    }

    fn run_worker(
        &self,
        number: u64,
        order: &TrialRequest<'_>,
        settings: Settings,
        profile: &Path,
        limit: Limit,
    ) -> Result<Response> {
        let stop = || self.stop.load(Ordering::Relaxed);
        let job = self.job(number, order, settings)?;
        let mut answer = worker::run(&self.programs, profile, &job, limit, &stop)?;
        self.judge(&mut answer, &job.settings, order.min_psnr_db);
        Ok(answer)
    }

    /// What `knobs` come to here.
    ///
    /// # Errors
    /// Why the machine can't run them, or has too little memory for the job under them.
    pub fn settings(&self, workload: &Workload, knobs: &Knobs) -> Result<Settings, String> {
        let settings = knobs.resolve(&self.machine)?;
        let bytes = self.bytes(workload, knobs);
        if bytes > self.memory_bytes {
            let (bytes, most) = (ByteSize(bytes), ByteSize(self.memory_bytes));
            return Err(format!("it needs about {bytes} of memory; --max-memory is {most}"));
        }
        Ok(settings)
    }

    pub(super) fn bytes(&self, workload: &Workload, knobs: &Knobs) -> u64 {
        if workload.is_custom() {
            // Nobody knows; the watch on the process does.
            return 0;
        }
        let has_own_weights = self.weights.is_some();
        let tenant = MemoryContext {
            knobs,
            makes_reference: !self.has_reference(workload),
            has_own_weights,
        };
        workload.memory_bytes(&self.parts, tenant)
    }

    /// Whether some trial made the reference for this size of the job.
    fn has_reference(&self, workload: &Workload) -> bool {
        let subjects =
            [protocol::DECODED, protocol::ENCODED, protocol::PREDICTED, protocol::EMBEDDED];
        let scratch = held::now(&self.scratch);
        subjects.iter().any(|what| scratch.join(protocol::reference(what, workload)).exists())
    }

    /// Fails an answer whose settings did not take, or whose picture is not good enough.
    fn judge(&self, answer: &mut Response, settings: &Settings, least: f64) {
        let mismatches = answer.effect.as_ref().map(|effect| effect.mismatches(settings));
        let differences = mismatches.unwrap_or_default();
        if !differences.is_empty() {
            answer.fail(Outcome::Misapplied, in_words(&differences));
        }
        let Some(quality) = answer.quality else { return };
        let (worst, neutral) = (quality.worst_db(), neutral_db(settings.numerics, quality));
        if neutral < NEUTRAL_DB {
            let detail =
                format!("PSNR {neutral:.1} dB although no knob that was set may change it");
            answer.fail(Outcome::WrongOutput, detail);
        } else if worst < least {
            let detail = format!("PSNR {worst:.1} dB against the reference; it takes {least:.1}");
            answer.fail(Outcome::PoorQuality, detail);
        }
    }

    fn job(
        &self,
        number: u64,
        order: &TrialRequest<'_>,
        settings: Settings,
    ) -> Result<protocol::Job> {
        let scratch = held::at(&self.scratch, |scratch| {
            let output = scratch.join("frames");
            if output.exists() {
                std::fs::remove_dir_all(&output).context("emptying the frames folder")?;
            }
            std::fs::create_dir_all(&output).context("making the frames folder")?;
            Ok(scratch.to_owned())
        })?;
        Ok(protocol::Job {
            version: protocol::VERSION,
            trial: number,
            workload: order.workload.clone(),
            settings,
            repetitions: self.repetitions.in_phase(order.phase),
            warmup: 1,
            images: if order.workload.has(Stage::Read) { self.images.clone() } else { Vec::new() },
            output: scratch.join("frames"),
            weights: self.weights.clone(),
            references: scratch,
            seed: self.seed,
            module: match &self.own {
                Some(CustomJob::Module(module)) => Some(module.clone()),
                _ => None,
            },
        })
    }
}

/// The lowest ratio of what `numerics` and tiles leave as it is; infinite where they change all.
fn neutral_db(numerics: Numerics, quality: Quality) -> f64 {
    let Quality { psnr_db, seam_psnr_db, prediction_db, embedding_db, .. } = quality;
    let is_whole = numerics.vae_is_neutral() && seam_psnr_db.is_none();
    let picture = is_whole.then_some(psnr_db);
    let others = [prediction_db, embedding_db].map(|db| db.filter(|_| numerics.is_neutral()));
    [picture, others[0], others[1]].into_iter().flatten().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::{MatmulPrecision, Precision};

    /// Halves of the transformer leave the VAE alone, and tiles leave the transformer alone.
    #[test]
    fn what_no_knob_may_change_is_held_to_rounding() {
        let whole = Quality {
            psnr_db: 70.0,
            prediction_db: Some(60.0),
            embedding_db: Some(50.0),
            ..Quality::default()
        };
        let tiled = Quality { seam_psnr_db: Some(40.0), ..whole };
        let of = |precision| Numerics { precision, ..Numerics::default() };
        let neutral = |precision, quality| neutral_db(of(precision), quality);
        assert_eq!(neutral(Precision::Fp32, whole), 50.0);
        assert_eq!(neutral(Precision::Bf16, whole), 70.0);
        assert_eq!(neutral(Precision::Bf16Vae, whole), f64::INFINITY);
        assert_eq!(neutral(Precision::Fp32, tiled), 50.0);
        assert_eq!(neutral(Precision::Bf16, tiled), f64::INFINITY);
        let medium = Numerics { matmul_precision: MatmulPrecision::Medium, ..Numerics::default() };
        assert_eq!(neutral_db(medium, whole), f64::INFINITY);
    }
}
