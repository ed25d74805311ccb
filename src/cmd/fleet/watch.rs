//! Watching a fleet: looks at the engine again and again, and says what has changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::site::{POLL, poll};
use crate::cli::FleetArgs;
use crate::cmd::terminal::{signals, tell};
use crate::fleet::engine::{JobState, Task};
use crate::fleet::{Coordinator, Ended, Overview, State, Step};
use crate::io::number::count;
use crate::tune::budget::wall;

/// Between two looks where there are many nodes, or no answer.
const SLOW_POLL: Duration = Duration::from_secs(30);

/// More nodes than these are many.
const MANY: usize = 100;

/// How long jobs may take to end that were told to.
const FAREWELL: Duration = Duration::from_secs(60);

/// Until the fleet is done; `None` where jobs were left to themselves.
///
/// # Errors
/// The journal can't be written.
pub fn run(args: &FleetArgs, coordinator: &mut Coordinator<'_>) -> Result<Option<Ended>> {
    let stop = signals::watch()?;
    let many = coordinator.records().len() > MANY;
    let usual = poll(args, if many { SLOW_POLL } else { POLL });
    let (mut shown, mut silent) = (String::new(), 0_u32);
    loop {
        match coordinator.step(wall())? {
            Step::Over(ended) => return Ok(Some(ended)),
            Step::Goes => silent = 0,
            Step::Silent(why) => {
                if silent == 0 {
                    tell(&format!("warning: {why}; asking again"));
                }
                silent += 1;
            }
        }
        let line = line(&super::overview(args, coordinator));
        if line != shown && !args.tune.view.quiet {
            tell(&line);
            shown = line;
        }
        if silent == 0 && args.fleet.detach && coordinator.is_lasting() && is_started(coordinator) {
            return Ok(None);
        }
        let pause = if silent > 0 { usual * 2_u32.pow(silent.min(4)) } else { usual };
        wait(pause.min(SLOW_POLL.max(usual)), &stop);
        if stop.load(Ordering::SeqCst) {
            return leave(coordinator, usual);
        }
    }
}

/// Whether all is started that can be before others end.
fn is_started(coordinator: &Coordinator<'_>) -> bool {
    let is_probe_running = |job: &&crate::fleet::engine::Known| {
        let is_waiting = matches!(&job.state, JobState::Waits(reason) if !reason.is_empty());
        job.task == Task::Probe && !is_waiting
    };
    !coordinator.jobs().any(|job| is_probe_running(&job))
        && (coordinator.is_full() || coordinator.missing().is_empty())
}

/// After a signal: jobs that last are left to themselves, others are ended.
fn leave(coordinator: &mut Coordinator<'_>, pause: Duration) -> Result<Option<Ended>> {
    if coordinator.is_lasting() {
        return Ok(None);
    }
    coordinator.cancel();
    let end = wall() + FAREWELL;
    while coordinator.jobs().next().is_some() && wall() < end {
        sleep(pause.min(Duration::from_millis(200)));
        coordinator.look(wall())?;
    }
    Ok(Some(Ended::Some))
}

fn wait(pause: Duration, stop: &AtomicBool) {
    let end = wall() + pause;
    while wall() < end && !stop.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(100).min(pause));
    }
}

/// How far the fleet is.
fn line(overview: &Overview) -> String {
    let of =
        |states: &[State]| overview.nodes.iter().filter(|row| states.contains(&row.state)).count();
    let mut parts = vec![
        format!("{} tuned", of(&[State::Tuned])),
        format!("{} covered", of(&[State::Verified, State::Covered])),
    ];
    let others = [
        (of(&[State::Runs]), "with a job"),
        (of(&[State::Waits]), "waiting"),
        (of(&[State::Failed, State::Denies]), "failed"),
    ];
    parts.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    format!("{}: {}", count(overview.nodes.len(), "node"), parts.join(", "))
}
