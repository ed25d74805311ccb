//! `measure`: one trial, printed.

use anyhow::{Result, bail};
use serde_json::json;

use super::setup::job::Job;
use super::setup::{custom, runner, today};
use crate::cli::MeasureArgs;
use crate::io::lock::Lock;
use crate::io::output::print_value;
use crate::profile::Profile;
use crate::runner::TrialRequest;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::MIN_PSNR_DB;
use crate::workload;
use crate::workload::metric::Metric;

/// Measures once.
pub fn run(args: &MeasureArgs) -> Result<()> {
    let machine = super::machine::here()?;
    let choice = args.baseline.as_ref().and_then(Option::as_ref);
    let baseline = custom::baseline(choice, (&args.trial.custom, &args.trial.job), &machine)?;
    let knobs = match &args.profile {
        Some(path) => Profile::read(path)?.knobs(&baseline.knobs).map_err(anyhow::Error::msg)?,
        None => baseline.knobs.clone(),
    };
    let scratch = runner::scratch(&std::env::temp_dir())?;
    let (job, baseline) = custom::job(&args.trial, (&knobs.custom, baseline))?;
    let knobs = if args.profile.is_some() { knobs } else { baseline.knobs.clone() };
    let (mut runner, job) = runner::set_up(&args.trial.runner, job, machine, baseline)?;
    runner.scratch = scratch.path().to_owned();
    let _lock = Lock::take(args.trial.runner.wait, &runner.stop)?;
    let workload = match &job {
        Job::Pipeline(file) => file.size(args.size),
        Job::Custom(_) => job.smallest(),
    };
    let is_baseline = knobs == runner.baseline.knobs;
    let loaded = today::read(&mut runner, &workload, args.limit)?;
    let knobs = if is_baseline { runner.baseline.knobs.clone() } else { knobs };
    let repetitions = args.trial.custom.repetitions(&args.trial.runner, args.repetitions);
    let repetitions = repetitions.in_phase(Phase::Baseline);
    let request = TrialRequest {
        phase: Phase::Baseline,
        seed: args.seed,
        min_psnr_db: args.trial.runner.min_psnr.unwrap_or(if is_baseline {
            0.0
        } else {
            MIN_PSNR_DB
        }),
        ..TrialRequest::alone(workload, knobs.values(), repetitions, args.limit)
    };
    let trial = runner::of_trials(&runner, loaded).run(&request)?;
    if trial.outcome != Outcome::Ok {
        bail!("{}: {}", trial.outcome, trial.detail);
    }
    let metric = Metric::of(runner.custom_job.as_ref());
    if args.json {
        return print_value(&value(&trial, metric));
    }
    super::terminal::show(&text(&trial, metric))
}

/// What was measured, for programs.
fn value(trial: &Trial, metric: Metric) -> serde_json::Value {
    let samples = || trial.samples.iter();
    json!({
        "schema": 1,
        "workload": trial.workload,
        "knobs": trial.knobs,
        "unit": metric.heading(),
        "score": trial.score().map(|cost| metric.shown(cost)),
        "samples": samples().map(|sample| metric.shown(sample.cost())).collect::<Vec<_>>(),
        "slice_s": samples().map(|sample| sample.slice_s).collect::<Vec<_>>(),
        "stages_s": trial.stages_s(),
        "peak_rss_bytes": trial.peak_rss_bytes,
        "peak_device_bytes": trial.peak_device_bytes,
        "setup_s": trial.setup_s,
        "wall_s": trial.wall_s,
    })
}

fn text(trial: &Trial, metric: Metric) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in &trial.knobs {
        lines.push(format!("{name:20} {value}"));
    }
    lines.push(String::new());
    let shown = |cost: f64| format!("{:.4}", metric.shown(cost));
    let samples: Vec<String> = trial.samples.iter().map(|s| shown(s.cost())).collect();
    lines.push(format!(
        "{:20} {} (of {})",
        metric.heading(),
        trial.score().map(shown).unwrap_or_default(),
        samples.join(", ")
    ));
    for stage in workload::stages() {
        if let Some(seconds) = trial.stage_s(stage) {
            lines.push(format!("{:20} {seconds:.4} s", format!("  {stage}")));
        }
    }
    let mib = trial.peak_rss_bytes.unwrap_or(0) >> 20;
    lines.push(format!("{:20} {mib} MiB", "peak memory"));
    let on_device = trial.peak_device_bytes.map(|bytes| bytes >> 20);
    lines.extend(on_device.map(|mib| format!("{:20} {mib} MiB", "peak device memory")));
    lines.push(format!(
        "{:20} {:.2} s of {:.2} s",
        "not measured work", trial.overhead_s, trial.wall_s
    ));
    lines.join("\n") + "\n"
}
