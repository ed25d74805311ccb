//! Running: the trial under way on a node, and the row that it comes to.

use std::time::Instant;

use crate::runner::TrialRequest;
use crate::trial::{Outcome, Trial};

/// A trial under way.
pub(super) struct Running {
    pub request: TrialRequest,
    /// When it began, by the tuner's clock: those of the nodes may differ by hours.
    started: String,
    /// Until when it has to be over.
    pub until: Instant,
}

impl Running {
    /// One that begins now.
    pub fn new(request: TrialRequest, until: Instant) -> Self {
        Self { request, started: jiff::Timestamp::now().to_string(), until }
    }

    /// Its row where nothing came back of it.
    pub fn interrupted(self, detail: String) -> Trial {
        Trial { outcome: Outcome::Interrupted, detail, ..self.request.trial(self.started) }
    }

    /// Its row: an agent says what it measured, not of what.
    pub fn ended(self, measured: Trial) -> Trial {
        let asked = self.request.trial(self.started);
        Trial {
            number: asked.number,
            started: asked.started,
            node: asked.node,
            phase: asked.phase,
            pair: asked.pair,
            strategy: asked.strategy,
            seed: asked.seed,
            workload: asked.workload,
            knobs: asked.knobs,
            ..measured
        }
    }
}
