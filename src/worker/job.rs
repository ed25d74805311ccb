//! Job: one trial, read from standard input, with its messages on standard output.

use std::io::{Read, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Deserializer, Value};
use wan22_tune::architecture::Architecture;
use wan22_tune::knobs::placement::bind;
use wan22_tune::knobs::{Numerics, Settings};
use wan22_tune::launch::{Effect, page_placement};
use wan22_tune::runner::Repetitions;
use wan22_tune::runner::protocol::{Job, Message, VERSION};
use wan22_tune::trial::{Outcome, Peak, Quality, Sample};
use wan22_tune::workload::preprocess::{
    NotFinite, PipelinePlan, Pools, StageClock, panic_text, run as run_pipeline,
};
use wan22_tune::workload::{Sizes, Stage, total_s};

use crate::models::unit_clock;
use crate::parts::Origin;
use crate::pipeline::{self, Pipeline, WarmUp};
use crate::reference::ReferenceCheck;
use crate::usage::{self, ResourceUsage};
use crate::{module, native, peak};

/// No job is longer: a guard against endless input, at some 100 bytes an image's path.
const LONGEST_JOB: u64 = 64 << 20;

/// What the tuner's settings never hold but a job written by hand may.
const MOST_THREADS: usize = 4096;

/// Reads a job, does it, and tells about it; exits with 1 where the trial failed.
pub fn run() -> ExitCode {
    let (trial, result) = match read(stdin().lock()) {
        Ok(job) => (job.trial, on_model_thread(job)),
        Err(error) => (0, Err(Failure { outcome: Outcome::WrongOutput, error })),
    };
    let Err(Failure { outcome, error }) = result else { return ExitCode::SUCCESS };
    let detail = without_backtrace(&format!("{error:#}")).to_owned();
    let failed = Message::Failed { trial, outcome, detail };
    // Where nobody listens any more there is nobody to tell.
    _ = say(&failed);
    ExitCode::FAILURE
}

/// What libtorch says before it lists where its own code was, which fills a page and names the
/// places of libraries.
fn without_backtrace(text: &str) -> &str {
    let end = text.find("Exception raised from").unwrap_or(text.len());
    // A panic shows its message as Rust would write it: with `\n` for a new line.
    text[..end].trim_end().trim_end_matches("\\n").trim_end()
}

/// How a trial failed, and why.
pub struct Failure {
    pub outcome: Outcome,
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let outcome = match error.chain().any(|cause| cause.is::<NotFinite>()) {
            true => Outcome::WrongOutput,
            false => Outcome::of_words(&format!("{error:#}")),
        };
        Self { outcome, error }
    }
}

pub fn misapplied(error: anyhow::Error) -> Failure {
    Failure { outcome: Outcome::Misapplied, error }
}

/// Reads one JSON value, whatever may follow it.
fn read(input: impl Read) -> Result<Job> {
    let mut values = Deserializer::from_reader(input.take(LONGEST_JOB)).into_iter::<Value>();
    let value = values
        .next()
        .context(
            "job: standard input is empty; wan22-tune starts this program and writes a job to it",
        )?
        .context("job: standard input holds no whole JSON object")?;
    let version = value.get("version").and_then(Value::as_u64);
    ensure!(
        version == Some(VERSION.into()),
        "job: version {}, but this worker speaks {VERSION}; install tuner and worker together",
        version.map_or("is missing".to_owned(), |version| version.to_string())
    );
    Job::deserialize(value).context("job")
}

/// Runs the trial on a thread named for what it does: OpenMP's threads inherit its name and CPUs.
fn on_model_thread(job: Job) -> Result<(), Failure> {
    let work = move || {
        catch_unwind(AssertUnwindSafe(|| do_job(&job)))
            .unwrap_or_else(|panic| Err(anyhow!("panic: {}", panic_text(&*panic)).into()))
    };
    let thread = thread::Builder::new().name("wan-model".to_owned()).spawn(work);
    let result = thread.context("starting the model's thread")?.join();
    result.unwrap_or_else(|_| Err(anyhow!("the model's thread ended without a word").into()))
}

fn do_job(job: &Job) -> Result<(), Failure> {
    let illegal = |error| Failure { outcome: Outcome::Illegal, error };
    check_repetitions(job.repetitions).map_err(illegal)?;
    if let Some(module) = &job.module {
        return module::do_job(job, module);
    }
    let architecture = check(job).map_err(illegal)?;
    let mut trial = Trial::set_up(job, architecture)?;
    let mut warmed_up = WarmUp::default();
    for _ in 0..job.warmup {
        warmed_up = trial.warm_up()?;
    }
    let stage_rss_bytes = trial.pipeline.take_peaks();
    let effect = Box::new(trial.effect());
    repeat(job, effect, || trial.run())?;
    let peak_rss_bytes = stage_rss_bytes.values().fold(usage::peak_rss_bytes()?, |a, b| a.max(*b));
    let (quality, peak) = trial.compare(&warmed_up)?;
    let trial = job.trial;
    Ok(say(&Message::Done {
        trial,
        peak_rss_bytes,
        peak_device_bytes: None,
        stage_rss_bytes,
        quality,
        pictures: None,
        peak,
    })?)
}

/// Says that all is ready, and measures as often as [`Repetitions::count`] says after the first.
pub fn repeat(
    job: &Job,
    effect: Box<Effect>,
    mut measure: impl FnMut() -> Result<Sample>,
) -> Result<()> {
    let (trial, setup_s) = (job.trial, usage::age_s()?);
    say(&Message::Ready { trial, setup_s, warmup_s: None, effect })?;
    let mut say_sample = || {
        let begun = Instant::now();
        let sample = measure()?;
        let wall_s = begun.elapsed().as_secs_f64();
        say(&Message::Sample { trial, sample, wall_s })?;
        anyhow::Ok(wall_s)
    };
    let count = job.repetitions.count(setup_s, say_sample()?);
    (1..count).try_for_each(|_| say_sample().map(drop))
}

fn check_repetitions(Repetitions { least, most }: Repetitions) -> Result<()> {
    let is_range = least > 0 && least <= most;
    ensure!(is_range, "job.repetitions is {least} to {most}: give at least 1 and no fewer at most");
    Ok(())
}

/// The models' sizes; refuses what can't be run, naming the key.
fn check(job: &Job) -> Result<Architecture> {
    let Job { workload, settings, .. } = job;
    let workers = settings.workers;
    let threads = [
        ("intra_op_threads", settings.intra_op_threads),
        ("inter_op_threads", settings.inter_op_threads),
        ("workers.io", workers.io),
        ("workers.preprocess", workers.preprocess),
        ("workers.batch", workers.batch),
    ];
    for (key, count) in threads {
        let most = MOST_THREADS;
        ensure!((1..=most).contains(&count), "settings.{key} is {count}: give 1 to {most}");
    }
    ensure!(settings.batch_size > 0, "settings.batch_size is 0: give at least 1");
    let reads = workload.has(Stage::Read);
    ensure!(!reads || !job.images.is_empty(), "job.images is empty: give at least one picture");
    pipeline::architecture(workload, job.weights.as_deref())
}

/// Puts `settings` around this process and what `build` makes in it.
///
/// # Errors
/// A setting that did not take, as [`Outcome::Misapplied`], or why `build` failed.
pub fn apply<T>(
    settings: &Settings,
    build: impl FnOnce() -> Result<T>,
) -> Result<(Pools, T), Failure> {
    let placement = &settings.placement;
    bind(&placement.model)
        .with_context(|| format!("affinity: binding the model to CPUs {}", placement.model))
        .map_err(misapplied)?;
    let pools =
        Pools::start(settings.workers, placement, |cpus| Ok(bind(cpus)?)).map_err(misapplied)?;
    tch::set_num_interop_threads(settings.inter_op_threads as i32);
    // One thread makes each weight: what OpenMP's threads touched would lie where they do,
    // and those that start under the weights' memory policy would keep it.
    tch::set_num_threads(1);
    let policy = settings.weights_memory.apply();
    policy.context("memory_mode: the weights' memory policy").map_err(misapplied)?;
    let built = build()?;
    settings.memory.apply().context("memory_mode: the memory policy").map_err(misapplied)?;
    tch::set_num_threads(settings.intra_op_threads as i32);
    native::set_float32_matmul_precision(settings.numerics.matmul_precision);
    Ok((pools, built))
}

/// What libtorch and the kernel say now; called on the model's thread, whose memory policy counts.
pub fn effect() -> Effect {
    let count = |threads: i32| usize::try_from(threads).ok();
    Effect {
        intra_op_threads: count(tch::get_num_threads()),
        inter_op_threads: count(tch::get_num_interop_threads()),
        parallel_info: native::parallel_info(),
        cpu_capability: native::cpu_capability(),
        ..Effect::read()
    }
}

/// Everything that lives as long as the trial.
struct Trial<'a> {
    job: &'a Job,
    pools: Pools,
    pipeline: Pipeline,
}

impl<'a> Trial<'a> {
    fn set_up(job: &'a Job, architecture: Architecture) -> Result<Self, Failure> {
        let settings = &job.settings;
        let (workload, origin) = (&job.workload, origin(job));
        let (pools, pipeline) = apply(settings, || {
            Pipeline::build(architecture, workload, settings, origin, job.seed)
        })?;
        Ok(Self { job, pools, pipeline })
    }

    fn effect(&self) -> Effect {
        Effect {
            // Empty where the kernel does not tell.
            weights_bytes: page_placement::of(&self.pipeline.parts.places).unwrap_or_default(),
            numerics: self.numerics(),
            mkl_dispatch: native::mkl_dispatch(),
            ..effect()
        }
    }

    /// What the models hold and libtorch has been told; `None` where it has another level.
    fn numerics(&self) -> Option<Numerics> {
        let matmul_precision = native::float32_matmul_precision()?;
        Some(Numerics {
            matmul_precision,
            ..self.pipeline.parts.numerics(self.job.settings.numerics)
        })
    }

    /// How good the picture is, and what this process could do where it made the reference.
    fn compare(&self, warmed_up: &WarmUp) -> Result<(Option<Quality>, Option<Peak>)> {
        let job = self.job;
        let comparison = ReferenceCheck {
            pipeline: &self.pipeline,
            workload: &job.workload,
            numerics: job.settings.numerics,
            origin: origin(job),
            folder: &job.references,
        };
        let compared = comparison.run(warmed_up)?;
        let is_first = compared.is_some_and(|(_, is_new)| is_new);
        Ok((compared.map(|(quality, _)| quality), is_first.then(peak::measure)))
    }

    /// Warms everything up, with one batch.
    fn warm_up(&self) -> Result<WarmUp> {
        let (job, clock) = (self.job, StageClock::watching());
        let plan = self.plan(job.workload.sizes.clips.min(job.settings.batch_size));
        let mut warmed_up = WarmUp::default();
        run_pipeline(&self.pools, &plan, &clock, |batch| {
            self.pipeline.warm_up((batch, &job.cold_stages), &clock, &mut warmed_up)
        })?;
        self.pipeline.note_peaks(clock.resident_bytes());
        Ok(warmed_up)
    }

    /// One repetition.
    fn run(&self) -> Result<Sample> {
        let clips = self.job.workload.sizes.clips;
        let (plan, clock) = (self.plan(clips), StageClock::default());
        unit_clock::take();
        let before = ResourceUsage::now()?;
        let start = Instant::now();
        run_pipeline(&self.pools, &plan, &clock, |batch| self.pipeline.run(batch, &clock))?;
        let wall_s = start.elapsed().as_secs_f64();
        let usage = before.until_now(wall_s)?;
        let clips = f64::from(clips);
        let busy = clock.seconds().into_iter().map(|(stage, s)| (stage, s / clips)).collect();
        let units = unit_clock::take().into_iter().map(|(unit, s)| (unit, s / clips)).collect();
        let stages = self.pipeline.projection.stages(&busy, &units);
        let slice_s = wall_s / clips;
        Ok(Sample {
            seconds: total_s(slice_s, &busy, &stages),
            slice_s: self.job.workload.is_slice().then_some(slice_s),
            stages,
            ..usage
        })
    }

    /// How `clips` clips are made.
    fn plan(&self, clips: u32) -> PipelinePlan<'_> {
        let job = self.job;
        let Sizes { width, height, .. } = job.workload.whole().sizes;
        PipelinePlan {
            images: &job.images,
            clips: clips as usize,
            batch_size: job.settings.batch_size as usize,
            // Pictures come at the whole job's size, of which the stages take their part.
            width,
            height,
            output: &job.output,
        }
    }
}

fn origin(job: &Job) -> Origin<'_> {
    job.weights.as_deref().map_or(Origin::Random(job.seed), Origin::Folder)
}

/// Writes one line, whole and at once.
pub fn say(message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message).context("a message as JSON")?;
    line.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("standard output is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_without_the_places_of_libtorchs_own_code() {
        let panic =
            r#"panic: Torch("bad weight\nException raised from f at x.cpp:1 (most recent")"#;
        assert_eq!(without_backtrace(panic), r#"panic: Torch("bad weight"#);
        assert_eq!(without_backtrace("no\nException raised from f"), "no");
        assert_eq!(without_backtrace("out of memory"), "out of memory");
    }
}
