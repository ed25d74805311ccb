//! `doctor --worker`: whether a program speaks the worker's protocol.

use std::fmt::Write;

use anyhow::{Result, bail};
use clap::Parser;

use crate::cli::{Cli, DoctorArgs};
use crate::cmd::setup::job::Job;
use crate::cmd::setup::{custom, runner, today};
use crate::cmd::tune::prepared;
use crate::cmd::{Usage, space, terminal};
use crate::io::lock::Lock;
use crate::io::output::print_value;
use crate::knobs::Value;
use crate::knobs::program_environment::is_own;
use crate::runner::warm::conformance::{Claim, examine};
use crate::space::KnobDomain;
use crate::workload::custom::CustomJob;

/// Tries the worker and prints what it does.
///
/// # Errors
/// It is none, or can't be started.
pub fn run(args: &DoctorArgs) -> Result<()> {
    // A tune of it, whose flags are all as usual.
    let knobs = args.knobs.iter().flat_map(|knob| ["--knob".to_owned(), knob.text.clone()]);
    let flags = ["wan22-tune", "--dry-run", "--worker"].map(str::to_owned).into_iter();
    let words = flags.chain(knobs).chain(["--".to_owned()]).chain(args.words.clone());
    let tune = custom::suit(&Cli::try_parse_from(words)?.tune)?;
    let machine = crate::cmd::machine::here()?;
    let file = prepared::declared(&tune)?;
    let (baseline, job) = prepared::job(&tune, &file, &machine)?;
    let workload = job.smallest();
    let (mut runner, job) = runner::set_up(&tune.runner, job, machine, baseline)?;
    let Job::Custom(CustomJob::Worker(worker)) = job else {
        return Err(Usage("no command after `--`".to_owned()).into());
    };
    let _lock = Lock::take(false, &runner.stop)?;
    let scratch = runner::scratch(&std::env::temp_dir())?;
    runner.scratch = scratch.path().to_owned();
    let limit = args.limit;
    terminal::tell(&format!("the worker has {limit:?} for each job; --limit says otherwise"));
    if !file.guessed.is_empty() {
        today::ask(&mut runner, &file, &workload, args.limit)?;
    }
    let (space, _) =
        space::resolve(&file, &tune.space, &runner.machine, &runner.baseline, &workload)?;
    let others = space.knobs.iter().filter(|knob| is_own(&knob.name)).filter_map(other).collect();
    let claims = examine(&runner, &worker, &others, args.limit)?;
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

/// Another value of a knob than the baseline's.
fn other(knob: &KnobDomain) -> Option<(String, Value)> {
    let level = (0..knob.levels.len()).rev().find(|level| *level != knob.baseline)?;
    Some((knob.name.clone(), knob.levels[level].clone()))
}

fn text(claims: &[Claim]) -> String {
    let mut text = String::new();
    for Claim { claim, found, problem } in claims {
        let sign = if problem.is_some() { "!" } else { " " };
        let _ = writeln!(text, "{sign} {claim:<24} {}", problem.as_ref().unwrap_or(found));
    }
    text
}
