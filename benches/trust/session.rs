//! Whole tunes by the tuner's own session, on a clock of their own.

use std::cell::Cell;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use wan22_tune::io::atomic_write::Disk;
use wan22_tune::knobs::Values;
use wan22_tune::knobs::{Baseline, Preset};
use wan22_tune::machine::Machine;
use wan22_tune::results::Folder;
use wan22_tune::runner::Repetitions;
use wan22_tune::runner::worker::Programs;
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::space::{Space, SpaceFile};
use wan22_tune::trial::journal::Journal;
use wan22_tune::trial::{Outcome, Sample, Trial};
use wan22_tune::tune::budget::Budget;
use wan22_tune::tune::{BaselineFails, Bench, Observer, Runner, Session, TrialRequest};
use wan22_tune::workload::{BUILT_IN, WorkloadFile};

/// Twenty-four candidates.
const SPACE: &str = r#"
schema = 1
name = "simulated"
why = "twenty-four candidates whose times are known"
baseline = { intra_op_threads = 4, allocator = "glibc" }
[knob]
intra_op_threads = { why = "", values = [1, 2, 3, 4, 6, 8] }
allocator = { why = "", values = ["glibc", "jemalloc", "tcmalloc", "mimalloc"] }
"#;

/// The space of all simulated tunes.
pub fn space() -> Result<Space> {
    Ok(Space::reopen(&SpaceFile::parse(SPACE).map_err(anyhow::Error::msg)?)?)
}

/// A candidate's knobs by name.
pub fn named(space: &Space, candidate: &wan22_tune::space::Candidate) -> Values {
    space.named(candidate).map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

thread_local! {
    /// Simulated seconds on this thread.
    static CLOCK: Cell<f64> = const { Cell::new(0.0) };
}

/// The time on it.
fn now() -> Duration {
    Duration::from_secs_f64(CLOCK.get())
}

/// Seconds since the tune on this thread began.
pub fn clock_s() -> f64 {
    CLOCK.get()
}

/// Lets time pass.
pub fn set_clock_s(now_s: f64) {
    CLOCK.set(now_s);
}

/// The trial that `order` comes to where its samples take until `wall_s` from now, `overhead_s` of it
/// before the first; lets that time pass, or what the order allows of it.
pub fn pass(
    number: u64,
    order: &TrialRequest<'_>,
    samples: Vec<Sample>,
    wall_s: f64,
    overhead_s: f64,
) -> Trial {
    let (started_s, limit_s) = (clock_s(), order.time().as_secs_f64());
    let outcome = match wall_s > limit_s {
        false => Outcome::Ok,
        true if order.ends_with_the_budget() => Outcome::Interrupted,
        true => Outcome::Timeout,
    };
    let wall_s = wall_s.min(limit_s);
    set_clock_s(started_s + wall_s);
    let started = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(started_s);
    Trial {
        number,
        started: started.to_string(),
        phase: order.phase,
        pair: order.pair,
        knobs: order.values.clone(),
        outcome,
        samples,
        wall_s,
        overhead_s: overhead_s.min(wall_s),
        ..Trial::default()
    }
}

/// Runs all tunes, on as many threads as there are CPUs; each has a clock of its own.
pub fn all<T: Send>(runs: u64, one: impl Fn(u64) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut ends = Vec::new();
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return Ok(ends);
            }
            ends.push(one(run)?);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut ends = Vec::new();
        for thread in threads {
            let more: Result<Vec<T>> = thread.join().expect("no tune panics");
            ends.extend(more?);
        }
        Ok(ends)
    })
}

/// Nobody watches.
struct Blind;

impl Observer for Blind {
    fn started(&self, _: &TrialRequest<'_>) {}
    fn finished(&self, _: &[Trial]) {}
    fn noted(&self, _: &str) {}
}

/// A disk that may forget: nothing here has to survive.
#[derive(Debug)]
struct Careless;

impl Disk for Careless {
    fn sync(&self, _: &std::fs::File) -> std::io::Result<()> {
        Ok(())
    }
}

/// One tune on `rig`, from the start of the clock; its trials.
pub fn compete(
    rig: &dyn Runner,
    repetitions: Repetitions,
    total: Duration,
    (strategy, seed): (StrategyName, u64),
) -> Result<Vec<Trial>> {
    set_clock_s(0.0);
    let scratch = tempfile::tempdir_in(shared_memory())?;
    let folder = Folder::new(scratch.path());
    let bench = bench(scratch.path(), repetitions, seed)?;
    let baseline: Values = rig.baseline();
    let journal = Journal::create(&folder.journal(), baseline.keys(), repetitions.most as usize)?;
    let journal = journal.on(Box::new(Careless));
    let budget = Budget::on(now, total);
    let workload = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?.size(0);
    let mut session = Session::new(&bench, &Blind, budget, &folder, journal).on(rig);
    let plan = Plan { strategy, seed, ..Plan::default() };
    match session.compete(&space()?, &workload, plan) {
        // A tune that says so claims nothing, as one that ran out of time.
        Err(error) if error.is::<BaselineFails>() => {}
        competed => competed?,
    }
    Ok(session.trials().to_vec())
}

fn shared_memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { env::temp_dir() }
}

/// What a session wants to know of a bench, with programs that are never started.
fn bench(scratch: &Path, repetitions: Repetitions, seed: u64) -> Result<Bench> {
    let machine = Machine::from_synthetic("package:1 l3:1 core:8 pu:1")?;
    let file = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?;
    Ok(Bench {
        baseline: Baseline::fit(Preset::Generic, &machine),
        machine,
        programs: Programs { tuner: PathBuf::new(), worker: PathBuf::new() },
        parts: file.size(0).model.architecture(),
        weights: None,
        memory_bytes: u64::MAX,
        min_psnr_db: Some(0.0),
        images: Vec::new(),
        scratch: scratch.to_owned(),
        seed,
        repetitions,
        stop: Arc::default(),
        own: None,
    })
}
