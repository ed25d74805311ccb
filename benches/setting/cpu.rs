//! CPU time of a process or a thread, by the kernel's count.
#![allow(dead_code, reason = "each bench needs another of them")]

use anyhow::Context;

/// Ticks per second of the times in `/proc/PID/stat`: fixed in the kernel's interface (USER_HZ).
const TICKS_PER_S: f64 = 100.0;

/// The CPU seconds of the process `pid` (`self`, or a number), and of its children that are over.
///
/// # Errors
/// There is no such process.
pub fn seconds(pid: &str) -> anyhow::Result<[f64; 2]> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // Fields 14 to 17, where that behind the name is the third.
    let ticks: Vec<f64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    anyhow::ensure!(ticks.len() == 4, "{path}: too few fields");
    Ok([ticks[0] + ticks[1], ticks[2] + ticks[3]].map(|ticks| ticks / TICKS_PER_S))
}

/// The CPU seconds of this thread.
///
/// # Errors
/// The kernel does not say.
pub fn of_thread() -> anyhow::Result<f64> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).context(path)?;
    let ns: f64 = text.split_whitespace().next().unwrap_or_default().parse().context(path)?;
    Ok(ns / 1e9)
}
