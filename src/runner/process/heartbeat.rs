//! Heartbeat: whether the watch over a trial was itself kept from running. A process that was stopped
//! (SIGSTOP), frozen (`docker pause`) or suspended with its machine has not seen the time go by, and
//! neither has its trial: what either measured then says nothing.

use std::fs;
use std::time::Duration;

use crate::machine::syscalls::since_boot;

/// The longest time between two looks that a busy machine explains; looks are 20 ms apart.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// Tells a gap between one look and the next.
pub(in crate::runner) struct Pulse {
    last: ClockReading,
}

/// One look.
#[derive(Clone, Copy)]
struct ClockReading {
    /// The time since the start of the machine, suspended or not.
    time: Duration,
    /// Time in which this thread ran, or waited for a CPU: a machine that is busy keeps it from
    /// running, too.
    busy: Duration,
}

impl Pulse {
    /// Starts with a look.
    pub fn start() -> Self {
        Self { last: ClockReading::now() }
    }

    /// Another look; the gap since the last one, in words, if there was one.
    pub fn beat(&mut self) -> Option<String> {
        let (before, now) = (self.last, ClockReading::now());
        self.last = now;
        gap(before, now).map(|gap| {
            let seconds = gap.as_secs_f64();
            format!(
                "the tuner did not run for {seconds:.1} s (stopped, frozen or suspended), so \
                 nothing is known of this trial"
            )
        })
    }

    /// A look after work that may take any time.
    pub fn restart(&mut self) {
        self.last = ClockReading::now();
    }
}

impl ClockReading {
    fn now() -> Self {
        Self { time: since_boot(), busy: busy().unwrap_or_default() }
    }
}

fn gap(before: ClockReading, now: ClockReading) -> Option<Duration> {
    let busy = now.busy.saturating_sub(before.busy);
    let idle = now.time.saturating_sub(before.time).saturating_sub(busy);
    (idle > LONGEST_GAP).then_some(idle)
}

/// Nanoseconds that this thread ran and that it waited for a CPU.
fn busy() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut fields = text.split_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Duration::from_nanos(ran.saturating_add(waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(time_ms: u64, busy_ms: u64) -> ClockReading {
        let [time, busy] = [time_ms, busy_ms].map(Duration::from_millis);
        ClockReading { time, busy }
    }

    #[test]
    fn a_thread_that_slept_too_long_was_stopped_and_one_that_had_no_cpu_was_not() {
        assert_eq!(gap(beat(500, 40), beat(520, 41)), None);
        assert_eq!(gap(beat(500, 40), beat(1400, 41)), None);
        assert_eq!(gap(beat(500, 40), beat(6520, 60)), Some(Duration::from_secs(6)));
        // Five seconds in a queue for a CPU, or of work.
        assert_eq!(gap(beat(500, 40), beat(6520, 5100)), None);
        // A clock that goes backwards is no gap.
        assert_eq!(gap(beat(500, 40), beat(400, 41)), None);
    }
}
