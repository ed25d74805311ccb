//! `--self-test`: a tune of copies of the baseline, which must claim nothing.

use anyhow::{Result, bail};

use super::{Prepared, rungs};
use crate::cli::TuneArgs;
use crate::cmd::setup::runner;
use crate::cmd::terminal::progress::Progress;
use crate::evidence::confirmation::{Confirmation, Verdict};
use crate::io::number::percent;
use crate::results::Folder;
use crate::runner::Runner;
use crate::search::Plan;
use crate::trial::journal::Journal;
use crate::tune::budget::Budget;
use crate::tune::{AaRunner, Session};

/// Tunes copies of the baseline and says what it found.
///
/// # Errors
/// A gain was claimed, or the baseline does not run.
pub fn run(args: &TuneArgs, mut prepared: Prepared, budget: Budget) -> Result<()> {
    let scratch = runner::scratch(&std::env::temp_dir())?;
    prepared.runner.scratch = scratch.path().to_owned();
    let loaded = prepared.loaded.take();
    let Prepared { runner, job, .. } = &prepared;
    let of_trials = runner::of_trials(runner, loaded);
    let (copies, folder) = (AaRunner(&*of_trials), Folder::new(scratch.path()));
    let usual = copies.baseline();
    let journal =
        Journal::create(&folder.journal(), usual.keys(), args.repetitions().most as usize)?;
    let config = prepared.config(args);
    let mut progress = Progress::new(runner, config.repetitions, budget, args.view);
    let session = Session::new(&config, &copies, progress.observer(), budget);
    let mut session = session.recording(&folder, journal);
    let tune = prepared.describe(args, budget, String::new());
    let rungs = rungs::choose((runner, job), &mut session, &tune)?;
    let plan = Plan { strategy: args.strategy, seed: args.seed, ..Plan::default() };
    let competed = session.compete(&copies.space(), &rungs, plan);
    let made = session.trials().to_vec();
    progress.end();
    competed?;
    let confirmation = Confirmation::of(&made, &usual);
    let trials = made.len();
    let pairs = confirmation.as_ref().map_or(0, |confirmation| confirmation.pairs.len());
    let made = format!("{trials} trials of the baseline under other names, {pairs} pairs");
    match confirmation.map(|confirmation| confirmation.verdict()) {
        Some(Verdict::Gain(gain)) => bail!(
            "self-test failed: {made}, and a gain of {} (95% interval {} to {}) was claimed where \
             there is none; with this machine's noise one self-test in twenty may do so, two in \
             a row may not",
            percent(gain.mean),
            percent(gain.low),
            percent(gain.high)
        ),
        _ => crate::cmd::terminal::show(&format!(
            "Self-test passed: {made}, and no gain was claimed.\n"
        )),
    }
}
