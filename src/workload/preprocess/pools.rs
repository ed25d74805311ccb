//! The pools that do the pipeline's work.

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::knobs::Workers;
use crate::knobs::placement::Placement;
use crate::machine::CpuSet;

/// Three pools of named and bound threads, alive as long as this value.
#[derive(Debug)]
pub struct Pools {
    pub(super) io: ThreadPool,
    pub(super) preprocess: ThreadPool,
    pub(super) batch: ThreadPool,
}

impl Pools {
    /// Starts `wan-io-N`, `wan-pre-N` and `wan-batch-N` threads and lets each call `bind` with its
    /// pool's CPUs.
    ///
    /// # Errors
    /// A pool without threads, a thread that can't start, and what `bind` returns.
    pub fn start(
        workers: Workers,
        placement: &Placement,
        bind: impl Fn(&CpuSet) -> Result<()> + Sync,
    ) -> Result<Self> {
        Ok(Self {
            io: pool("io", workers.io, &placement.io, &bind)?,
            preprocess: pool("pre", workers.preprocess, &placement.preprocess, &bind)?,
            batch: pool("batch", workers.batch, &placement.batch, &bind)?,
        })
    }
}

fn pool(
    name: &'static str,
    threads: usize,
    cpus: &CpuSet,
    bind: &(impl Fn(&CpuSet) -> Result<()> + Sync),
) -> Result<ThreadPool> {
    anyhow::ensure!(threads > 0, "workers: the {name} pool needs at least one thread");
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("wan-{name}-{index}"))
        .build()
        .with_context(|| format!("workers: starting {threads} {name} threads"))?;
    let bound: Result<Vec<()>> = pool.broadcast(|_| bind(cpus)).into_iter().collect();
    bound.with_context(|| format!("affinity: binding the {name} pool to CPUs {cpus}"))?;
    Ok(pool)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    /// Pools on CPU 0, 1 and 2 that are not really bound.
    pub fn unbound(io: usize, preprocess: usize, batch: usize) -> Pools {
        Pools::start(Workers { io, preprocess, batch }, &placement(), |_| Ok(())).unwrap()
    }

    fn placement() -> Placement {
        let cpu = |number| CpuSet::from_iter([number]);
        Placement {
            process: CpuSet::from_iter(0..4),
            model: cpu(3),
            io: cpu(0),
            preprocess: cpu(1),
            batch: cpu(2),
        }
    }

    #[test]
    fn every_thread_is_named_and_bound_once() {
        let calls = Mutex::new(BTreeSet::new());
        let workers = Workers { io: 1, preprocess: 3, batch: 2 };
        let bind = |cpus: &CpuSet| {
            let name = std::thread::current().name().unwrap().to_owned();
            assert!(calls.lock().unwrap().insert((name, cpus.to_string())));
            Ok(())
        };
        Pools::start(workers, &placement(), bind).unwrap();
        let calls = calls.into_inner().unwrap();
        let seen: Vec<_> = calls.iter().map(|(name, cpus)| format!("{name} {cpus}")).collect();
        let expected = [
            "wan-batch-0 2",
            "wan-batch-1 2",
            "wan-io-0 0",
            "wan-pre-0 1",
            "wan-pre-1 1",
            "wan-pre-2 1",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_pool_that_cannot_be_bound_or_is_empty_is_an_error() {
        let workers = Workers { io: 1, preprocess: 1, batch: 1 };
        let refuse = |cpus: &CpuSet| {
            anyhow::ensure!(cpus.contains(0), "refused");
            Ok(())
        };
        let error = Pools::start(workers, &placement(), refuse).unwrap_err();
        assert_eq!(format!("{error:#}"), "affinity: binding the pre pool to CPUs 1: refused");
        let none = Workers { io: 0, ..workers };
        assert!(Pools::start(none, &placement(), |_| Ok(())).is_err());
    }
}
