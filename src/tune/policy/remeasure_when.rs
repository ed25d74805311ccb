//! When to remeasure: while the search goes on, and when it has nothing left to try.

use std::time::Duration;

use crate::tune::state::State;

/// Sentinels and repetitions leave room for this many trials of the baseline's length.
const LEAST_TRIALS_LEFT: u32 = 3;

/// When something is measured again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemeasureWhen {
    /// Between trials of the search.
    Search,
    /// After the last of them, before the confirmation.
    Final,
}

impl RemeasureWhen {
    /// What is left for measuring again; nothing, where that is not worth its while.
    pub fn left(self, state: &State<'_>) -> Option<Duration> {
        let left = match self {
            Self::Search => state.left_for_search(),
            // What has to be settled may turn out to be worth confirming.
            Self::Final => state.left_beside_reserve(),
        };
        Some(left).filter(|left| *left >= state.baseline_trial() * LEAST_TRIALS_LEFT)
    }
}
