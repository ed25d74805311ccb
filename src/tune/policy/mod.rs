//! Policies: what to run next. Each looks at the trials so far, the clock and the space; the first that
//! wants a trial gets it.

mod baseline;
mod confirm;
mod final_remeasurement;
mod invalidated;
mod probe;
mod recovery;
mod remeasure_when;
mod repeat;
mod retry;
mod round_order;
mod search;
mod sentinel;
mod stacked;

use std::time::Duration;

use anyhow::Result;

use super::state::State;
use crate::runner::TrialRequest;
use crate::search::pruning::PROBE;
use crate::trial::{Phase, Trial};

pub(super) use baseline::FirstBaseline;
pub(super) use confirm::{Confirmations, Reruns, is_decided};
pub(super) use final_remeasurement::FinalRemeasurement;
pub(super) use invalidated::Invalidated;
pub(super) use probe::Probes;
pub use recovery::BaselineFails;
pub(super) use recovery::Recovery;
pub(super) use remeasure_when::RemeasureWhen;
pub(super) use repeat::Repeats;
pub(super) use retry::Retries;
pub(super) use search::Search;
pub(super) use sentinel::Sentinels;

/// What a policy wants of the node that is to be given a trial.
pub(super) enum Next {
    /// A trial.
    Run(TrialRequest),
    /// A trial after a pause, and what to say of that.
    After(Duration, Option<String>, TrialRequest),
    /// To go on without the node, and why.
    ExcludeNode(String),
}

/// Decides what to run next.
pub(super) trait Policy<'a> {
    /// What it wants now, if anything.
    ///
    /// # Errors
    /// The tune can't go on.
    fn next(&mut self, state: &State<'a>) -> Result<Option<Next>>;
}

/// Whether the search's strategy proposed it.
pub(super) fn is_proposed(trial: &Trial) -> bool {
    trial.phase == Phase::Search && trial.strategy != PROBE
}
