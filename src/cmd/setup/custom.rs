//! A job of the user's own, as the flags describe it.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytesize::ByteSize;

use super::job::Job;
use super::{app, job, pictures};
use crate::cli::{App, BaselineChoice, CustomJobArgs, JobArgs, RunnerArgs, TrialArgs, TuneArgs};
use crate::cmd::{Usage, terminal};
use crate::io::input;
use crate::knobs::{Baseline, Values};
use crate::machine::Machine;
use crate::runner::repetitions;
use crate::runner::repetitions::{Measured, Repetitions};
use crate::space::SpaceFile;
use crate::trial::journal::MOST_SAMPLES;
use crate::workload::custom::module::{Inputs, ModuleJob};
use crate::workload::custom::pictures::PictureJob;
use crate::workload::custom::sink::{Sink, Sinks};
use crate::workload::custom::sizes::JobSize;
use crate::workload::custom::template::{self, Substitution};
use crate::workload::custom::{CommandJob, CustomJob, WorkerJob};

/// The folder in which the user's own command runs.
///
/// # Errors
/// Its name is no text.
pub fn folder(args: &CustomJobArgs) -> Result<String> {
    let here = || text(std::env::current_dir().context("the working folder")?);
    args.folder.clone().map_or_else(here, Ok)
}

/// A path as a word of a command.
///
/// # Errors
/// [`Usage`]: it is no text.
pub(super) fn text(path: PathBuf) -> Result<String> {
    let text = path.into_os_string().into_string();
    Ok(text.map_err(|path| Usage(format!("{}: not UTF-8", path.display())))?)
}

/// The user's own job, if one was asked for.
///
/// # Errors
/// [`Usage`] for a command that is missing or can't be run, or a module that is none.
pub fn open(args: &CustomJobArgs, runner: &RunnerArgs, job: &JobArgs) -> Result<Option<CustomJob>> {
    if runner.is_own_worker() && args.words.is_empty() && args.app.app.is_none() {
        let cure = "give the worker's command after `--`, as in --worker -- python worker.py";
        return Err(Usage(format!("--worker: {cure}")).into());
    }
    check_job(args, job)?;
    if let (Some(file), Some(inputs)) = (&args.module, &args.inputs) {
        return Ok(Some(CustomJob::Module(module(file, inputs)?)));
    }
    let app = app::words(args, job)?;
    let is_worker = app.is_some() || runner.is_own_worker();
    let words = app.unwrap_or_else(|| args.words.clone());
    let Some(program) = words.first() else {
        if std::env::args_os().next_back().is_some_and(|last| last == "--") {
            let cure = "no command after `--`: type what to tune, such as python generate.py";
            return Err(Usage(cure.to_owned()).into());
        }
        return Ok(None);
    };
    let folder = folder(args)?;
    pictures::check(args, runner, is_worker)?;
    check_program(program, Path::new(&folder))?;
    let profile_env = args.profile_env.clone();
    if is_worker {
        return Ok(Some(CustomJob::Worker(worker(args, words, folder, profile_env)?)));
    }
    Ok(Some(CustomJob::Command(CommandJob {
        words,
        folder,
        profile_env,
        warmup: args.warmup,
        timeout_s: args.timeout.map(|timeout| timeout.as_secs_f64()),
        metric: args.metric.clone(),
        goal: args.goal.unwrap_or_default(),
        check: args.check.clone(),
        pictures: args.output.clone().map(pictures::of_files),
        sizes: sizes(args)?,
        sinks: Sinks::new(),
    })))
}

/// The sizes of a command, each of which stands in its words.
fn sizes(args: &CustomJobArgs) -> Result<Vec<JobSize>, Usage> {
    let stands = |name: &str| {
        let meant = template::meant(&args.words, &|known| known == name);
        meant.iter().any(|(_, one)| one.name == name)
    };
    let missing = args.sizes.iter().find(|size| !stands(&size.name));
    missing.map_or(Ok(args.sizes.clone()), |JobSize { name, .. }| {
        Err(Usage(format!("--size {name}: write {{{name}}} where it stands in the command")))
    })
}

/// Refuses what only the built-in jobs take.
fn check_job(args: &CustomJobArgs, job: &JobArgs) -> Result<(), Usage> {
    let is_app = args.app.app.is_some();
    let takes_steps = args.app.app == Some(App::Diffusers);
    let given = [
        ("--clip", job.clip.is_some()),
        ("--steps", job.steps.is_some() && !takes_steps),
        ("--no-guidance", job.no_guidance),
    ];
    let flag = given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag));
    let cure = match () {
        () if is_app => "give --width, --height and --frames",
        () if !args.words.is_empty() => {
            "leave it out, and write the command's own flags after `--`"
        }
        () if args.module.is_some() => "leave it out; --inputs says what the module is given",
        () => return Ok(()),
    };
    flag.map_or(Ok(()), |flag| Err(Usage(format!("{flag} is for the built-in jobs: {cure}"))))
}

/// The user's own worker, of which only its seconds are known.
fn worker(
    args: &CustomJobArgs,
    words: Vec<String>,
    folder: String,
    profile_env: String,
) -> Result<WorkerJob, Usage> {
    let of_commands = [
        ("--metric", args.metric.is_some()),
        ("--check", args.check.is_some()),
        ("--timeout", args.timeout.is_some()),
        ("--warmup", args.warmup > 0),
    ];
    if let Some((flag, _)) = of_commands.into_iter().find(|(_, is_given)| *is_given) {
        let cure = "leave it out, or leave --worker out";
        return Err(Usage(format!("{flag} is for a command that is no worker: {cure}")));
    }
    let files = args.output.clone();
    let pictures = Some(PictureJob { files, ..PictureJob::default() });
    let sizes = args.sizes.clone();
    Ok(WorkerJob { words, folder, profile_env, pictures, sizes })
}

/// The job of a few trials with chosen values, which its command takes from `sinks` too, and the
/// baseline with what that runs today of the knobs that a profile has for it.
///
/// # Errors
/// As [`open`] and [`job::open`]; [`Usage`] for a knob of which the command does not say what it is
/// today.
pub fn job(args: &TrialArgs, own: (&Values, Baseline)) -> Result<(Job, Baseline)> {
    let given = open(&args.custom, &args.runner, &args.job)?;
    let (custom, baseline) = reading(given, &args.knobs, own)?;
    let job = match custom {
        Some(custom) => Job::Custom(custom),
        None => Job::Pipeline(job::open(&args.job, &baseline)?),
    };
    Ok((job, baseline))
}

fn reading(
    job: Option<CustomJob>,
    sinks: &[(String, Sink)],
    (own, baseline): (&Values, Baseline),
) -> Result<(Option<CustomJob>, Baseline)> {
    let Some(CustomJob::Command(command)) = job else { return Ok((job, baseline)) };
    let command = CommandJob { sinks: sinks.iter().cloned().collect(), ..command };
    let mut today = Values::new();
    for (name, value) in own {
        let of_knob = command.today(name, value).map_err(Usage)?;
        today.extend(of_knob.map(|value| (name.clone(), value)));
    }
    let baseline = baseline.with(|knobs| knobs.custom.extend(today));
    warn_of_texts(&command.words, &baseline);
    Ok((Some(CustomJob::Command(command)), baseline))
}

/// The command of a tune that declares the baseline's own knobs, with its `sinks`.
pub fn declared(command: CommandJob, sinks: Sinks, baseline: &Baseline) -> CommandJob {
    let own = &baseline.knobs.custom;
    let words = command.words.iter().map(|word| template::declared(word, own)).collect();
    let command = CommandJob { words, sinks, ..command };
    warn_of_texts(&command.words, baseline);
    command
}

/// Says which placeholders of texts stay as they are.
fn warn_of_texts(words: &[String], baseline: &Baseline) {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let (values, own) = (baseline.knobs.values(), &baseline.knobs.custom);
    let left = Substitution::of(&words, &values, own).left(&words);
    left.iter().for_each(|line| terminal::tell(&format!("wan22-tune: warning: {line}")));
}

/// Refuses knobs in the words, variables and files of a worker, whose process outlives their values.
///
/// # Errors
/// [`Usage`] that names the first.
pub fn check_worker(file: &SpaceFile, words: &[String]) -> Result<(), Usage> {
    let is_known = |name: &str| file.knob.contains_key(name);
    let mut meant = template::meant(words, &is_known).into_iter().map(|(_, one)| one);
    let place = meant.find(|one| is_known(one.name)).map(|one| one.whole.to_owned());
    let place = place.or_else(|| file.sinks().values().next().map(ToString::to_string));
    let told = "a worker is told its knobs by messages: leave it out";
    place.map_or(Ok(()), |place| Err(Usage(format!("`{place}`: {told}"))))
}

/// The baseline that was asked for, of a job of the user's own or of a built-in one: what its command
/// runs today, where it is one.
///
/// # Errors
/// As [`job::baseline`]; [`Usage`] for a value in the command that a knob can't have.
pub fn baseline(
    choice: Option<&BaselineChoice>,
    (args, job): (&CustomJobArgs, &JobArgs),
    machine: &Machine,
) -> Result<Baseline> {
    let baseline = job::baseline(choice, job, machine, args.is_program())?;
    with_words(baseline, &args.words, machine)
}

/// The baseline with what the words of a command say of today's values of knobs that the tool has.
fn with_words(baseline: Baseline, words: &[String], machine: &Machine) -> Result<Baseline> {
    let mut knobs = baseline.knobs.clone();
    let usual = knobs.built_in();
    for (_, one) in template::meant(words, &|_| false) {
        let (Some(text), Some(old)) = (one.today, usual.get(one.name)) else { continue };
        let with = old.kind().read(text).and_then(|value| knobs.with([(one.name, &value)]));
        let with = with.and_then(|knobs| knobs.check_counts(machine).map(|()| knobs));
        knobs =
            with.map_err(|problem| Usage(format!("the command's `{}`: {problem}", one.whole)))?;
    }
    // It is what runs today, so that nothing else has to set it.
    knobs.as_is.clone_from(&baseline.knobs.as_is);
    Ok(baseline.with(|own| *own = knobs))
}

/// The flags of a tune, with the space that suits the user's own job where none is named.
///
/// # Errors
/// [`Usage`] for fewer repetitions than the pipeline takes.
pub fn suit(args: &TuneArgs) -> Result<TuneArgs> {
    let mut args = args.clone();
    args.custom.sizes.clone_from(&args.size);
    if !args.size.is_empty() && !args.custom.is_program() {
        let cure = "give --clip and --steps, or the command after `--`";
        return Err(Usage(format!("--size is for a job of your own: {cure}")).into());
    }
    let is_twice = |at: usize| args.size[..at].iter().any(|one| one.name == args.size[at].name);
    if let Some(at) = (0..args.size.len()).find(|&at| is_twice(at)) {
        let name = &args.size[at].name;
        return Err(
            Usage(format!("--size {name}: given twice: write all its values in one")).into()
        );
    }
    if let Some(known) = args.custom.app.app {
        if args.runner.is_own_worker() {
            let cure = "--worker is for a program of your own that stays loaded: leave one out";
            return Err(Usage(format!("--app {} --worker: {cure}", known.space())).into());
        }
        app::check(&args.custom)?;
        let asked = app::asked_space(&args.custom)?;
        args.space.space.get_or_insert(asked.unwrap_or_else(|| known.space().into()));
    }
    if args.custom.app.app.is_some_and(|known| !known.is_worker()) {
        app::fit(&mut args)?;
    } else if args.custom.app.app.is_some() {
        // Its space is its own.
    } else if !args.custom.words.is_empty() {
        args.space.space.get_or_insert("command".into());
    } else if args.custom.module.is_some() {
        args.space.space.get_or_insert("module".into());
    } else if let Some(few) = args.repetitions.filter(|&given| given < repetitions::LEAST) {
        let (least, most) = (repetitions::LEAST, MOST_SAMPLES);
        return Err(Usage(format!("--repetitions {few}: give {least} to {most}")).into());
    }
    Ok(args)
}

impl CustomJobArgs {
    /// Whether it is a program of the user's own, which somebody runs today: a command or an app.
    pub fn is_program(&self) -> bool {
        !self.words.is_empty() || self.app.app.is_some()
    }

    /// How often a trial is measured; `given` where a flag says so.
    pub fn repetitions(&self, runner: &RunnerArgs, given: Option<u32>) -> Repetitions {
        let job = match () {
            () if runner.is_own_worker() || self.app.app.is_some() => Measured::Worker,
            () if self.words.is_empty() => Measured::Pipeline,
            () => Measured::Command,
        };
        Repetitions::of(job, given)
    }
}

impl TuneArgs {
    /// How often a trial is measured.
    pub fn repetitions(&self) -> Repetitions {
        self.custom.repetitions(&self.runner, self.repetitions)
    }

    /// The same flags for a job that was begun in its own folder.
    #[must_use]
    pub fn at(mut self, job: Option<&CustomJob>) -> Self {
        self.custom.folder = match job {
            Some(CustomJob::Command(command)) => Some(command.folder.clone()),
            Some(CustomJob::Worker(worker)) => Some(worker.folder.clone()),
            _ => self.custom.folder,
        };
        self
    }
}

/// Refuses a module's inputs that a trial's memory has no room for.
///
/// # Errors
/// How large they are, and what to type instead.
pub fn fits(job: Option<&CustomJob>, memory_bytes: u64) -> Result<(), String> {
    let Some(CustomJob::Module(module)) = job else { return Ok(()) };
    let bytes = Inputs::parse(&module.inputs)?.bytes();
    if memory_bytes == 0 || bytes <= memory_bytes {
        return Ok(());
    }
    let [bytes, most] = [bytes, memory_bytes].map(ByteSize::b);
    Err(format!("--inputs {}: {bytes}, and a trial may take {most}: give less", module.inputs))
}

/// The module, with absolute paths: the worker has a folder of its own.
fn module(file: &Path, inputs: &str) -> Result<ModuleJob> {
    let opened = |flag: &str, file: &Path| {
        let place = format!("{flag} {}", file.display());
        input::open(file).map_err(|error| Usage(format!("{place}: {error:#}")))
    };
    let mut begin = [0; 4];
    let read = opened("--module", file)?.read_exact(&mut begin);
    if read.is_err() || begin != *b"PK\x03\x04" {
        let cure = "no TorchScript module; torch.jit.save writes one";
        return Err(Usage(format!("--module {}: {cure}", file.display())).into());
    }
    let inputs = match Inputs::parse(inputs) {
        Ok(Inputs::File(inputs)) => {
            opened("--inputs", Path::new(&inputs))?;
            text(std::path::absolute(&inputs)?)?
        }
        _ => inputs.to_owned(),
    };
    Ok(ModuleJob { file: text(std::path::absolute(file)?)?, inputs })
}

/// Finds the program as a shell would, so that a slip of the pen does not end in a failed trial.
fn check_program(program: &str, folder: &Path) -> Result<()> {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let found = if program.contains('/') {
        runs(&folder.join(program))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder: PathBuf| runs(&folder.join(program)))
    };
    if found {
        return Ok(());
    }
    let cure = "type a program in PATH or the path of one that may be executed";
    Err(Usage(format!("`{program}`: no such command; {cure}")).into())
}
