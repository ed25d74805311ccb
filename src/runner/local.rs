//! Local runner: starts the worker or a command on this machine for each trial, and judges what it says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use bytesize::ByteSize;

use super::command::{CommandTrial, copies};
use super::process::Limit;
use super::programs::Programs;
use super::response::Response;
use super::{Runner, TrialRequest, protocol, worker};
use crate::architecture::Architecture;
use crate::io::held;
use crate::knobs::effect::in_words;
use crate::knobs::{Baseline, Knobs, Numerics, Settings, Values};
use crate::machine::Machine;
use crate::profile::Profile;
use crate::trial::noise::NoiseWatch;
use crate::trial::{Outcome, Phase, Quality, Trial};
use crate::workload::custom::{CommandJob, CustomJob};
use crate::workload::{MemoryContext, Stage, Tilings, Workload};

/// What rounding leaves of two pictures that should be equal: float32 keeps 120 dB, another order
/// of sums takes some 20.
const NEUTRAL_DB: f64 = 80.0;

/// Runs trials on this machine; the fields are what they have in common.
#[derive(Clone, Debug)]
pub struct LocalRunner {
    /// The machine.
    pub machine: Machine,
    /// The baseline fitted to it.
    pub baseline: Baseline,
    /// The programs.
    pub programs: Programs,
    /// The user's own job, if it is not the pipeline that runs.
    pub custom_job: Option<CustomJob>,
    /// How the models are built.
    pub parts: Architecture,
    /// The user's own weights, in diffusers layout.
    pub weights: Option<PathBuf>,
    /// Memory that a trial may take.
    pub memory_bytes: u64,
    /// Memory that a trial may hold on one GPU; `None` for all of it.
    pub device_bytes: Option<u64>,
    /// Input pictures.
    pub images: Vec<PathBuf>,
    /// Where a trial's launch file and frames go.
    pub scratch: PathBuf,
    /// Set when somebody wants the tuner to finish: it ends the trial under way.
    pub stop: Arc<AtomicBool>,
}

impl Runner for LocalRunner {
    fn run(&self, request: &TrialRequest) -> Result<Trial> {
        let started = jiff::Timestamp::now().to_string();
        let noise = NoiseWatch::start();
        let answer = self.answer(request)?;
        let noise = noise.finish(&self.machine.allowed);
        Ok(Self::trial(answer, Trial { noise, ..request.trial(started) }))
    }

    fn identity(&self, workload: &Workload, values: &Values) -> Option<u64> {
        let settings = self.knobs(values).ok()?.resolve(&self.machine).ok()?;
        Some(settings.identity(workload))
    }

    fn baseline(&self) -> Values {
        self.baseline.knobs.values()
    }

    fn measured(&self, workload: &Workload, mut values: Values) -> Values {
        let usual = self.baseline();
        let unseen = |values: &Values| {
            let settings = self.knobs(values).and_then(|knobs| knobs.resolve(&self.machine));
            settings.map_or_else(|_| Vec::new(), |all| workload.unseen_tiles(&self.parts, &all))
        };
        let (now, before) = (unseen(&values), unseen(&usual));
        for name in now.into_iter().filter(|name| before.contains(name)) {
            values.insert(name.to_owned(), usual[name].clone());
        }
        values
    }

    fn pictures(&self) -> Option<PathBuf> {
        Some(held::now(&self.scratch))
    }
}

impl LocalRunner {
    /// The journal's row of `trial` with what was answered.
    pub(super) fn trial(answer: Response, trial: Trial) -> Trial {
        Trial {
            overhead_s: (answer.wall_s - answer.measured_s).max(0.0),
            outcome: answer.outcome,
            detail: answer.detail,
            samples: answer.samples,
            peak_rss_bytes: answer.peak_rss_bytes,
            peak_device_bytes: answer.peak_device_bytes,
            setup_s: answer.setup_s,
            wall_s: answer.wall_s,
            stage_rss_bytes: answer.stage_rss_bytes,
            quality: answer.quality,
            peak: answer.peak,
            effect: answer.effect.map(|effect| effect.digest()).unwrap_or_default(),
            ..trial
        }
    }

    /// The knobs that `values` stand for.
    pub(super) fn knobs(&self, values: &Values) -> Result<Knobs, String> {
        self.baseline.knobs.with(values)
    }

    fn answer(&self, request: &TrialRequest) -> Result<Response> {
        let begun = Instant::now();
        if let Some(baseline) = self.for_pictures(request) {
            let answer = self.answer(&baseline)?;
            if answer.is_failed() {
                return Ok(Self::without_pictures(answer));
            }
        }
        let request = &request.later(begun.elapsed());
        let resolved = self.knobs(&request.values);
        let resolved =
            resolved.and_then(|knobs| Ok((self.settings(&request.workload, &knobs)?, knobs)));
        let (settings, knobs) = match resolved {
            Ok(resolved) => resolved,
            Err(problem) => return Ok(Response::failed(request, Outcome::Illegal, problem)),
        };
        let launch = self.launch_file(&knobs)?;
        // Where that was written: it may have been moved since.
        let scratch = launch.parent().unwrap_or(&self.scratch);
        let programs = || [&self.programs.tuner, &self.programs.worker].map(|path| held::now(path));
        let begun = programs();
        let limit = self.limit(request);
        let mut answer = match &self.custom_job {
            Some(CustomJob::Command(command)) => {
                let command = &command.at(&request.workload.own_sizes);
                match copies::write(command, &knobs.values(), &scratch.join("json")) {
                    Ok(words) => {
                        self.run_command((command, words), request, &settings, &launch, limit)?
                    }
                    Err(problem) => Response::failed(request, Outcome::Interrupted, problem),
                }
            }
            Some(CustomJob::Module(_) | CustomJob::Worker(_)) | None => {
                self.run_worker(request, settings, &launch, limit)?
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
        answer.judge_timeout(request);
        Ok(answer)
    }

    /// What the trial may use.
    pub(super) fn limit(&self, request: &TrialRequest) -> Limit {
        Limit {
            time: request.time(),
            ready_s: request.ready_s,
            memory_bytes: self.memory_bytes,
            device_bytes: self.device_bytes,
            sample_s: request.early_stop_s,
        }
    }

    fn run_command(
        &self,
        (command, words): (&CommandJob, Vec<String>),
        request: &TrialRequest,
        settings: &Settings,
        profile: &Path,
        limit: Limit,
    ) -> Result<Response> {
        let stop = || self.stop.load(Ordering::Relaxed);
        let (tuner, repetitions) = (&*self.programs.tuner, request.repetitions);
        let long_s = request.long_s;
        let runs = CommandTrial {
            command,
            words,
            tuner,
            profile,
            settings,
            repetitions,
            long_s,
            pictures: self.picture_check(request),
            limit,
            stop: &stop,
        };
        runs.answer(request.number)
    }

    fn run_worker(
        &self,
        request: &TrialRequest,
        settings: Settings,
        profile: &Path,
        limit: Limit,
    ) -> Result<Response> {
        let stop = || self.stop.load(Ordering::Relaxed);
        let job = self.job(request, settings)?;
        let mut answer = worker::run(&self.programs, profile, &job, limit, &stop)?;
        self.judge(&mut answer, &job.settings, request.min_psnr_db);
        Ok(answer)
    }

    /// Writes the profile by which a process under `knobs` is started.
    pub(super) fn launch_file(&self, knobs: &Knobs) -> Result<PathBuf> {
        let now = jiff::Timestamp::now().to_string();
        let profile = Profile::new(&self.machine, &self.baseline, knobs, now);
        let profile = profile.map_err(anyhow::Error::msg)?;
        held::at(&self.scratch, |scratch| {
            let file = scratch.join("launch.json");
            profile.write(&file).map(|()| file)
        })
    }

    /// What `knobs` come to here.
    ///
    /// # Errors
    /// Why the machine can't run them, or has too little memory for the job under them.
    pub fn settings(&self, workload: &Workload, knobs: &Knobs) -> Result<Settings, String> {
        let settings = knobs.resolve(&self.machine)?;
        let (bytes, most) = (self.bytes(workload, knobs), self.memory_bytes);
        let [whole, usual] =
            [knobs, &self.baseline.knobs].map(|knobs| self.working(workload, knobs));
        let too_much = match () {
            () if bytes > most => format!("it needs about {} of memory", ByteSize(bytes)),
            () if whole > most && usual <= most => {
                format!("the whole job would work on about {} of memory at once", ByteSize(whole))
            }
            () => return Ok(settings),
        };
        Err(format!("{too_much}; --max-memory is {}", ByteSize(most)))
    }

    /// Whether memory has room for the job under the baseline.
    pub fn has_room(&self, workload: &Workload) -> bool {
        self.bytes(workload, &self.baseline.knobs) <= self.memory_bytes
    }

    fn bytes(&self, workload: &Workload, knobs: &Knobs) -> u64 {
        if workload.is_custom() {
            // Nobody knows; the watch on the process does.
            return 0;
        }
        let has_own_weights = self.weights.is_some();
        let context = MemoryContext {
            knobs,
            makes_reference: !self.has_reference(workload),
            has_own_weights,
        };
        workload.memory_bytes(&self.parts, context)
    }

    fn working(&self, workload: &Workload, knobs: &Knobs) -> u64 {
        if workload.is_custom() { 0 } else { workload.working_bytes(&self.parts, knobs) }
    }

    /// Whether some trial made the reference for this size of the job.
    fn has_reference(&self, workload: &Workload) -> bool {
        let scratch = held::now(&self.scratch);
        protocol::references(workload).iter().any(|name| scratch.join(name).exists())
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

    pub(super) fn job(&self, request: &TrialRequest, settings: Settings) -> Result<protocol::Job> {
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
            trial: request.number,
            workload: request.workload.clone(),
            cold_stages: self.cold_stages(request, &settings),
            settings,
            repetitions: request.repetitions,
            warmup: 1,
            images: if request.workload.has(Stage::Read) {
                self.images.clone()
            } else {
                Vec::new()
            },
            output: scratch.join("frames"),
            weights: self.weights.clone(),
            references: scratch,
            seed: request.seed,
            module: match &self.custom_job {
                Some(CustomJob::Module(module)) => Some(module.clone()),
                _ => None,
            },
            knobs: Values::new(),
            pictures: false,
            stop_above_s: None,
        })
    }

    /// The stages without a warm-up: in a search those that hardly count, unless what they make in
    /// their warm-up may differ from the reference.
    fn cold_stages(&self, request: &TrialRequest, settings: &Settings) -> Vec<Stage> {
        let workload = &request.workload;
        if request.phase != Phase::Search || !workload.is_slice() {
            return Vec::new();
        }
        let (numerics, tilings) =
            (settings.numerics, Tilings::new(&self.parts, workload, settings));
        let is_reference = |stage: &Stage| match stage {
            Stage::Encode => numerics.vae_is_neutral() && tilings.encode.is_none(),
            Stage::Decode => numerics.vae_is_neutral() && tilings.decode.is_none(),
            _ => numerics.is_neutral(),
        };
        let mut small = workload.small_stages(&self.parts);
        small.retain(is_reference);
        small
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
