//! Threads where there may be none to be had: a container's or a user's limit on processes counts
//! them as well.

use std::thread::{Builder, JoinHandle};

use anyhow::{Context, Result};
use rayon::ThreadPoolBuilder;

/// What to do where no thread can be started.
const CURE: &str = "no thread can be started; raise the limit on processes (`ulimit -u`, a \
    container's --pids-limit, systemd's TasksMax)";

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
