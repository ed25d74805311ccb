//! `verify`: proves a profile again, on this machine, in minutes.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Usage;
use super::setup::job::Job;
use super::setup::{custom, runner, today};
use super::terminal::progress::Progress;
use crate::cli::{BaselineChoice, JobArgs, VerifyArgs, ViewArgs};
use crate::io::lock::Lock;
use crate::io::number::percent;
use crate::io::{atomic_write, exit_code};
use crate::knobs::{Preset, Values};
use crate::machine::MachineMatch;
use crate::profile::verification::{Finding, RecordedEvidence, Verification};
use crate::profile::{Profile, ThisMachine};
use crate::results::Folder;
use crate::runner::warm::defaults::LoadedWorker;
use crate::runner::{LocalRunner, Runner};
use crate::stats::Interval;
use crate::trial::Trial;
use crate::trial::journal::Journal;
use crate::tune::budget::Budget;
use crate::tune::{BaselineFails, Session, TuneConfig};
use crate::workload::Workload;
use crate::workload::metric::Metric;

/// Runs the profile against the baseline and its own past.
///
/// # Errors
/// The profile can't be read or does not run here.
pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let profile = args.signature.read(&args.profile)?;
    let machine = super::machine::here()?;
    let machine_match = ThisMachine::of(&machine).machine_match(&profile);
    let is_as_is = args.trial.custom.is_program() && !profile.launch.as_is.is_empty();
    let begun = is_as_is.then_some(BaselineChoice::AsIs);
    let preset = BaselineChoice::Preset(Preset::detect(&machine));
    let choice = args.baseline.clone().or(begun).unwrap_or(preset);
    let baseline =
        custom::baseline(Some(&choice), (&args.trial.custom, &args.trial.job), &machine)?;
    let place = || format!("profile {}", args.profile.display());
    let knobs = profile.knobs(&baseline.knobs).map_err(anyhow::Error::msg).with_context(place)?;
    let (job, baseline) = custom::job(&args.trial, (&knobs.custom, baseline))?;
    let (mut runner, job) = runner::set_up(&args.trial.runner, job, machine, baseline)?;
    let metric = Metric::of(runner.custom_job.as_ref());
    let workload = workload(&profile, (&job, &args.trial.job), metric);
    let workload = workload.map_err(|cure| Usage(format!("{}: {cure}", place())))?;
    runner.settings(&workload, &knobs).map_err(anyhow::Error::msg).with_context(place)?;
    let _lock = Lock::take(args.trial.runner.wait, &runner.stop)?;
    let scratch = runner::scratch(&std::env::temp_dir())?;
    runner.scratch = scratch.path().to_owned();
    let begun = Instant::now();
    let loaded = today::read(&mut runner, &workload, args.budget)?;
    let budget = Budget::start(args.budget).after(begun.elapsed());
    let repetitions = args.trial.custom.repetitions(&args.trial.runner, args.repetitions);
    let config = runner::config(&args.trial.runner, &runner, args.seed, repetitions);
    let trials = trials(budget, (&config, &runner, loaded), &workload, &knobs.values())?;
    let recorded =
        profile.evidence.as_ref().map(|evidence| RecordedEvidence { evidence, machine_match });
    let (usual, values) = (runner.baseline(), knobs.values());
    let verification = Verification::of(&trials, &usual, &values, metric, recorded);
    let other_host = Some(profile.machine.host.as_str());
    let other_host = other_host.filter(|_| machine_match != MachineMatch::Same);
    finish(args, &verification, &workload, other_host)
}

/// Runs of `values` and of the baseline, as many as it takes or as the budget pays for.
fn trials(
    budget: Budget,
    (config, runner, loaded): (&TuneConfig, &LocalRunner, Option<LoadedWorker>),
    workload: &Workload,
    values: &Values,
) -> Result<Vec<Trial>> {
    let mut progress = Progress::new(runner, config.repetitions, budget, ViewArgs::default());
    let folder = Folder::new(&runner.scratch);
    let most = config.repetitions.most as usize;
    let journal = Journal::create(&folder.journal(), values.keys(), most)?;
    let of_trials = runner::of_trials(runner, loaded);
    let session = Session::new(config, &*of_trials, progress.observer(), budget);
    let mut session = session.recording(&folder, journal);
    let measured = session.verify(workload, values);
    let trials = session.trials().to_vec();
    progress.end();
    match measured {
        // The trials say what can be said.
        Err(error) if error.is::<BaselineFails>() => Ok(trials),
        measured => measured.map(|()| trials),
    }
}

fn finish(
    args: &VerifyArgs,
    verification: &Verification,
    workload: &Workload,
    other_host: Option<&str>,
) -> Result<ExitCode> {
    if let Some(file) = &args.prometheus {
        atomic_write::replace(file, metrics(verification).as_bytes())?;
    }
    if args.json {
        let value = value(verification, workload, other_host.is_none());
        crate::io::output::print_value(&value)?;
    }
    match &verification.finding {
        Finding::Failed(problem) => bail!("the profile fails here: {problem}"),
        Finding::Unknown => bail!("{}; give more with --budget", verification.finding),
        _ if !args.json => super::terminal::show(&text(verification, other_host))?,
        _ => {}
    }
    let drifted = verification.holds() == Some(false);
    Ok(if drifted { ExitCode::from(exit_code::DRIFT) } else { ExitCode::SUCCESS })
}

/// What was found, for programs.
fn value(verification: &Verification, workload: &Workload, is_here: bool) -> serde_json::Value {
    let interval = |i: Interval| json!({"mean": i.mean, "low": i.low, "high": i.high});
    let lost = |share| verification.metric.lost(share);
    let lost = |i: Interval| Interval { low: lost(i.low), mean: lost(i.mean), high: lost(i.high) };
    json!({
        "schema": 2,
        "holds": verification.holds(),
        "finding": verification.finding.to_string(),
        "pairs": verification.pairs,
        "gain": verification.gain.map(interval),
        "loss": verification.slowdown.filter(|i| i.low.is_finite()).map(lost).map(interval),
        "unit": verification.metric.heading(),
        "score": verification.score,
        "recorded": verification.recorded,
        "same_machine": is_here,
        "workload": workload,
    })
}

/// What to measure: the profile's own job, at the size at which it was proven.
///
/// # Errors
/// What to type where the flags give another job.
fn workload(
    profile: &Profile,
    (job, flags): (&Job, &JobArgs),
    metric: Metric,
) -> Result<Workload, String> {
    let smallest = job.smallest();
    let Some(evidence) = &profile.evidence else { return Ok(smallest) };
    let proven = &evidence.workload;
    match (proven.is_custom(), smallest.is_custom()) {
        (false, false) if flags.is_given() && !job.includes(proven) => Err(format!(
            "tuned for {}: leave out --workload, --clip, --steps and --no-guidance",
            proven.whole()
        )),
        (false, false) => Ok(proven.clone()),
        (true, true) if evidence.metric() == metric => Ok(smallest),
        (true, true) => Err(format!(
            "tuned by {}, not by {}: give --metric, --goal or --module as in the tune",
            evidence.metric().heading(),
            metric.heading()
        )),
        (true, _) => Err(format!(
            "tuned for a {} of its own, which it does not name: give it as in the tune, {}",
            proven.name,
            match proven.name.as_str() {
                "module" => "--module FILE --inputs SPEC",
                "worker" => "--worker -- COMMAND…",
                _ => "-- COMMAND…",
            }
        )),
        (false, true) => Err(format!("tuned for the job {}, not for one of yours", proven.name)),
    }
}

/// What monitoring wants to know, in Prometheus' text format.
fn metrics(verification: &Verification) -> String {
    let now = jiff::Timestamp::now().as_second();
    let Verification { metric, score, recorded, .. } = verification;
    let heading = metric.heading();
    let (is_now, was) = (format!("Now: {heading}."), format!("When it was made: {heading}."));
    let name = metric.gauge();
    let before = format!("recorded_{name}");
    let gauges = [
        ("holds", "Whether the profile still holds.", verification.holds().map(f64::from)),
        ("pairs", "Pairs of runs against the baseline.", Some(verification.pairs as f64)),
        (name, &is_now, *score),
        (&before, &was, *recorded),
        ("timestamp_seconds", "When it was verified.", Some(now as f64)),
    ];
    let text = |(name, help, value): (&str, &str, Option<f64>)| {
        let name = format!("wan22_verify_{name}");
        value.map(|value| format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"))
    };
    gauges.into_iter().filter_map(text).collect()
}

fn text(verification: &Verification, other_host: Option<&str>) -> String {
    let mut lines = vec![format!("{}.", verification.finding)];
    let (metric, unit) = (verification.metric, verification.metric.unit());
    if let Some(gain) = verification.gain {
        lines.push(format!(
            "{} {} {} than the baseline (95% interval {} to {}, {} pairs).",
            percent(gain.mean),
            metric.better()[0],
            metric.noun(),
            percent(gain.low),
            percent(gain.high),
            verification.pairs
        ));
    }
    if let Some((now, then)) = verification.score.zip(verification.recorded) {
        lines.push(format!("{now:.3} {unit}; the profile was made with {then:.3}."));
    }
    if let Some(host) = other_host {
        lines.push(format!(
            "The profile was made on another machine ({host}), so its times are not compared."
        ));
    }
    lines.join("\n") + "\n"
}
