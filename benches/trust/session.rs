//! Whole tunes by the tuner's own session, on a clock of their own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use wan22_tune::runner::{Nodes, Repetitions, Runner, fake};
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::space::{Space, SpaceFile};
use wan22_tune::trial::Trial;
use wan22_tune::tune::budget::Budget;
use wan22_tune::tune::calibrate::Rungs;
use wan22_tune::tune::{BaselineFails, NoObserver, Session, TuneConfig};
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

/// One tune on `runner`, from the start of the simulated clock; its trials.
pub fn compete(
    runner: &dyn Runner,
    repetitions: Repetitions,
    total: Duration,
    strategy: (StrategyName, u64),
) -> Result<Vec<Trial>> {
    compete_on(runner, None, repetitions, total, strategy)
}

/// The same on `nodes`, if there are several.
pub fn compete_on(
    runner: &dyn Runner,
    nodes: Option<&dyn Nodes>,
    repetitions: Repetitions,
    total: Duration,
    (strategy, seed): (StrategyName, u64),
) -> Result<Vec<Trial>> {
    fake::set_now_s(0.0);
    let min_psnr_db = Some(0.0);
    let config = TuneConfig { seed, repetitions, min_psnr_db, ..TuneConfig::default() };
    let budget = Budget::on(fake::now, total);
    let workload = WorkloadFile::parse(BUILT_IN[0].1).map_err(anyhow::Error::msg)?.size(0);
    let mut session = Session::new(&config, runner, &NoObserver, budget);
    if let Some(nodes) = nodes {
        session = session.on(nodes);
    }
    let plan = Plan { strategy, seed, ..Plan::default() };
    match session.compete(&space()?, &Rungs::same(workload), plan) {
        // A tune that says so claims nothing, as one that ran out of time.
        Err(error) if error.is::<BaselineFails>() => {}
        competed => competed?,
    }
    Ok(session.trials().to_vec())
}
