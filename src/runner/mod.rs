//! Runners: how a candidate becomes a trial, on this machine, from a record, or on a simulated machine.

pub mod command;
pub mod fake;
mod local;
pub mod nodes;
pub mod pictures;
pub mod process;
pub mod programs;
pub mod protocol;
pub mod repetitions;
mod replay;
mod request;
pub mod response;
pub mod warm;
mod worker;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::knobs::Values;
use crate::trial::Trial;
use crate::workload::Workload;

pub use fake::FakeRunner;
pub use local::LocalRunner;
pub use nodes::Nodes;
pub use repetitions::Repetitions;
pub use replay::ReplayRunner;
pub use request::TrialRequest;
pub use warm::WarmRunner;

/// Runs trials.
pub trait Runner {
    /// Runs one trial; whatever goes wrong in it is its outcome.
    ///
    /// # Errors
    /// The tuner itself can't go on: no process can be started, no file written.
    fn run(&self, request: &TrialRequest) -> Result<Trial>;

    /// What makes two candidates the same on this machine (a digest of the settings that they
    /// resolve to), or `None` where the machine can't run the candidate.
    fn identity(&self, workload: &Workload, values: &Values) -> Option<u64>;

    /// The value of every knob under the baseline.
    fn baseline(&self) -> Values;

    /// What it had rather run than `values` in the time that is `left`: the same but for knobs whose
    /// change would cost it a start. `None` where another candidate is better than this one now.
    fn nearest(&self, _: &Workload, values: &Values, _left: Duration) -> Option<Values> {
        Some(values.clone())
    }

    /// What it found out since it was last asked, in sentences for people.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }

    /// Waits before the next trial; `stop` tells when nobody wants one any more.
    fn pause(&self, time: Duration, stop: &dyn Fn() -> bool) {
        pause(time, stop);
    }

    /// The folder with the pictures of the last trial and of the reference, where it makes any.
    fn pictures(&self) -> Option<PathBuf> {
        None
    }

    /// `values` without what trials of this size of the job can't show: the baseline's instead.
    fn measured(&self, workload: &Workload, values: Values) -> Values {
        let _ = workload;
        values
    }

    /// The same settings with as many knobs as can be at the baseline's value: a tile larger than
    /// the picture, say, is no change that anybody should ship.
    fn plainest(&self, workload: &Workload, values: Values) -> Values {
        let mut values = self.measured(workload, values);
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

/// Waits for this time, or until `stop`.
fn pause(time: Duration, stop: &dyn Fn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < time && !stop() {
        std::thread::sleep(Duration::from_millis(20).min(time));
    }
}
