//! What the kernel says of disturbances while something runs.

use std::fs;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::machine::{
    CpuSet, Machine, SystemRoots, frequency_mhz, temperature_c, throttled_periods,
};

/// What the kernel says of disturbances during a trial; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Share of CPU time that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// Share of wall time in which some task waited for a CPU.
    pub pressure_share: Option<f64>,
    /// Scheduler periods in which the cgroup was stopped for want of quota.
    pub throttled_periods: Option<u64>,
    /// The cgroup's quota at the trial's end, CPU seconds per second.
    pub cpu_quota: Option<f64>,
    /// Mean clock rate of the machine's CPUs at the trial's end.
    pub frequency_mhz: Option<f64>,
    /// The processor's temperature at the trial's end.
    pub temperature_c: Option<f64>,
}

/// A look at the kernel's counters, to be compared with a later one.
#[derive(Clone, Copy, Debug)]
pub struct NoiseWatch {
    started: Instant,
    counters: Counters,
}

#[derive(Clone, Copy, Debug)]
struct Counters {
    /// `cpu` line of /proc/stat: all ticks, and those stolen by the hypervisor.
    ticks: Option<(u64, u64)>,
    /// /proc/pressure/cpu: microseconds in which some task waited.
    waited_us: Option<u64>,
    /// The cgroups' cpu.stat: periods in which they were stopped.
    throttled: Option<u64>,
}

impl NoiseWatch {
    /// Starts watching.
    pub fn start() -> Self {
        Self { started: Instant::now(), counters: Counters::read(&SystemRoots::live()) }
    }

    /// What happened since, on a machine that uses `cpus`.
    pub fn finish(self, cpus: &CpuSet) -> Noise {
        let now = Counters::read(&SystemRoots::live());
        let steal = self.counters.ticks.zip(now.ticks).and_then(|(old, new)| {
            let (ticks, stolen) = (new.0.checked_sub(old.0)?, new.1.checked_sub(old.1)?);
            (ticks > 0).then(|| stolen as f64 / ticks as f64)
        });
        let pressure = self.counters.waited_us.zip(now.waited_us).and_then(|(old, new)| {
            let wall = self.started.elapsed().as_secs_f64();
            Some((new.checked_sub(old)? as f64 / 1e6 / wall).min(1.0))
        });
        let throttled = self.counters.throttled.zip(now.throttled);
        Noise {
            steal_share: steal,
            pressure_share: pressure,
            throttled_periods: throttled.and_then(|(old, new)| new.checked_sub(old)),
            cpu_quota: Machine::quota_now(&SystemRoots::live()),
            frequency_mhz: frequency_mhz(&SystemRoots::live(), cpus),
            temperature_c: temperature_c(&SystemRoots::live()),
        }
    }
}

impl Counters {
    fn read(roots: &SystemRoots) -> Self {
        let text = |name: &str| fs::read_to_string(roots.proc.join(name)).unwrap_or_default();
        Self {
            ticks: ticks(&text("stat")),
            waited_us: waited_us(&text("pressure/cpu")),
            throttled: throttled_periods(roots),
        }
    }
}

/// All ticks since boot and those that the hypervisor gave to others, from /proc/stat:
/// `cpu user nice system idle iowait irq softirq steal …`, proc(5).
pub fn ticks(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().take(8).filter_map(|f| f.parse().ok()).collect();
    (ticks.len() == 8).then(|| (ticks.iter().sum(), ticks[7]))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, in microseconds.
fn waited_us(pressure: &str) -> Option<u64> {
    pressure.lines().find(|line| line.starts_with("some"))?.rsplit_once("total=")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(ticks("cpu  10 0 5 100 1 2 3 4 0 0\ncpu0 1"), Some((125, 4)));
        assert_eq!(ticks("cpu 1 2"), None);
        let text = "some avg10=0.00 avg60=0.10 avg300=0.00 total=31337\nfull avg10=0.00 total=2\n";
        assert_eq!(waited_us(text), Some(31337));
    }
}
