//! Unit clock: how long the model's thread spent on each unit of its stages.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use wan22_tune::workload::StageUnit;

thread_local! {
    static SECONDS: RefCell<BTreeMap<StageUnit, f64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Does `work` and adds its time to `unit`, without that of other units within.
pub fn timed<T>(unit: StageUnit, work: impl FnOnce() -> T) -> T {
    let before: f64 = total();
    let start = Instant::now();
    let result = work();
    let own = start.elapsed().as_secs_f64() - (total() - before);
    SECONDS.with_borrow_mut(|seconds| *seconds.entry(unit).or_default() += own);
    result
}

/// The seconds since the last call.
pub fn take() -> BTreeMap<StageUnit, f64> {
    SECONDS.take()
}

fn total() -> f64 {
    SECONDS.with_borrow(|seconds| seconds.values().sum())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_within_another_unit_is_not_counted_twice() {
        let pause = |ms| std::thread::sleep(Duration::from_millis(ms));
        let start = Instant::now();
        timed(StageUnit::Blocks, || {
            pause(2);
            timed(StageUnit::Attention, || pause(30));
        });
        let all = start.elapsed().as_secs_f64();
        let seconds = take();
        assert!(seconds[&StageUnit::Attention] >= 0.03, "{seconds:?}");
        assert!(seconds.values().sum::<f64>() <= all, "{seconds:?} of {all}");
        assert!(take().is_empty());
    }
}
