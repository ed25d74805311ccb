//! `exec`: becomes a command, launched as a profile says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::launch::{self, EXIT_NOT_APPLIED, Supervision};
use crate::machine::{Likeness, Machine};
use crate::profile::Profile;

/// Which profile, and which command.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The profile to launch with.
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Launches even if the profile was made on a machine of another shape.
    #[arg(long)]
    force: bool,
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

fn launch(args: &ExecArgs) -> anyhow::Result<std::convert::Infallible> {
    let profile = Profile::read(&args.profile)?;
    let machine = Machine::detect()?;
    let likeness = machine.fingerprint().compare(&profile.machine.fingerprint);
    anyhow::ensure!(
        likeness != Likeness::Different || args.force,
        "{} was made on {}, a machine of another shape: tune here, or add --force",
        args.profile.display(),
        profile.machine.host
    );
    if !args.quiet {
        let launch = &profile.launch;
        eprintln!("wan22-tune exec: cpus {}, memory {}", launch.cpus, launch.memory);
    }
    let supervision = args.supervisor.map(|parent| Supervision { parent });
    launch::exec(&profile.launch, &args.command, supervision)
}
