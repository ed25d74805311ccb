//! Stages: the named parts of a workload, their busy time and their failures.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strum::VariantArray;

use crate::workload::Stage;

/// What went wrong, in which stage, with which file or clip.
#[derive(Debug, thiserror::Error)]
#[error("{stage}: {subject}")]
pub struct StageError {
    /// The stage that failed.
    pub stage: Stage,
    /// The file, clip or batch in work.
    pub subject: String,
    /// What went wrong in it.
    #[source]
    pub cause: anyhow::Error,
}

/// Busy time of every stage, summed over the threads that work for it.
#[derive(Debug, Default)]
pub struct StageClock {
    nanoseconds: [AtomicU64; Stage::VARIANTS.len()],
    /// The most memory that was resident when a stage had done some of its work, if that is watched.
    resident: Option<[AtomicU64; Stage::VARIANTS.len()]>,
}

impl StageClock {
    /// One that watches the process's memory too, which takes some microseconds a piece of work.
    pub fn watching() -> Self {
        Self { resident: Some(Default::default()), ..Self::default() }
    }

    /// Does `work` for `stage` on `subject` and adds its time, whether it succeeds or not.
    ///
    /// # Errors
    /// What `work` returns; a panic inside it is an error too, so that one bad file or a native
    /// library's complaint ends the run and not the process.
    pub fn run<T, E: Into<anyhow::Error>>(
        &self,
        stage: Stage,
        subject: impl fmt::Display,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, StageError> {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(work));
        self.add(stage, start.elapsed());
        if let Some(most) = &self.resident {
            most[stage as usize].fetch_max(resident_bytes().unwrap_or(0), Ordering::Relaxed);
        }
        let cause = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.into(),
            Err(panic) => anyhow::anyhow!("panic: {}", panic_text(&*panic)),
        };
        Err(StageError { stage, subject: subject.to_string(), cause })
    }

    /// Busy seconds of each stage that did something.
    pub fn seconds(&self) -> BTreeMap<String, f64> {
        let seconds = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64();
        known(&self.nanoseconds).map(|(stage, total)| (stage, seconds(total))).collect()
    }

    /// The most bytes that were resident in each stage that did something; empty if nobody watched.
    pub fn resident_bytes(&self) -> BTreeMap<String, u64> {
        self.resident.iter().flat_map(|most| known(most)).collect()
    }

    fn add(&self, stage: Stage, time: Duration) {
        // At least 1 ns: a stage that did something is never reported as absent.
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.nanoseconds[stage as usize].fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// The numbers that are not 0, with the names of their stages.
fn known(numbers: &[AtomicU64]) -> impl Iterator<Item = (String, u64)> {
    let named =
        |stage: &Stage| (stage.to_string(), numbers[*stage as usize].load(Ordering::Relaxed));
    Stage::VARIANTS.iter().map(named).filter(|(_, number)| *number > 0)
}

/// Memory of this process that is resident now; `None` where the kernel does not tell.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What a caught panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_accounted_to_the_stage_that_worked() {
        let clock = StageClock::default();
        let pause = Duration::from_millis(5);
        let slept = clock.run(Stage::Encode, "clip 0", || {
            std::thread::sleep(pause);
            anyhow::Ok(7)
        });
        assert_eq!(slept.unwrap(), 7);
        let seconds = clock.seconds();
        assert_eq!(seconds.keys().collect::<Vec<_>>(), ["encode"]);
        assert!(seconds["encode"] >= pause.as_secs_f64());
    }

    #[test]
    fn memory_is_accounted_to_the_stage_that_held_it() {
        let clock = StageClock::watching();
        let held = |bytes: usize| vec![1_u8; bytes];
        clock.run(Stage::Read, "a.jpg", || anyhow::Ok(held(1))).unwrap();
        let kept = clock.run(Stage::Pack, "clip 0", || anyhow::Ok(held(64 << 20))).unwrap();
        let most = clock.resident_bytes();
        assert_eq!(most.keys().collect::<Vec<_>>(), ["pack", "read"]);
        // What other tests hold comes on top.
        assert!(most["pack"] >= kept.len() as u64 && most["read"] > 0, "{most:?}");
        assert!(StageClock::default().resident_bytes().is_empty());
    }

    #[test]
    fn errors_and_panics_name_stage_and_subject() {
        let clock = StageClock::default();
        let error = clock.run(Stage::Read, "a.jpg", || Err::<(), _>(anyhow::anyhow!("gone")));
        assert_eq!(whole_text(error), "read: a.jpg: gone");
        let panic =
            clock.run(Stage::Write, "b.jpg", || -> anyhow::Result<()> { panic!("at {}", 3) });
        assert_eq!(whole_text(panic), "write: b.jpg: panic: at 3");
        assert_eq!(clock.seconds().len(), 2);
    }

    fn whole_text(result: Result<(), StageError>) -> String {
        format!("{:#}", anyhow::Error::from(result.unwrap_err()))
    }
}
