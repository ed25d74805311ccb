//! Watching a fleet: looks at the engine again and again, and says what has changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use strum::VariantArray;

use super::site::{POLL, poll};
use crate::cli::FleetArgs;
use crate::cmd::terminal::{signals, tell};
use crate::fleet::engine::{JobState, Task};
use crate::fleet::{Coordinator, FleetEnd, Folder, Overview, State, Step};
use crate::io::number::count;
use crate::tune::budget::wall;

/// Between two looks where there are many nodes, or no answer.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// The same where something has just changed and nodes are few: probes take no longer.
const QUICK_POLL: Duration = Duration::from_secs(1);

/// More nodes than these are many.
const MANY: usize = 100;

/// How long a probe that is not yet started may be about to.
const SOON: Duration = Duration::from_secs(30);

/// How long jobs may take to end that were told to.
const FAREWELL: Duration = Duration::from_secs(60);

/// Why the watch is over.
pub enum Watched {
    /// The fleet is.
    Over(FleetEnd),
    /// All jobs are started, and were to be left to themselves.
    Detached,
    /// A signal came, and the jobs run on.
    Signalled,
}

/// Until the fleet is done, or its jobs are left to themselves.
///
/// # Errors
/// The journal can't be written; the folder is gone, so that nothing can be known any more.
pub fn run(
    args: &FleetArgs,
    folder: &Folder,
    coordinator: &mut Coordinator<'_>,
) -> Result<Watched> {
    let stop = signals::watch()?;
    let many = coordinator.records().len() > MANY;
    let usual = poll(args, if many { SLOW_POLL } else { POLL });
    let quick = if many { usual } else { usual.min(QUICK_POLL) };
    let (mut shown, mut silent, begun, mut pause) = (String::new(), 0_u32, wall(), quick);
    loop {
        is_there(folder)?;
        match coordinator.step(wall())? {
            Step::Over(ended) => return Ok(Watched::Over(ended)),
            Step::Goes => silent = 0,
            Step::Silent(why) => {
                if silent == 0 {
                    tell(&format!("warning: {why}; asking again"));
                }
                silent += 1;
            }
        }
        let line = line(&super::overview(args, coordinator));
        pause = if line == shown { usual.min(pause * 2) } else { quick };
        if line != shown && !args.tune.view.quiet {
            tell(&line);
        }
        shown = line;
        let is_soon = wall() < begun + SOON;
        let is_left = args.fleet.detach && coordinator.is_lasting();
        if silent == 0 && is_left && is_started(coordinator, is_soon) {
            return Ok(Watched::Detached);
        }
        let silence = usual * 2_u32.pow(silent.min(4));
        wait(if silent > 0 { silence.min(SLOW_POLL.max(usual)) } else { pause }, &stop);
        if stop.load(Ordering::SeqCst) {
            return leave(coordinator, usual);
        }
    }
}

/// Whether there is still what all that is known stands in.
fn is_there(folder: &Folder) -> Result<()> {
    if !matches!(folder.request().try_exists(), Ok(false)) {
        return Ok(());
    }
    let (place, cure) = (folder.request(), "type `wan22-tune fleet` with its new place");
    bail!("{}: gone: if its folder was moved, {cure}; the jobs run on", place.display())
}

/// Whether all is started that can be before others end. A probe that waits is one of these, unless
/// it may start soon: a scheduler takes a moment to start any.
fn is_started(coordinator: &Coordinator<'_>, is_soon: bool) -> bool {
    let is_awaited = |job: &crate::fleet::engine::SubmittedJob| {
        job.task == Task::Probe && (is_soon || !matches!(job.state, JobState::Pending(_)))
    };
    coordinator.is_sure()
        && !coordinator.jobs().any(is_awaited)
        && (coordinator.is_full() || coordinator.missing().is_empty())
}

/// After a signal: jobs that last are left to themselves, others are ended.
fn leave(coordinator: &mut Coordinator<'_>, pause: Duration) -> Result<Watched> {
    if coordinator.is_lasting() {
        return Ok(Watched::Signalled);
    }
    coordinator.cancel();
    let end = wall() + FAREWELL;
    while coordinator.jobs().next().is_some() && wall() < end {
        sleep(pause.min(Duration::from_millis(200)));
        coordinator.look(wall())?;
    }
    Ok(Watched::Over(FleetEnd::Some))
}

fn wait(pause: Duration, stop: &AtomicBool) {
    let end = wall() + pause;
    while wall() < end && !stop.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(100).min(pause));
    }
}

/// How far the fleet is.
fn line(overview: &Overview) -> String {
    let of = |state: &State| overview.nodes.iter().filter(|row| row.state == *state).count();
    let counts = State::VARIANTS.iter().map(|state| (state, of(state)));
    let shown = counts.filter(|(state, count)| **state == State::Tuned || *count > 0);
    let parts: Vec<String> = shown.map(|(state, count)| format!("{count} {state}")).collect();
    format!("{}: {}", count(overview.nodes.len(), "node"), parts.join(", "))
}
