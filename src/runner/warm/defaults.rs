//! Defaults: what a worker runs by itself of the knobs that nobody chooses for it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::conformance::Trial;
use super::process::Process;
use crate::knobs::effect::Effect;
use crate::knobs::{Value, Values};
use crate::launch::Launch;
use crate::runner::{LocalRunner, Repetitions};
use crate::workload::Workload;
use crate::workload::custom::WorkerJob;
use crate::workload::custom::sizes::OwnSizes;

/// A worker that has said what it runs by itself, and has done nothing else: the baseline's first trial
/// need not load it again.
#[derive(Debug)]
pub struct LoadedWorker {
    /// What it said.
    pub effect: Effect,
    process: Process,
    sizes: OwnSizes,
}

impl LoadedWorker {
    /// Takes note of the baseline, now that it has what was said.
    pub fn runs(&mut self, baseline: Values) {
        (self.process.first, self.process.now) = (baseline.clone(), baseline);
    }

    /// Its process, where that is as a fresh one for such a job would be.
    pub(super) fn process_for(
        self,
        launch: &Launch,
        workload: &Workload,
        values: &Values,
    ) -> Option<Process> {
        let Self { process, sizes, .. } = self;
        let is_like = process.launch == *launch && process.first == *values;
        (process.is_open() && is_like && sizes == workload.own_sizes).then_some(process)
    }
}

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
) -> Result<Result<LoadedWorker, String>> {
    let mut trial = Trial::new(runner, worker, time);
    let values = runner.baseline.knobs.values();
    let mut process = trial.start(&values)?;
    let answer = trial.ask(&mut process, &values, |job| {
        job.knobs.retain(|name, _| !asked.contains(name));
        let sizes = workload.own_sizes.iter();
        job.knobs.extend(sizes.map(|(name, size)| (name.clone(), Value::Integer(*size))));
        job.repetitions = Repetitions::exactly(0);
    })?;
    process.asked_s = answer.wall_s;
    let sizes = workload.own_sizes.clone();
    Ok(match answer.effect {
        Some(effect) => Ok(LoadedWorker { effect, process, sizes }),
        None => Err(format!("{}: {}", answer.outcome, answer.detail)),
    })
}
