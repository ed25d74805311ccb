//! The main job: tunes this machine.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::progress::Progress;
use super::{bench, job, space};
use crate::budget::Budget;
use crate::cli::TuneArgs;
use crate::durable;
use crate::journal::Journal;
use crate::machine::{self, Machine};
use crate::report;
use crate::results::{Folder, Results};
use crate::search::{self, Observation, Plan};
use crate::space::{Space, SpaceFile, Tune};
use crate::trial::Trial;
use crate::tune::{Bench, Searching, Session};
use crate::workload::{Workload, WorkloadFile};

/// Tunes.
pub fn run(args: &TuneArgs) -> Result<()> {
    let machine = super::machine::here()?;
    let Some(budget) = args.budget.filter(|_| !args.dry_run) else {
        return space::show(&args.space, &machine);
    };
    let started = jiff::Timestamp::now().to_string();
    let baseline = job::baseline(args.space.baseline, &args.space.job, &machine);
    // Every mistake that can be seen now is seen before the first trial.
    let job = job::open(&args.space.job, &baseline)?;
    let file = space::open(&args.space)?;
    space::resolve(&file, &args.space, &machine, &baseline, &job.rung(0))?;
    let (mut bench, job) = bench::set_up(&args.bench, job, machine, baseline)?;
    (bench.seed, bench.repetitions) = (args.seed, args.repetitions);
    let budget = Budget::start(budget);
    let folder = Folder::create(&args.results, &bench.machine.host)?;
    let scratch = bench::scratch(folder.path())?;
    bench.scratch = std::path::absolute(scratch.path())?;
    let progress = Progress::new(&bench, budget);
    write_machine(&folder, &bench.machine)?;
    let knobs = bench.baseline.knobs.values();
    let journal = Journal::create(&folder.journal(), knobs.keys(), args.repetitions as usize)?;
    let mut session = Session::new(&bench, &progress, budget, &folder, journal);
    let tune = describe(args, &bench, &job, budget, started);
    let finished = measure(args, (&file, &job), &mut session, &folder, tune);
    progress.end();
    drop(scratch);
    finished?;
    let results = Results::open(&folder)?;
    report::write(&folder, &results)?;
    super::print(&report::summary(&results, &folder))
}

/// Everything that takes trials.
fn measure(
    args: &TuneArgs,
    (file, job): (&SpaceFile, &WorkloadFile),
    session: &mut Session<'_>,
    folder: &Folder,
    mut tune: Tune,
) -> Result<()> {
    let bench = session.bench();
    let workload = session.calibrate(job)?;
    tune.costs = workload.costs(&bench.parts, None);
    let (space, first) =
        space::resolve(file, &args.space, &bench.machine, &bench.baseline, &workload)?;
    write_space(folder, &space, &workload, tune)?;
    session.baseline(&workload)?;
    let known = session.trials().iter().filter_map(|trial| observation(&space, trial));
    let plan = Plan { strategy: args.strategy, seed: args.seed, first, known: known.collect() };
    let strategy = args.strategy.to_string();
    let mut searching =
        Searching { session, space: &space, workload: &workload, strategy: &strategy };
    if let search::End::Stopped(search::Stop::Broken(error)) =
        search::run(&space, &plan, &mut searching).why
    {
        return Err(error);
    }
    session.confirm(&workload)
}

/// What the search is told of a trial that was measured before it began.
fn observation(space: &Space, trial: &Trial) -> Option<Observation> {
    let is_baseline = trial.phase == crate::trial::Phase::Baseline;
    is_baseline.then(|| Observation { candidate: space.baseline(), cost: trial.score_s() })
}

fn describe(
    args: &TuneArgs,
    bench: &Bench,
    job: &WorkloadFile,
    budget: Budget,
    started: String,
) -> Tune {
    let full = job.full();
    let words: Vec<String> = std::env::args().collect();
    Tune {
        tool: crate::TOOL.to_owned(),
        command: words.join(" "),
        started,
        budget_s: budget.total().as_secs_f64(),
        seed: args.seed,
        strategy: args.strategy.to_string(),
        preset: bench.baseline.preset,
        repetitions: args.repetitions,
        weights: bench.weights.as_ref().map(|folder| folder.display().to_string()),
        min_psnr_db: bench.min_psnr_db,
        costs: BTreeMap::new(),
        full_costs: full.costs(&bench.parts, None),
        full: Some(full),
    }
}

fn write_machine(folder: &Folder, machine: &Machine) -> Result<()> {
    let mut json = serde_json::to_string_pretty(machine)?;
    json.push('\n');
    durable::replace(&folder.machine(), json.as_bytes())?;
    let xml = machine::live_xml().context("exporting the topology")?;
    fs::write(folder.topology(), xml).with_context(|| folder.topology().display().to_string())
}

fn write_space(folder: &Folder, space: &Space, workload: &Workload, tune: Tune) -> Result<()> {
    let mut file = space.to_file();
    file.workload = Some(workload.clone());
    file.tune = Some(tune);
    durable::replace(&folder.space(), file.to_toml().as_bytes())
}
