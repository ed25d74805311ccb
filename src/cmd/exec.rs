//! `exec`: becomes a command, launched as a profile says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::profiles::PlaceArgs;
use super::signature::SignatureArgs;
use super::terminal;
use crate::launch::{self, EXIT_NOT_APPLIED, Launch, Supervision, handover};
use crate::machine::{Likeness, Machine};
use crate::profile::{Profile, Store};
use crate::settings::{Baseline, Preset, quota_warning};
use crate::space::Value;

/// Which profile, and which command.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The profile to launch with.
    #[arg(long, value_name = "FILE", required_unless_present = "auto", conflicts_with = "auto")]
    profile: Option<PathBuf>,
    /// Takes the profile of this machine that `wan22-tune profiles list` marks; where there is none,
    /// or none that is not refused, it warns and takes the baseline. A signature is of one file: it
    /// needs --profile.
    #[arg(long, conflicts_with = "signature")]
    auto: bool,
    /// Who has to have signed it.
    #[command(flatten)]
    signature: SignatureArgs,
    /// Where --auto looks.
    #[command(flatten)]
    place: PlaceArgs,
    /// Fits a profile of another machine to this one by topology, and says how.
    #[arg(long, conflicts_with = "force")]
    adapt: bool,
    /// Applies the profile as it stands, even if it was made on a machine of another shape.
    #[arg(long)]
    force: bool,
    /// Leaves the memory policy as it is, for containers that forbid to set one.
    #[arg(long)]
    without_memory_policy: bool,
    /// The variable in which the command finds the profile's path; its knobs' values are in
    /// WAN22_ and their names in capitals, such as WAN22_BATCH_SIZE.
    #[arg(long, value_name = "NAME", default_value = handover::PROFILE, value_parser = handover::profile_name)]
    profile_env: String,
    /// Does not say what was applied.
    #[arg(long)]
    quiet: bool,
    /// The tuner that watches over this trial.
    #[arg(long, hide = true, value_name = "PID")]
    supervisor: Option<i32>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Never returns when all goes well.
pub fn run(args: &ExecArgs) -> ExitCode {
    let Err(error) = launch(args);
    terminal::tell(&format!("wan22-tune exec: {error:#}"));
    let not_found = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    match error.downcast_ref::<launch::NotStarted>() {
        Some(launch::NotStarted { source, .. }) if not_found(source) => ExitCode::from(127),
        Some(_) => ExitCode::from(126),
        None => ExitCode::from(EXIT_NOT_APPLIED as u8),
    }
}

fn launch(args: &ExecArgs) -> Result<Infallible> {
    if let Some(parent) = args.supervisor {
        launch::supervise(Supervision { parent })?;
    }
    let chosen = choose(args)?;
    let applied = launch::apply(&chosen.launch, !args.without_memory_policy)?;
    if !args.quiet {
        terminal::tell(&format!("wan22-tune exec: {}: {applied}", chosen.source));
    }
    launch::exec(&applied, &chosen.handed, &args.command)
}

/// What to launch with, and where it comes from.
struct Chosen {
    launch: Launch,
    handed: BTreeMap<String, String>,
    source: String,
}

fn choose(args: &ExecArgs) -> Result<Chosen> {
    let machine = Machine::detect_host()?;
    if let Some(file) = &args.profile {
        return from_profile(args, file, args.signature.read(file)?, &machine);
    }
    let store = args.place.store();
    // Who is refused is told of: the fleet's image is then not what somebody thinks.
    let entries = store.entries(&machine);
    for entry in &entries {
        if let Err(problem) = &entry.profile {
            terminal::tell(&format!("wan22-tune exec: {problem:#}"));
        }
    }
    match store.pick(&entries, &machine.fingerprint()) {
        Some((path, profile)) => from_profile(args, path, profile.clone(), &machine),
        None => baseline(args, &store),
    }
}

fn from_profile(
    args: &ExecArgs,
    file: &Path,
    profile: Profile,
    machine: &Machine,
) -> Result<Chosen> {
    let likeness = machine.fingerprint().compare(&profile.machine.fingerprint);
    // A cpuset may have fewer CPUs than the machine on which the same profile was made.
    let fits = || profile.agrees(machine).is_ok() && launch::bind(&profile.launch.cpus).is_ok();
    let quota = profile.quota_mismatch(machine);
    if args.adapt && (likeness == Likeness::Different || quota.is_some() || !fits()) {
        return adapted(args, file, &profile, machine);
    }
    ensure!(
        likeness != Likeness::Different || args.force,
        "{} was made on {}, a machine of another shape: tune here, add --adapt to fit it to \
         this one, or --force to apply it as it stands",
        file.display(),
        profile.machine.host
    );
    if likeness != Likeness::Different {
        profile.agrees(machine).with_context(|| format!("profile {}", file.display()))?;
    }
    if let Some(quota) = quota {
        let cure = "or add --adapt, which fits the counts to this process";
        terminal::tell(&format!("wan22-tune exec: warning: {quota}, {cure}"));
    }
    let handed = handed(args, &profile.candidate, Some(file))?;
    let source = format!("{} ({likeness})", file.display());
    Ok(Chosen { launch: profile.launch, handed, source })
}

/// What the command finds in its environment besides the launch.
fn handed(
    args: &ExecArgs,
    candidate: &BTreeMap<String, Value>,
    file: Option<&Path>,
) -> Result<BTreeMap<String, String>> {
    let mut handed = handover::variables(candidate);
    if let Some(file) = file {
        handed.insert(args.profile_env.clone(), handover::path(file)?);
    }
    Ok(handed)
}

fn adapted(args: &ExecArgs, file: &Path, profile: &Profile, machine: &Machine) -> Result<Chosen> {
    let proven = launch::proven(machine.clone());
    let adapted = profile.adapt(&proven).map_err(anyhow::Error::msg);
    let adapted =
        adapted.with_context(|| format!("profile {} does not fit this machine", file.display()))?;
    for change in &adapted.changes {
        terminal::tell(&format!("wan22-tune exec: adapted {change}"));
    }
    let host = &profile.machine.host;
    let source = format!("{} (of {host}, adapted, never measured here)", file.display());
    let handed = handed(args, &adapted.knobs.values(), Some(file))?;
    Ok(Chosen { launch: Launch::of(&adapted.settings), handed, source })
}

fn baseline(args: &ExecArgs, store: &Store) -> Result<Chosen> {
    let folders: Vec<String> = store.folders().iter().map(|f| f.display().to_string()).collect();
    terminal::tell(&format!(
        "wan22-tune exec: warning: no profile for this machine in {}; launching with the baseline. \
         Tune here, then `wan22-tune profiles use FILE`",
        folders.join(", ")
    ));
    let machine = launch::proven(Machine::detect()?);
    if let Some(warning) = quota_warning(&machine) {
        terminal::tell(&format!("wan22-tune exec: warning: {warning}"));
    }
    let baseline = Baseline::fit(Preset::detect(&machine), &machine);
    let settings = baseline.knobs.resolve(&machine).map_err(anyhow::Error::msg)?;
    let source = format!("the baseline {}", baseline.preset);
    let handed = handed(args, &baseline.knobs.values(), None)?;
    Ok(Chosen { launch: Launch::of(&settings), handed, source })
}
