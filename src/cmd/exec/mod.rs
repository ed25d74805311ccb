//! `exec`: becomes a command, launched as a profile says.

mod choice;

pub use choice::{AutoProfile, pick};

use choice::Choice;

use std::convert::Infallible;
use std::process::ExitCode;

use anyhow::Result;

use super::terminal;
use crate::cli::ExecArgs;
use crate::io::exit_code;
use crate::knobs::program_environment;
use crate::launch;
use crate::launch::Supervision;
use crate::workload::custom::sink::{self, Sinks};
use crate::workload::custom::template::Substitution;

impl ExecArgs {
    /// `exec --auto` without another flag.
    fn automatic() -> Self {
        let profile_env = program_environment::PROFILE.to_owned();
        Self { auto: true, profile_env, quiet: true, ..Self::default() }
    }
}

/// Never returns when all goes well.
pub fn run(args: &ExecArgs) -> ExitCode {
    let Err(error) = launch(args);
    terminal::tell(&format!("wan22-tune exec: {error:#}"));
    let not_found = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    ExitCode::from(match error.downcast_ref::<launch::NotStarted>() {
        Some(launch::NotStarted { source, .. }) if not_found(source) => exit_code::NOT_FOUND,
        Some(_) => exit_code::NOT_RUN,
        None => exit_code::NOT_APPLIED,
    })
}

fn launch(args: &ExecArgs) -> Result<Infallible> {
    if let Some(parent) = args.supervisor {
        launch::supervise(Supervision { parent })?;
    }
    let (choice, applied) = choice::apply(args)?;
    if !args.quiet {
        terminal::tell(&format!("wan22-tune exec: {}: {applied}", choice.source));
    }
    let Choice { values, own, mut handed, .. } = choice;
    let substitution = Substitution::of(&args.command, &values, &own);
    if args.supervisor.is_none() {
        substitution.left(&args.command).iter().for_each(|line| choice::warn(line));
    }
    let command = substitution.words(&args.command).map_err(anyhow::Error::msg)?;
    let sinks: Sinks = args.knobs.iter().cloned().collect();
    let unknown = sink::unknown(&sinks, &values).filter(|_| !values.is_empty());
    unknown.iter().for_each(|line| choice::warn(line));
    handed.extend(
        sink::variables(&sinks, &values).into_iter().map(|(name, text)| (name, text.into())),
    );
    launch::exec(&applied, &handed, &command)
}
