//! Prepared: what the flags of a tune came to, before its first trial.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::nodes;
use super::sources::{self, Source};
use crate::cli::TuneArgs;
use crate::cmd::setup::job::{self, Job};
use crate::cmd::setup::{custom, pictures, runner, today};
use crate::cmd::{Usage, machine, space};
use crate::io::lock::Lock;
use crate::knobs::program_environment::is_own;
use crate::knobs::{Baseline, as_is};
use crate::machine::Machine;
use crate::runner::LocalRunner;
use crate::runner::nodes::agents::Agents;
use crate::runner::warm::defaults::LoadedWorker;
use crate::space::{Candidate, CommandLine, Space, SpaceFile, Tune};
use crate::tune::TuneConfig;
use crate::tune::budget::Budget;
use crate::workload::Workload;
use crate::workload::custom::{CustomJob, sizes, template};

/// The longest that a worker may take to say what it runs today, where there is no budget.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// What the flags came to.
pub struct Prepared {
    /// What trials run with.
    pub runner: LocalRunner,
    /// The job, in all its sizes.
    pub job: Job,
    /// The space before it is resolved.
    pub file: SpaceFile,
    /// What earlier tunes found.
    pub(super) sources: Vec<Source>,
    /// The nodes that search together, if there are several.
    pub(super) agents: Option<Agents>,
    /// What it took to ask a worker what it runs today.
    pub(super) asked: Duration,
    /// The worker that said it.
    pub(super) loaded: Option<LoadedWorker>,
    _lock: Option<Lock>,
}

impl Prepared {
    /// Sees every mistake in the flags that can be seen before the first trial, and takes the
    /// machine's lock. Where several nodes search together their agents do so, which read the tune's
    /// `words`, and the machine is the first node's. The search is to start from `sources`.
    ///
    /// # Errors
    /// [`Usage`] that says what to type instead; another run measures here; too few nodes.
    pub fn new(args: &TuneArgs, words: Vec<String>, sources: Vec<Source>) -> Result<Self> {
        let agents = nodes::open(args, words)?;
        let machine = match &agents {
            Some(agents) => agents.first().machine,
            None => machine::here()?,
        };
        let file = declared(args)?;
        let (baseline, job) = job(args, &file, &machine)?;
        space::resolve(&file, &args.space, &machine, &baseline, &job.smallest())?;
        let (runner, job) = runner::set_up(&args.runner, job, machine, baseline)?;
        let is_here = agents.as_ref().is_none_or(Agents::are_local);
        let lock = is_here.then(|| Lock::take(args.runner.wait, &runner.stop)).transpose()?;
        agents.iter().for_each(|agents| agents.stop_with(runner.stop.clone()));
        let (asked, loaded) = (Duration::ZERO, None);
        Ok(Self { runner, job, file, sources, agents, asked, loaded, _lock: lock })
    }

    /// Whether a worker here has to load, to say what it runs today.
    pub(super) fn has_to_ask(&self) -> bool {
        self.agents.is_none() && today::is_open(&self.runner, &self.file)
    }

    /// Has the baseline run what a worker says that it runs today, here or on the nodes.
    ///
    /// # Errors
    /// As [`today::ask`].
    pub(super) fn ask(&mut self, args: &TuneArgs) -> Result<()> {
        let begun = Instant::now();
        let Self { runner, job, file, agents, .. } = self;
        if let Some(agents) = agents {
            today::take(runner, file, &agents.first())?;
            self.asked = agents.asked();
        } else {
            let limit = args.budget.unwrap_or(LONGEST);
            self.loaded = today::ask(runner, file, &job.smallest(), limit)?;
            self.asked = begun.elapsed();
        }
        Ok(())
    }

    /// What the tune is asked for.
    pub fn config(&self, args: &TuneArgs) -> TuneConfig {
        let config = runner::config(&args.runner, &self.runner, args.seed, args.repetitions());
        TuneConfig { most_trials: args.trials.map_or(usize::MAX, |most| most as usize), ..config }
    }

    /// The space for a workload, and its expert candidates.
    ///
    /// # Errors
    /// As [`space::resolve`].
    pub fn space(&self, args: &TuneArgs, workload: &Workload) -> Result<(Space, Vec<Candidate>)> {
        let Self { runner, file, .. } = self;
        space::resolve(file, &args.space, &runner.machine, &runner.baseline, workload)
    }

    /// What the worker says of itself and of its libtorch, where there is one.
    pub fn worker(&self) -> Option<String> {
        let is_own =
            matches!(self.runner.custom_job, Some(CustomJob::Command(_) | CustomJob::Worker(_)));
        (!is_own).then(|| self.runner.programs.version()).flatten()
    }

    pub(super) fn describe(&self, args: &TuneArgs, budget: Budget, started: String) -> Tune {
        let Self { runner, job, .. } = self;
        let full = job.full();
        let words: Vec<OsString> = std::env::args_os().collect();
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Tune {
            tool: crate::TOOL.to_owned(),
            command: shown.join(" "),
            started,
            budget_s: budget.total().as_secs_f64(),
            seed: args.seed,
            strategy: args.strategy.to_string(),
            preset: runner.baseline.preset,
            as_is: (!runner.baseline.knobs.as_is.is_empty()).then(as_is::environment),
            program_as_is: as_is::of_program(&runner.baseline.knobs.as_is),
            repetitions: args.repetitions,
            weights: runner.weights.as_ref().map(|folder| folder.display().to_string()),
            min_psnr_db: args.runner.min_psnr,
            arguments: sources::arguments(&words, &self.sources),
            worker: self.worker(),
            custom_job: runner.custom_job.clone(),
            resumed: Vec::new(),
            ended: None,
            trials: None,
            costs: BTreeMap::new(),
            full_costs: full.as_ref().map(|f| f.costs(&runner.parts, None)).unwrap_or_default(),
            full,
            confirmation: None,
        }
    }
}

/// The space file, with the knobs that flags and the command declare.
pub fn declared(args: &TuneArgs) -> Result<SpaceFile> {
    let folder = custom::folder(&args.custom)?;
    let is_worker = args.runner.is_own_worker() || args.custom.app.app.is_some();
    let sizes = sizes::whole(&args.custom.sizes);
    let no_knob = |name: Option<&String>| {
        let twice =
            |name| format!("--size {name}: there is a knob of this name: call it otherwise");
        name.map_or(Ok(()), |name| Err(Usage(twice(name))))
    };
    no_knob(sizes.keys().find(|name| args.space.knobs.iter().any(|flag| flag.name == **name)))?;
    let words = args.custom.words.iter().filter(|_| !is_worker);
    // A size is no knob.
    let words: Vec<String> = words.map(|word| template::sized(word, &sizes)).collect();
    let file = space::open(&args.space, CommandLine { words: &words, folder: folder.as_ref() })?;
    no_knob(sizes.keys().find(|name| file.knob.contains_key(*name)))?;
    let meant = template::meant(&words, &|_| false).into_iter().map(|(_, one)| one);
    let mut others = meant.filter(|one| is_own(one.name) && !file.knob.contains_key(one.name));
    if let Some(one) = others.find(|_| !sizes.is_empty()) {
        let (whole, name) = (one.whole, one.name);
        let cure =
            format!("name it by --size or --knob, or write {{{whole}}} for the text {whole}");
        return Err(
            Usage(format!("the command has `{whole}`, and there is no {name}: {cure}")).into()
        );
    }
    if args.space.no_built_in && file.knob.is_empty() && !args.self_test {
        let cure = "give one of your own, as in --knob 'blocks=0..40'";
        return Err(Usage(format!("--no-built-in leaves no knob to tune: {cure}")).into());
    }
    Ok(file)
}

/// The baseline, and what it is to be measured on.
pub fn job(args: &TuneArgs, file: &SpaceFile, machine: &Machine) -> Result<(Baseline, Job)> {
    let (choice, job) = (args.space.baseline.as_ref(), &args.space.job);
    let baseline = custom::baseline(choice, (&args.custom, job), machine)?;
    let baseline = space::with_custom(file, &args.space, baseline)?;
    let (baseline, job) = match custom::open(&args.custom, &args.runner, &args.space.job)? {
        None => {
            let file = job::open(&args.space.job, &baseline)?;
            (job::fitted(baseline, &file), Job::Pipeline(file))
        }
        Some(CustomJob::Command(command)) => {
            let command = custom::declared(command, file.sinks(), &baseline);
            pictures::warn(&command, file);
            (baseline, Job::Custom(CustomJob::Command(command)))
        }
        Some(custom) => {
            if let CustomJob::Worker(worker) = &custom {
                custom::check_worker(file, &worker.words)?;
            }
            (baseline, Job::Custom(custom))
        }
    };
    let job = match job {
        Job::Custom(custom) => Job::Custom(pictures::with_changes(custom, file)),
        job => job,
    };
    let custom = baseline.knobs.custom.keys().next();
    let is_told = matches!(job, Job::Custom(CustomJob::Command(_) | CustomJob::Worker(_)));
    if let Some(name) = custom.filter(|_| !is_told) {
        let space = args.space.name().display();
        let problem = "only a command of your own reads it: give the command after `--`";
        return Err(Usage(format!("space {space}: knob.{name}: {problem}")).into());
    }
    Ok((baseline, job))
}
