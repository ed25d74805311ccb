//! What `exec` launches with: a profile as it stands, one fitted to this machine, or the baseline.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cli::ExecArgs;
use crate::cmd::terminal;
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::placement::{self, bind_or_keep};
use crate::knobs::{AsIs, Baseline, Preset, Value, Values, program_environment, quota_warning};
use crate::launch::{self, Applied, Launch};
use crate::machine::{Machine, MachineMatch};
use crate::profile::{Entry, Profile, Store, ThisMachine};

/// What to launch with.
pub struct Choice {
    launch: Launch,
    /// The variables that the command finds besides the launch's.
    pub handed: BTreeMap<String, OsString>,
    /// The values of all knobs, for the command's words.
    pub values: Values,
    /// Those that the command alone has.
    pub own: Values,
    /// Where it comes from.
    pub source: String,
    /// What is said once it is applied.
    warning: Option<String>,
}

/// Chooses, and applies the choice to this process.
///
/// # Errors
/// What can't be applied, with the cure.
pub fn apply(args: &ExecArgs) -> Result<(Choice, Applied)> {
    let machine = Machine::detect_host()?;
    match &args.profile {
        Some(file) => {
            let choice = from_profile(args, file, &args.signature.read(file)?, &machine)?;
            let (choice, applied) = choice.applied(args, launch::apply)?;
            Ok(choice.said(applied))
        }
        None => best_of(args, &args.place.store(), &machine),
    }
}

impl Choice {
    fn applied(self, args: &ExecArgs, apply: Apply) -> Result<(Self, Applied)> {
        let applied = apply(&self.launch, !args.without_memory_policy)?;
        Ok((self, applied))
    }

    /// Says what goes with it, now that it is what the command starts with.
    fn said(self, applied: Applied) -> (Self, Applied) {
        self.warning.iter().chain(&applied.warning).for_each(|warning| warn(warning));
        (self, applied)
    }
}

/// Applies a launch, or only tries it: [`launch::apply`] or [`launch::dry_run`].
type Apply = fn(&Launch, bool) -> Result<Applied>;

/// What `exec --auto` without another flag would launch with, and what it would pass over.
#[derive(Debug, Default)]
pub struct AutoProfile {
    /// The profile; `None` where it would take the baseline.
    pub profile: Option<(PathBuf, Profile)>,
    /// The better ones, and why each can't be applied here.
    pub passed_over: Vec<(PathBuf, anyhow::Error)>,
}

/// Chooses as `exec --auto` does, and leaves this process as it is.
pub fn pick(store: &Store, machine: &Machine) -> AutoProfile {
    let mut passed_over = Vec::new();
    let over = |entry: PassedOver| {
        if let PassedOver::NotApplied(path, problem) = entry {
            passed_over.push((path, problem));
        }
    };
    let first = first_applied(&ExecArgs::automatic(), store, machine, launch::dry_run, over);
    AutoProfile { profile: first.map(|first| (first.path, first.profile)), passed_over }
}

/// Says what is not as it may have been meant.
pub fn warn(words: &str) {
    terminal::tell(&format!("wan22-tune exec: warning: {words}"));
}

/// A kept file that is not what the command starts with.
enum PassedOver {
    /// The file itself is refused.
    Refused(anyhow::Error),
    /// The profile can't be applied here.
    NotApplied(PathBuf, anyhow::Error),
}

/// The first profile that could be applied.
struct First {
    path: PathBuf,
    profile: Profile,
    choice: Choice,
    applied: Applied,
}

/// The best of the kept profiles that can be applied here; hands on what comes before it.
fn first_applied(
    args: &ExecArgs,
    store: &Store,
    machine: &Machine,
    apply: Apply,
    mut over: impl FnMut(PassedOver),
) -> Option<First> {
    for Entry { path, profile } in store.ranked(machine, args.job.as_deref()) {
        let profile = match profile {
            Ok(profile) => profile,
            Err(problem) => {
                over(PassedOver::Refused(problem));
                continue;
            }
        };
        let choice = from_profile(args, &path, &profile, machine);
        match choice.and_then(|choice| choice.applied(args, apply)) {
            Ok((choice, applied)) => return Some(First { path, profile, choice, applied }),
            Err(problem) => over(PassedOver::NotApplied(path, problem)),
        }
    }
    None
}

/// The best of the kept profiles that can be applied here, or the baseline.
fn best_of(args: &ExecArgs, store: &Store, machine: &Machine) -> Result<(Choice, Applied)> {
    let mut failed = 0;
    let first = first_applied(args, store, machine, launch::apply, |passed| match passed {
        // Who is refused is told of: the fleet's image is then not what somebody thinks.
        PassedOver::Refused(problem) => terminal::tell(&format!("wan22-tune exec: {problem:#}")),
        PassedOver::NotApplied(path, problem) => {
            failed += 1;
            warn(&format!("{} is passed over: {problem:#}", path.display()));
        }
    });
    if let Some(First { choice, applied, .. }) = first {
        return Ok(choice.said(applied));
    }
    let folders: Vec<String> = store.folders().iter().map(|f| f.display().to_string()).collect();
    let (folders, for_job) =
        (folders.join(", "), args.job.as_ref().map(|job| format!(" and {job}")));
    let for_job = for_job.unwrap_or_default();
    let what = if failed > 0 { "can be applied" } else { "exists" };
    warn(&format!(
        "no profile for this machine{for_job} in {folders} {what}; launching with the baseline. \
         Tune here, then `wan22-tune profiles use FILE`"
    ));
    baseline(args)
}

fn from_profile(
    args: &ExecArgs,
    file: &Path,
    profile: &Profile,
    machine: &Machine,
) -> Result<Choice> {
    let machine_match = ThisMachine::of(machine).machine_match(profile);
    // A cpuset may have fewer CPUs than the machine on which the same profile was made.
    let fits = || {
        profile.agrees(machine).is_ok()
            && profile.launch.bound_cpus().is_none_or(|cpus| bind_or_keep(cpus).is_ok())
    };
    let quota = profile.quota_mismatch(machine);
    if args.adapt && (machine_match == MachineMatch::Different || quota.is_some() || !fits()) {
        return adapted(args, file, profile, machine);
    }
    ensure!(
        machine_match != MachineMatch::Different || args.force,
        "{} was made on {}, a machine of another shape: tune here, add --adapt to fit it to this \
         one, or --force to apply it as it stands",
        file.display(),
        profile.machine.host
    );
    if machine_match != MachineMatch::Different {
        profile.agrees(machine).with_context(|| format!("profile {}", file.display()))?;
    }
    let cure = "or add --adapt, which fits the counts to this process";
    let ratio = profile.latent_ratio();
    Ok(Choice {
        handed: handed(args, (&profile.values(), &profile.program_as_is), ratio, Some(file))?,
        values: profile.values(),
        own: profile.custom_knobs.clone(),
        source: format!("{} ({machine_match})", file.display()),
        warning: quota.map(|quota| format!("{quota}, {cure}")),
        launch: profile.launch.clone(),
    })
}

/// What the command finds in its environment besides the launch; `ratio` is
/// [`Profile::latent_ratio`].
fn handed(
    args: &ExecArgs,
    (candidate, program_as_is): (&BTreeMap<String, Value>, &AsIs),
    ratio: i64,
    file: Option<&Path>,
) -> Result<BTreeMap<String, OsString>> {
    let mut variables = program_environment::variables(candidate, ratio);
    variables.extend(program_environment::left(program_as_is));
    let mut handed: BTreeMap<String, OsString> =
        variables.into_iter().map(|(name, value)| (name, value.into())).collect();
    if let Some(file) = file {
        let path = std::path::absolute(file).context("the profile's path")?;
        handed.insert(args.profile_env.clone(), path.into());
    }
    Ok(handed)
}

fn adapted(args: &ExecArgs, file: &Path, profile: &Profile, machine: &Machine) -> Result<Choice> {
    let proven = launch::proven(machine.clone().with_gpus());
    let adapted = profile.adapt(&proven).map_err(anyhow::Error::msg);
    let adapted =
        adapted.with_context(|| format!("profile {} does not fit this machine", file.display()))?;
    for change in &adapted.changes {
        terminal::tell(&format!("wan22-tune exec: adapted {change}"));
    }
    let host = &profile.machine.host;
    Ok(Choice {
        handed: handed(
            args,
            (&adapted.knobs.values(), &profile.program_as_is),
            profile.latent_ratio(),
            Some(file),
        )?,
        values: adapted.knobs.values(),
        own: adapted.knobs.custom.clone(),
        source: format!("{} (of {host}, adapted, never measured here)", file.display()),
        warning: None,
        launch: Launch::of(&adapted.settings),
    })
}

fn baseline(args: &ExecArgs) -> Result<(Choice, Applied)> {
    let machine = launch::proven(Machine::detect()?);
    let baseline = Baseline::fit(Preset::detect(&machine), &machine);
    let settings = baseline.knobs.resolve(&machine).map_err(anyhow::Error::msg)?;
    let choice = |launch: Launch, warning| -> Result<Choice> {
        let values = baseline.knobs.values();
        let told = (&values, &AsIs::new());
        let handed = handed(args, told, program_environment::LARGEST_RATIO, None)?;
        let (source, own) = (format!("the baseline {}", baseline.preset), Values::new());
        Ok(Choice { launch, handed, values, own, source, warning })
    };
    let launch = Launch::of(&settings);
    let bound = choice(launch.clone(), quota_warning(&machine))?.applied(args, launch::apply);
    let bound = bound.map(|(choice, applied)| choice.said(applied));
    bound.or_else(|problem| {
        // Where nothing may be bound at all, threads and environment are still the baseline's.
        let words = format!("the baseline's CPUs and memory stay as inherited: {problem:#}");
        let cpus = placement::bound().unwrap_or_else(|_| launch.cpus.clone());
        let unbound = Launch { cpus, memory: MemoryPolicy::Default, ..launch };
        let choice = choice(unbound, Some(words))?;
        let applied = Applied::as_inherited(&choice.launch)?;
        choice.warning.iter().for_each(|warning| warn(warning));
        Ok((choice, applied))
    })
}
