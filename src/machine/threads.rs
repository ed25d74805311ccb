//! Threads where there may be none to be had: a container's or a user's limit on processes counts
//! them as well.

use std::fmt::Display;
use std::io;
use std::thread::{Builder, JoinHandle};

use anyhow::{Context, Result};
use rayon::ThreadPoolBuilder;

/// What to do where no thread can be started.
const CURE: &str = "no thread can be started; raise the limit on processes (`ulimit -u`, a \
    container's --pids-limit, systemd's TasksMax)";

/// The cure alone, for a process that can't be started for the same reason.
const RAISE: &str = "raise the limit on processes: `ulimit -u`, a container's --pids-limit, \
    systemd's TasksMax";

/// What starting `program` came to.
///
/// # Errors
/// It can't be started; with the cure, where a limit on processes is the cause.
pub fn started<T>(program: impl Display, spawned: io::Result<T>) -> Result<T> {
    spawned.map_err(|error| {
        let cure = if is_limit(&error) { format!(" ({RAISE})") } else { String::new() };
        anyhow::Error::new(error).context(format!("starting {program}{cure}"))
    })
}

/// Whether no thread or process could be started because there are as many as there may be.
pub fn are_used_up(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_limit)
}

fn is_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// Starts a thread.
///
/// # Errors
/// There is none to be had, and the cure.
pub fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Builder::new().spawn(work).context(CURE)
}

/// Does `work`, whose parallel iterators share a pool of a thread per CPU; all on the calling
/// thread where these can't be had.
pub fn pooled<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    pooled_by(ThreadPoolBuilder::new(), work)
}

fn pooled_by<T: Send>(builder: ThreadPoolBuilder, work: impl FnOnce() -> T + Send) -> T {
    // The global pool panics where it can't be built, and can't be built a second time.
    match builder.build() {
        Ok(pool) => pool.install(work),
        Err(_) => match ThreadPoolBuilder::new().num_threads(1).use_current_thread().build() {
            Ok(pool) => pool.install(work),
            // The calling thread is in a pool already.
            Err(_) => work(),
        },
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn only_a_limit_on_processes_is_cured_by_raising_it() {
        let error =
            |code| started::<()>("sh", Err(io::Error::from_raw_os_error(code))).unwrap_err();
        assert!(error(libc::EAGAIN).to_string().starts_with("starting sh (raise the limit on"));
        assert!(are_used_up(&error(libc::EAGAIN)));
        assert_eq!(error(libc::ENOENT).to_string(), "starting sh");
        assert!(!are_used_up(&error(libc::ENOENT)));
    }

    #[test]
    fn parallel_work_is_done_without_a_thread_to_be_had() {
        // More than any system gives.
        let none = ThreadPoolBuilder::new().num_threads(2).stack_size(1 << 60);
        assert!(ThreadPoolBuilder::new().num_threads(2).stack_size(1 << 60).build().is_err());
        let doubled = pooled_by(none, || {
            assert_eq!(rayon::current_num_threads(), 1);
            (0..100_u64).into_par_iter().map(|n| 2 * n).sum::<u64>()
        });
        assert_eq!(doubled, 9900);
    }

    #[test]
    fn parallel_work_may_be_nested() {
        let sum = pooled(|| pooled(|| (0..100_u64).into_par_iter().sum::<u64>()));
        assert_eq!(sum, 4950);
    }
}
