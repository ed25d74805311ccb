//! Rig: what runs the trials of a session, be it worker processes or a stand-in for them.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::TrialRequest;
use crate::knobs::Values;
use crate::trial::Trial;
use crate::workload::Workload;

/// Runs trials.
pub trait Runner {
    /// Runs one trial; whatever goes wrong in it is its outcome.
    ///
    /// # Errors
    /// The tuner itself can't go on: no process can be started, no file written.
    fn run(&self, number: u64, order: &TrialRequest<'_>) -> Result<Trial>;

    /// What makes two candidates the same on this machine (a digest of the settings that they
    /// resolve to), or `None` where the machine can't run the candidate.
    fn identity(&self, workload: &Workload, values: &Values) -> Option<u64>;

    /// Waits before the next trial; `stop` tells when nobody wants one any more.
    fn pause(&self, time: Duration, stop: &dyn Fn() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < time && !stop() {
            std::thread::sleep(Duration::from_millis(20).min(time));
        }
    }

    /// The value of every knob under the baseline.
    fn baseline(&self) -> Values;

    /// The same settings with as many knobs as can be at the baseline's value: a tile larger than
    /// the picture, say, is no change that anybody should ship.
    fn plainest(&self, workload: &Workload, mut values: Values) -> Values {
        let identity = self.identity(workload, &values);
        for (name, usual) in self.baseline() {
            let mut plainer = values.clone();
            plainer.insert(name, usual);
            if self.identity(workload, &plainer) == identity {
                values = plainer;
            }
        }
        values
    }
}
