//! `exec`: becomes a command, launched as a profile says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::launch::{self, EXIT_NOT_APPLIED, Launch, Supervision, handover};
use crate::machine::{Likeness, Machine};
use crate::profile::Profile;

/// Which profile, and which command.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The profile to launch with.
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
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
    eprintln!("wan22-tune exec: {error:#}");
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
        eprintln!("wan22-tune exec: {}: {applied}", chosen.source);
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
    let file = args.profile.display();
    let profile = Profile::read(&args.profile)?;
    let machine = Machine::detect_host()?;
    let likeness = machine.fingerprint().compare(&profile.machine.fingerprint);
    ensure!(
        likeness != Likeness::Different || args.force,
        "{file} was made on {}, a machine of another shape: tune here, or add --force to apply it \
         as it stands",
        profile.machine.host
    );
    if likeness != Likeness::Different {
        profile.agrees(&machine).with_context(|| format!("profile {file}"))?;
    }
    let handed = handover::variables(&profile.candidate, &args.profile, &args.profile_env)?;
    Ok(Chosen { launch: profile.launch, handed, source: format!("{file} ({likeness})") })
}
