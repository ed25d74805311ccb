//! What the kernel has counted for this process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use wan22_tune::trial::Sample;

/// Ticks per second of the times in `/proc/self/stat`: fixed in the kernel's interface (USER_HZ).
const TICKS: f64 = 100.0;

/// Counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceUsage {
    /// Page faults that needed no I/O, of all threads that ever were.
    pub minor_faults: u64,
    /// Time that the threads of now have been ready to run without a CPU to run on.
    pub run_queue: Duration,
}

impl ResourceUsage {
    /// The counters now.
    ///
    /// # Errors
    /// `/proc` is not there or not as documented in `proc(5)`.
    pub fn now() -> Result<Self> {
        let minor_faults = stat_field(&read("/proc/self/stat")?, 10)?;
        let tasks = fs::read_dir("/proc/self/task").context("/proc/self/task")?;
        // A task that ends meanwhile, or a kernel without schedstat, counts as no wait.
        let waits = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        Ok(Self { minor_faults, run_queue: Duration::from_nanos(waits.sum()) })
    }

    /// What the kernel counted from these counters to now, in the `wall_s` seconds of a sample.
    ///
    /// # Errors
    /// As [`ResourceUsage::now`].
    pub fn until_now(self, wall_s: f64) -> Result<Sample> {
        let now = Self::now()?;
        let waited = now.run_queue.saturating_sub(self.run_queue);
        Ok(Sample {
            minor_faults: now.minor_faults - self.minor_faults,
            run_queue_share: waited.as_secs_f64() / wall_s,
            ..Sample::default()
        })
    }
}

/// Seconds since this process was started, before any program was executed in it.
///
/// # Errors
/// As [`ResourceUsage::now`].
pub fn age_s() -> Result<f64> {
    let started: u64 = stat_field(&read("/proc/self/stat")?, 22)?;
    let uptime = read("/proc/uptime")?;
    let now: f64 =
        uptime.split_whitespace().next().unwrap_or_default().parse().context("/proc/uptime")?;
    Ok((now - started as f64 / TICKS).max(0.0))
}

/// Starts [`peak_rss_bytes`] anew where the kernel allows (`proc(5)`, clear_refs).
pub fn forget_peak() {
    _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most memory that was ever resident, in bytes, or since [`forget_peak`].
///
/// # Errors
/// As [`ResourceUsage::now`].
pub fn peak_rss_bytes() -> Result<u64> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.context("/proc/self/status has no VmHWM")? * 1024)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// Field `number` of a `stat` line, counted from 1 as in `proc(5)`.
fn stat_field(stat: &str, number: usize) -> Result<u64> {
    // The second field is a name in brackets that may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(')').context("/proc/self/stat has no name")?;
    let field = rest.split_whitespace().nth(number - 3);
    field
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("/proc/self/stat: field {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_a_name_with_brackets() {
        let stat = "7 (a) b (c) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 2200 23";
        assert_eq!(stat_field(stat, 10).unwrap(), 10);
        assert_eq!(stat_field(stat, 22).unwrap(), 2200);
        assert!(stat_field(stat, 60).is_err());
        assert!(stat_field("rubbish", 10).is_err());
    }

    #[test]
    fn touching_memory_is_counted() {
        let before = ResourceUsage::now().unwrap();
        let pages = vec![1_u8; 16 << 20];
        let after = ResourceUsage::now().unwrap();
        assert!(after.minor_faults > before.minor_faults);
        assert!(peak_rss_bytes().unwrap() >= pages.len() as u64);
        assert!(age_s().unwrap() < 3600.0);
    }
}
