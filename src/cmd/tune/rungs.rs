//! Rungs: on which slices or sizes of the job a tune searches and confirms.

use anyhow::{Context, Result};

use crate::cmd::setup::job::Job;
use crate::cmd::terminal;
use crate::io::number::span;
use crate::runner::LocalRunner;
use crate::space::Tune;
use crate::trial::{Phase, Trial};
use crate::tune::Session;
use crate::tune::calibrate::{Calibration, Rungs};
use crate::workload::Workload;
use crate::workload::custom::sizes;

/// Trials as long as the baseline's that a search of ten candidates and four pairs take.
const LEAST_TRIALS: f64 = 14.0;

/// Operations per second that a core does of a job, about: between what cores with AVX2 and with
/// AVX-512 were seen to do.
const FLOPS_PER_CORE: f64 = 80e9;

/// Repetitions that a trial takes as long as, warm-ups and what its models take to be made included.
const REPETITIONS_PER_TRIAL: f64 = 4.0;

/// Says so before the first trial where the budget has hardly room for a search and a proof.
pub fn expect((runner, job): (&LocalRunner, &Job), budget_s: f64) {
    let Job::Pipeline(file) = job else { return };
    let cores = runner.machine.core_count() as f64;
    let seconds = file.size(0).work(&runner.parts) / (FLOPS_PER_CORE * cores);
    say("should take about", REPETITIONS_PER_TRIAL * seconds, budget_s);
}

/// The same, where a trial of the baseline was measured.
pub fn short_of_time(session: &Session<'_>, budget_s: f64) {
    // On larger sizes of the user's own job a trial is one repetition, and may have been cut short.
    let of_baseline = |trial: &&Trial| {
        matches!(trial.phase, Phase::Calibration | Phase::Baseline)
            && trial.strategy.is_empty()
            && trial.score().is_some()
    };
    let walls = session.trials().iter().filter(of_baseline).map(|trial| trial.wall_s);
    say("takes", walls.fold(0.0, f64::max), budget_s);
}

fn say(takes: &str, trial_s: f64, budget_s: f64) {
    let enough_s = LEAST_TRIALS * trial_s;
    if enough_s > budget_s {
        terminal::tell(&format!(
            "a trial of the baseline {takes} {} here: {} may prove nothing, --budget {}m has time for a \
             search and a proof",
            span(trial_s),
            span(budget_s),
            (enough_s / 60.0).ceil()
        ));
    }
}

/// The slices of the job that fit the machine and a tune of `budget_s` seconds.
///
/// # Errors
/// As [`Session::calibrate`].
pub fn choose(
    (runner, job): (&LocalRunner, &Job),
    session: &mut Session<'_>,
    tune: &Tune,
) -> Result<Rungs> {
    let file = match job {
        Job::Pipeline(file) => file,
        Job::Custom(custom) if custom.sizes().is_empty() => return Ok(Rungs::same(job.smallest())),
        Job::Custom(custom) => {
            let memory = sizes::memory_tests(custom.sizes()).into_iter();
            let memory = memory.map(|sizes| Workload::custom(custom.space()).at(sizes));
            return session.climb(&job.sizes(), memory.collect());
        }
    };
    let settings = runner.settings(&file.size(0), &runner.baseline.knobs);
    let settings = &settings.map_err(anyhow::Error::msg)?;
    let begun = session.trials().iter().find(|trial| trial.phase == Phase::Baseline);
    let begun = begun.map(|trial| trial.workload.clone());
    let kept = begun.map(|begun| {
        let search = job.sizes().into_iter().find(|size| size.to_string() == begun);
        search.with_context(|| format!("the job lost its size {begun}"))
    });
    let kept = kept.transpose()?;
    session.calibrate(file, |trial| {
        let calibration = Calibration { file, parts: &runner.parts, settings, trial };
        let Some(search) = kept.clone() else {
            return calibration.rungs(tune.budget_s, |workload| runner.has_room(workload));
        };
        let confirmation = tune.confirmation.clone().unwrap_or_else(|| search.clone());
        calibration.of(search, confirmation)
    })
}
