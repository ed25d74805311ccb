//! Termination: what the way in which a process ended says of who ended it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;

/// Signals that a program brings upon itself: by its faults, its limits on files, its timers.
const OWN: [i32; 13] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGSYS,
];

/// Signals that a shell passes on: it exits with 128 more than the signal that its command died of.
const THROUGH_SHELLS: [i32; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGKILL, libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM];

/// Signals by which a scheduler or a terminal ends a job, the tuner included.
const STOPS: [i32; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

/// Whoever ends a whole job signals one process after another: the tuner's own signal may come this
/// much later than that of the trial.
const STOP_FOLLOWS: Duration = Duration::from_millis(200);

/// The same where the trial's process failed in some other way, as a program may that handles the
/// signal.
const FAILURE_FOLLOWS: Duration = Duration::from_millis(20);

/// The signal by which somebody else ended a process, itself or through a shell; `None` for any
/// other end. Whether it was the tuner the caller knows.
pub fn by_others(status: ExitStatus) -> Option<i32> {
    if let Some(signal) = status.signal() {
        return (!OWN.contains(&signal)).then_some(signal);
    }
    let signal = status.code()? - 128;
    THROUGH_SHELLS.contains(&signal).then_some(signal)
}

/// How a failed process ended, in words.
pub fn described(status: ExitStatus, last_words: &str) -> String {
    let not_ours = if by_others(status).is_some() { ", which the tuner did not send" } else { "" };
    let name =
        |signal| Signal::from_named_raw(signal).map_or_else(String::new, |s| format!(" ({s:?})"));
    match (status.signal(), by_others(status)) {
        (Some(signal), _) => {
            format!("killed by signal {signal}{}{not_ours}: {last_words}", name(signal))
        }
        (None, Some(signal)) => {
            let code = signal + 128;
            format!(
                "exit status {code}, as of a shell whose command was killed by signal \
                 {signal}{}{not_ours}: {last_words}",
                name(signal)
            )
        }
        (None, None) => format!("exit status {}: {last_words}", status.code().unwrap_or_default()),
    }
}

/// Whether the tuner is asked to stop, so that this end of a trial's process is a part of that.
pub fn is_stop(status: ExitStatus, stop: &dyn Fn() -> bool) -> bool {
    let patience = match by_others(status) {
        Some(signal) if STOPS.contains(&signal) => STOP_FOLLOWS,
        None if status.success() => Duration::ZERO,
        _ => FAILURE_FOLLOWS,
    };
    let died = Instant::now();
    while !stop() {
        if died.elapsed() >= patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals are in the low byte of a status, what a process exits with in the next one.
    fn signal(signal: i32) -> ExitStatus {
        ExitStatus::from_raw(signal)
    }

    fn code(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn faults_are_the_programs_own_and_other_signals_somebody_elses() {
        for own in [4, 5, 6, 7, 8, 11, 13, 14, 31] {
            assert_eq!(by_others(signal(own)), None, "signal {own}");
        }
        for others in [1, 2, 3, 9, 10, 12, 15, 24, 30, 40] {
            assert_eq!(by_others(signal(others)), Some(others));
        }
        assert_eq!([129, 130, 137, 143].map(|c| by_others(code(c))), [1, 2, 9, 15].map(Some));
        assert_eq!([0, 1, 3, 125, 128, 134, 139, 255].map(|c| by_others(code(c))), [None; 8]);
    }

    #[test]
    fn a_stop_may_come_a_moment_after_the_death() {
        let asked = std::cell::Cell::new(0);
        let third_time = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        assert!(is_stop(signal(libc::SIGTERM), &third_time));
        asked.set(0);
        // One that went well is not kept waiting.
        assert!(!is_stop(code(0), &third_time));
        assert_eq!(asked.get(), 1);
        assert!(is_stop(code(0), &|| true));
        assert!(!is_stop(signal(libc::SIGTERM), &|| false));
    }

    #[test]
    fn words_tell_who_did_it() {
        assert_eq!(described(code(3), "no device"), "exit status 3: no device");
        let abort = described(signal(6), "oh");
        assert!(abort.starts_with("killed by signal 6") && abort.ends_with(": oh"), "{abort}");
        assert!(!abort.contains("did not send"), "{abort}");
        let term = described(signal(15), "oh");
        assert!(term.contains("which the tuner did not send"), "{term}");
        let shell = described(code(143), "oh");
        assert!(shell.starts_with("exit status 143, as of a shell"), "{shell}");
    }
}
