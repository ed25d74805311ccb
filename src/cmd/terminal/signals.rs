//! Signals: which of them ask a tune to finish with what there is, and when one ends it at once.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::exit;

use crate::io::exit_code::by_signal;
use crate::machine::threads;

/// Schedulers send a signal twice within milliseconds, to the process and to its group: what comes
/// this soon after the first is the same request.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// Sent by schedulers, shells and limits besides SIGTERM: each would end a program that does not listen.
const TOLD: [i32; 8] =
    [SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGXCPU, SIGALRM, SIGVTALRM, libc::SIGPWR];

/// The first signal sets the flag that is returned. Another one ends the program: Ctrl-C at once,
/// the others when the first is two seconds old.
///
/// # Errors
/// The kernel refuses, or there is no thread to be had.
pub fn watch() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // What `nohup` made deaf to SIGHUP stays so.
    let is_heard = |signal: &i32| !is_ignored(*signal, &status);
    let told = TOLD.into_iter().filter(is_heard);
    let heard: Vec<i32> = [SIGINT, SIGTERM].into_iter().chain(told).collect();
    // This order: a second Ctrl-C finds the flag set by the first.
    flag::register_conditional_shutdown(SIGINT, by_signal(SIGINT), stop.clone())?;
    for signal in &heard {
        flag::register(*signal, stop.clone())?;
    }
    let mut signals = Signals::new(&heard)?;
    let watcher = threads::spawn(move || {
        let mut first = None;
        for signal in signals.forever() {
            if let Some(status) = status_of(signal, &mut first, Instant::now()) {
                exit(status);
            }
        }
    });
    watcher.context("watching for signals")?;
    Ok(stop)
}

/// The status with which a signal that comes `now` ends the program; `None` where it does not.
fn status_of(signal: i32, first: &mut Option<Instant>, now: Instant) -> Option<i32> {
    let since = now - *first.get_or_insert(now);
    // The kernel says every second that the limit on CPU time (`ulimit -St`) is passed.
    let is_another = !matches!(signal, SIGINT | SIGXCPU) && since >= SAME_REQUEST;
    is_another.then_some(by_signal(signal))
}

/// Whether a signal is ignored, by the text of /proc/self/status.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_soon_after_the_first_is_the_same_request() {
        let (start, mut first) = (Instant::now(), None);
        let mut at = |signal, ms| status_of(signal, &mut first, start + Duration::from_millis(ms));
        assert_eq!(at(SIGTERM, 0), None);
        assert_eq!(at(SIGTERM, 3), None);
        assert_eq!(at(SIGHUP, 1999), None);
        assert_eq!(at(SIGTERM, 2000), Some(143));
        assert_eq!(at(SIGHUP, 2500), Some(129));
        assert_eq!(at(SIGXCPU, 9000), None);
        assert_eq!(at(SIGQUIT, 9000), Some(131));
        // Ctrl-C is counted where it arrives.
        assert_eq!(at(SIGINT, 9000), None);
    }

    #[test]
    fn the_kernel_tells_what_is_ignored() {
        let nohup = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(is_ignored(SIGHUP, nohup));
        assert!(!is_ignored(SIGTERM, nohup) && !is_ignored(SIGUSR1, nohup));
        assert!(!is_ignored(SIGHUP, ""));
    }
}
