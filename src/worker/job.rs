//! A trial: one job from standard input, its messages on standard output.

use std::io::{Read, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Deserializer, Value};
use wan22_tune::launch::{Effect, bind, residence};
use wan22_tune::measure::wire::{Job, Message, VERSION};
use wan22_tune::preprocess::{NotFinite, Plan, Pools, StageClock, panic_text, run as run_pipeline};
use wan22_tune::trial::{Outcome, Sample};

use crate::native;
use crate::scenario::Scenario;
use crate::usage::{self, Usage};

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
    let failed = Message::Failed { trial, outcome, detail: format!("{error:#}") };
    // Where nobody listens any more there is nobody to tell.
    _ = say(&failed);
    ExitCode::FAILURE
}

/// How a trial failed, and why.
struct Failure {
    outcome: Outcome,
    error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}").to_lowercase();
        // The words of c10's allocator and of C++'s.
        let memory = ["can't allocate memory", "not enough memory", "bad_alloc", "out of memory"];
        let outcome = if error.chain().any(|cause| cause.is::<NotFinite>()) {
            Outcome::WrongOutput
        } else if memory.iter().any(|words| text.contains(words)) {
            Outcome::OutOfMemory
        } else {
            Outcome::Crashed
        };
        Self { outcome, error }
    }
}

fn misapplied(error: anyhow::Error) -> Failure {
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
    check(job).map_err(|error| Failure { outcome: Outcome::Illegal, error })?;
    let trial = Trial::set_up(job)?;
    // One batch shows every shape to libtorch and touches every buffer.
    let batch = job.workload.clips.min(job.settings.batch_size);
    for _ in 0..job.warmup {
        trial.run(batch)?;
    }
    let effect = Box::new(trial.effect());
    say(&Message::Ready { trial: job.trial, setup_s: usage::age_s()?, effect })?;
    for _ in 0..job.repetitions {
        let sample = trial.run(job.workload.clips)?;
        say(&Message::Sample { trial: job.trial, sample })?;
    }
    let peak_rss_bytes = usage::peak_rss_bytes()?;
    Ok(say(&Message::Done { trial: job.trial, peak_rss_bytes })?)
}

/// Refuses what can't be run, naming the key.
fn check(job: &Job) -> Result<()> {
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
    ensure!(!job.images.is_empty(), "job.images is empty: give at least one picture");
    ensure!(job.repetitions > 0, "job.repetitions is 0: give at least 1");
    Scenario::check(workload)
}

/// Everything that lives as long as the trial.
struct Trial<'a> {
    job: &'a Job,
    pools: Pools,
    scenario: Scenario,
}

impl<'a> Trial<'a> {
    fn set_up(job: &'a Job) -> Result<Self, Failure> {
        let settings = &job.settings;
        let placement = &settings.placement;
        bind(&placement.model)
            .with_context(|| format!("binding the model to CPUs {}", placement.model))
            .map_err(misapplied)?;
        let pools = Pools::start(settings.workers, placement, |cpus| Ok(bind(cpus)?))
            .map_err(misapplied)?;
        tch::set_num_interop_threads(settings.inter_op_threads as i32);
        // One thread makes each weight: what OpenMP's threads touched would lie where they do,
        // and those that start under the weights' memory policy would keep it.
        tch::set_num_threads(1);
        settings
            .weights_memory
            .apply()
            .context("the weights' memory policy")
            .map_err(misapplied)?;
        let scenario = Scenario::build(&job.workload, settings, job.seed)?;
        settings.memory.apply().context("the memory policy").map_err(misapplied)?;
        tch::set_num_threads(settings.intra_op_threads as i32);
        Ok(Self { job, pools, scenario })
    }

    /// What holds now; called on the model's thread, whose memory policy counts.
    fn effect(&self) -> Effect {
        let count = |threads: i32| usize::try_from(threads).ok();
        Effect {
            // Empty where the kernel does not tell.
            weights_bytes: residence::of(self.scenario.places()).unwrap_or_default(),
            intra_op_threads: count(tch::get_num_threads()),
            inter_op_threads: count(tch::get_num_interop_threads()),
            parallel_info: native::parallel_info(),
            cpu_capability: native::cpu_capability(),
            ..Effect::read()
        }
    }

    /// Makes `clips` clips.
    fn run(&self, clips: u32) -> Result<Sample> {
        let job = self.job;
        let plan = Plan {
            images: &job.images,
            clips: clips as usize,
            batch_size: job.settings.batch_size as usize,
            width: job.workload.width,
            height: job.workload.height,
            output: &job.output,
        };
        let clock = StageClock::default();
        let before = Usage::now()?;
        let start = Instant::now();
        run_pipeline(&self.pools, &plan, &clock, |batch| self.scenario.run(batch, &clock))?;
        let wall_s = start.elapsed().as_secs_f64();
        let after = Usage::now()?;
        let clips = f64::from(clips);
        let waited = after.run_queue.saturating_sub(before.run_queue);
        Ok(Sample {
            seconds: wall_s / clips,
            stages: clock.seconds().into_iter().map(|(stage, s)| (stage, s / clips)).collect(),
            minor_faults: after.minor_faults - before.minor_faults,
            run_queue_share: waited.as_secs_f64() / wall_s,
        })
    }
}

/// Writes one line, whole and at once.
fn say(message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message).context("a message as JSON")?;
    line.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("standard output is closed")
}
