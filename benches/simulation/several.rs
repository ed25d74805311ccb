//! Several of the simulated machines: what a search over them costs the one that coordinates it.

use std::time::Duration;

use anyhow::{Context, Result};
use wan22_tune::results::Folder;
use wan22_tune::runner::fake::{self, FakeNodes};
use wan22_tune::runner::{FakeRunner, Repetitions, TrialRequest};
use wan22_tune::search::{Plan, StrategyName};
use wan22_tune::trial::journal::Journal;
use wan22_tune::trial::{Sample, Trial};
use wan22_tune::tune::budget::{self, Budget};
use wan22_tune::tune::calibrate::Rungs;
use wan22_tune::tune::{NoObserver, Session, TuneConfig};

use super::{Simulated, cpu};
use crate::setting::setting;

/// Repetitions of a trial.
const REPETITIONS: u32 = 2;

/// Seconds that a trial takes beside them.
const SETUP_S: f64 = 2.0;

/// A repetition of the baseline takes this share of the budget, as a tune's own calibration has it.
const REPETITION: f64 = 1.0 / 180.0;

/// CPUs of one of the machines.
const CORES: f64 = 64.0;

/// Prints the CPU time of a whole tune's coordinator: all that this program does, trials aside, which
/// take no time but on a clock of their own.
pub fn print(simulated: &Simulated, name: &str, count: usize, noise: f64) -> Result<()> {
    let usual = setting("BUDGET", "30m".to_owned())?;
    let total = budget::parse(&usual).map_err(anyhow::Error::msg)?;
    let baseline_s = simulated.cost(&simulated.space.baseline()).context("the baseline runs")?;
    let scale = total.as_secs_f64() * REPETITION / baseline_s;
    let trial = |_: usize, request: &TrialRequest, _: f64| {
        let trial = simulated.trial(request, noise);
        let times = |(name, seconds): (&String, &f64)| (name.clone(), seconds * scale);
        let longer = |sample: &Sample| Sample {
            seconds: sample.seconds * scale,
            stages: sample.stages.iter().map(times).collect(),
            ..sample.clone()
        };
        let one = trial.samples.first().map(longer);
        let samples: Vec<Sample> = one.into_iter().cycle().take(REPETITIONS as usize).collect();
        let wall_s = SETUP_S + samples.iter().map(|sample| sample.seconds).sum::<f64>();
        Trial { samples, wall_s, overhead_s: SETUP_S, ..trial }
    };
    let baseline = simulated.baseline.knobs.values();
    let nodes = FakeNodes::new(count, trial);
    let runner = FakeRunner::new(baseline.clone(), |_, _| Trial::default())
        .identifying(|values| simulated.identity(values));
    let scratch = tempfile::tempdir()?;
    let folder = Folder::new(scratch.path());
    let journal = Journal::create(&folder.journal(), baseline.keys(), REPETITIONS as usize)?;
    let repetitions = Repetitions::exactly(REPETITIONS);
    let config = TuneConfig { repetitions, min_psnr_db: Some(0.0), ..TuneConfig::default() };
    fake::set_now_s(0.0);
    let session = Session::new(&config, &runner, &NoObserver, Budget::on(fake::now, total));
    let mut session = session.on(&nodes).recording(&folder, journal);
    let first = simulated.experts.clone();
    let plan = Plan { strategy: StrategyName::Portfolio, seed: 1, first, ..Plan::default() };
    let [before_s, _] = cpu::seconds("self")?;
    session.compete(&simulated.space, &Rungs::same(simulated.workload.clone()), plan)?;
    let spent_s = cpu::seconds("self")?[0] - before_s;
    let (wall, trials) = (fake::now(), session.trials().len());
    said(name, count, trials, Duration::from_secs_f64(spent_s), wall);
    Ok(())
}

fn said(name: &str, count: usize, trials: usize, spent: Duration, wall: Duration) {
    let share = 100.0 * spent.as_secs_f64() / wall.as_secs_f64();
    println!(
        "{name}, {count} nodes: {trials} trials in {:.0} s (simulated); the coordinator took {:.1} s of CPU, \
         {:.1} ms per trial: {share:.2}% of a CPU, {:.3}% of a node of {CORES:.0}",
        wall.as_secs_f64(),
        spent.as_secs_f64(),
        1000.0 * spent.as_secs_f64() / trials as f64,
        share / CORES
    );
}
