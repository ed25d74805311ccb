//! What the kernel has counted for this process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use wan22_tune::machine::{self, field, kibibytes, waited};
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
        let minor_faults = stat_field(10)?;
        Ok(Self { minor_faults, run_queue: waited(Path::new("/proc/self")) })
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
    let started: u64 = stat_field(22)?;
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
    let bytes = field(&status, "VmHWM").and_then(|text| kibibytes(&text));
    bytes.context("/proc/self/status has no VmHWM")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// A number in this process's `stat`.
fn stat_field(number: usize) -> Result<u64> {
    let stat = read("/proc/self/stat")?;
    let field = machine::stat_field(&stat, number).and_then(|text| text.parse().ok());
    field.with_context(|| format!("/proc/self/stat: field {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
