//! Defaults: what a worker runs by itself of the knobs that nobody chooses for it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::conformance::Trial;
use crate::knobs::Value;
use crate::knobs::effect::Effect;
use crate::runner::{LocalRunner, Repetitions};
use crate::workload::Workload;
use crate::workload::custom::WorkerJob;

/// What a worker says of the knobs that it takes where it is told the baseline's, but for those that
/// are left as they are and those that are `asked` for: what it reads back once it is warm, or how it
/// failed.
///
/// # Errors
/// No process can be started, or no file written.
pub fn ask(
    runner: &LocalRunner,
    worker: &WorkerJob,
    workload: &Workload,
    asked: &BTreeSet<String>,
    time: Duration,
) -> Result<Result<Effect, String>> {
    let mut trial = Trial::new(runner, worker, time);
    let values = runner.baseline.knobs.values();
    let mut process = trial.start(&values)?;
    let answer = trial.ask(&mut process, &values, |job| {
        job.knobs.retain(|name, _| !asked.contains(name));
        let sizes = workload.own_sizes.iter();
        job.knobs.extend(sizes.map(|(name, size)| (name.clone(), Value::Integer(*size))));
        job.repetitions = Repetitions::exactly(0);
    })?;
    process.close()?;
    Ok(match answer.effect {
        Some(effect) => Ok(effect),
        None => Err(format!("{}: {}", answer.outcome, answer.detail)),
    })
}
