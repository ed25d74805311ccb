//! `doctor --worker`: whether a program speaks the worker's protocol.

use std::fmt::Write;

use anyhow::{Result, bail};
use clap::Parser;

use crate::cli::{Cli, DoctorArgs};
use crate::cmd::setup::job::Job;
use crate::cmd::setup::{custom, job, runner};
use crate::cmd::{Usage, terminal};
use crate::io::lock::Lock;
use crate::io::output::print_value;
use crate::runner::warm::conformance::{Claim, examine};
use crate::workload::custom::CustomJob;

/// Tries the worker and prints what it does.
///
/// # Errors
/// It is none, or can't be started.
pub fn run(args: &DoctorArgs) -> Result<()> {
    // A tune of it, whose flags are all as usual.
    let words = ["wan22-tune", "--dry-run", "--worker", "--"].map(str::to_owned);
    let tune = Cli::try_parse_from([&words[..], &args.words].concat())?.tune;
    let machine = crate::cmd::machine::here()?;
    let baseline = job::baseline(None, &tune.space.job, &machine, true)?;
    let Some(custom) = custom::open(&tune.custom, &tune.runner, &tune.space.job)? else {
        return Err(Usage("no command after `--`".to_owned()).into());
    };
    let (mut runner, _) =
        runner::set_up(&tune.runner, Job::Custom(custom.clone()), machine, baseline)?;
    let CustomJob::Worker(worker) = custom else { unreachable!("it was asked for") };
    let _lock = Lock::take(false, &runner.stop)?;
    let scratch = runner::scratch(&std::env::temp_dir())?;
    runner.scratch = scratch.path().to_owned();
    let claims = examine(&runner, &worker, args.limit)?;
    if args.json {
        print_value(&claims)?;
    } else {
        terminal::show(&text(&claims))?;
    }
    match claims.iter().filter(|claim| claim.problem.is_some()).count() {
        0 => Ok(()),
        wrong => bail!("{wrong} of {} claims do not hold", claims.len()),
    }
}

fn text(claims: &[Claim]) -> String {
    let mut text = String::new();
    for Claim { claim, found, problem } in claims {
        let sign = if problem.is_some() { "!" } else { " " };
        let _ = writeln!(text, "{sign} {claim:<24} {}", problem.as_ref().unwrap_or(found));
    }
    text
}
