//! Orphans: processes that a trial's processes left behind. As subreaper, the tuner becomes their
//! parent, has to end them and to collect their status.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::tree;
use crate::machine::stat_field;

/// How often a sweep looks before it leaves alone what does not die: for two seconds, since on a busy machine
/// what was killed waits for a CPU to die on.
const MOST_LOOKS: usize = 1000;

/// The time between two looks, which a killed process takes to die.
const PAUSE: Duration = Duration::from_millis(2);

/// Processes that outlived a sweep (the kernel waits for a device on their behalf, or they are
/// another user's): no later sweep waits for them.
static UNKILLABLE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

struct Orphan {
    pid: Pid,
    is_dead: bool,
}

/// Collects the dead, and leaves the living alone: while a trial runs they may be a part of it.
/// `awaited` is the trial's own process, whose status others want.
pub fn reap(awaited: u32) {
    let dead = orphans().into_iter().filter(|orphan| orphan.is_dead);
    dead.map(|orphan| orphan.pid)
        .filter(|pid| pid.as_raw_pid() as u32 != awaited)
        .for_each(collect);
}

/// Ends and collects all orphans; call it when no trial runs. Returns how often it looked: once
/// where nothing was left behind.
pub fn sweep() -> usize {
    let mut unkillable = UNKILLABLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for look in 1..=MOST_LOOKS {
        let found = orphans();
        unkillable.retain(|pid| found.iter().any(|orphan| orphan.pid == *pid && !orphan.is_dead));
        let mut is_clean = true;
        for Orphan { pid, is_dead } in found {
            let is_refused = !is_dead && kill_process(pid, Signal::KILL) == Err(Errno::PERM);
            let is_stubborn = unkillable.contains(&pid);
            if is_dead {
                collect(pid);
            } else if !is_stubborn && (is_refused || look == MOST_LOOKS) {
                unkillable.push(pid);
            } else {
                is_clean &= is_stubborn;
            }
        }
        if is_clean {
            return look;
        }
        std::thread::sleep(PAUSE);
    }
    MOST_LOOKS
}

/// Collects one process's status, which nobody wants.
fn collect(pid: Pid) {
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
}

/// The children of this process that it did not start itself. Trials have process groups of their
/// own, and whatever else this program starts is in its own group: that is waited for elsewhere.
fn orphans() -> Vec<Orphan> {
    let Some((_, own_group)) = state_and_group(std::process::id()) else { return Vec::new() };
    let children = tree::children(std::process::id());
    children.into_iter().filter_map(|pid| orphan(pid, own_group)).collect()
}

fn orphan(pid: u32, own_group: i32) -> Option<Orphan> {
    let (is_dead, group) = state_and_group(pid)?;
    let pid = Pid::from_raw(pid as i32)?;
    (group != own_group).then_some(Orphan { pid, is_dead })
}

/// Whether a process is dead, and its group: 0 where the group's leader is outside of this
/// container, which getpgrp of rustix does not expect.
fn state_and_group(pid: u32) -> Option<(bool, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let is_dead = matches!(stat_field(&stat, 3)?, "Z" | "X");
    Some((is_dead, stat_field(&stat, 5)?.parse().ok()?))
}
