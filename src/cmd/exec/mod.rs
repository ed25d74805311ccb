//! `exec`: becomes a command, launched as a profile says.

mod choice;

pub use choice::{Pick, pick};

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::profiles::{PlaceArgs, job_name};
use super::setup::signature::SignatureArgs;
use super::terminal;
use crate::knobs::handover;
use crate::launch;
use crate::launch::{EXIT_NOT_APPLIED, Supervision};
use crate::profile;

/// Which profile, and which command.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The profile to launch with.
    #[arg(long, value_name = "FILE", required_unless_present = "auto", conflicts_with = "auto")]
    #[arg(value_parser = profile::file_argument())]
    profile: Option<PathBuf>,
    /// Takes the profile of this machine that `wan22-tune profiles list` marks; where it can't be
    /// applied, the next best; where none can, it warns and takes the baseline. A signature is of
    /// one file: it needs --profile.
    #[arg(long, conflicts_with = "signature")]
    auto: bool,
    /// Lets --auto take profiles of this job only, such as i2v, or the word that `wan22-tune
    /// profiles use --job` was given.
    #[arg(long, value_name = "NAME", requires = "auto", value_parser = job_name)]
    job: Option<String>,
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

impl ExecArgs {
    /// `exec --auto` without another flag.
    fn automatic() -> Self {
        Self {
            profile: None,
            auto: true,
            job: None,
            signature: SignatureArgs::default(),
            place: PlaceArgs::default(),
            adapt: false,
            force: false,
            without_memory_policy: false,
            profile_env: handover::PROFILE.to_owned(),
            quiet: true,
            supervisor: None,
            command: Vec::new(),
        }
    }
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
    let (choice, applied) = choice::apply(args)?;
    if !args.quiet {
        terminal::tell(&format!("wan22-tune exec: {}: {applied}", choice.source));
    }
    launch::exec(&applied, &choice.handed, &args.command)
}
