//! `omp_wait`: how OpenMP's threads wait; chosen when a process starts.

use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Knob, Knobs, Variable};

words! {
    /// What a thread does at a barrier while others still work (`OMP_WAIT_POLICY`).
    pub enum OmpWait {
        /// Spins for a while, then sleeps: each runtime's own choice.
        #[default]
        Default,
        /// Spins.
        Active,
        /// Sleeps at once.
        Passive,
    }
}

const VARIABLE: &str = "OMP_WAIT_POLICY";

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = OmpWait;

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        match knobs.omp_wait {
            OmpWait::Default => Vec::new(),
            OmpWait::Active => vec![(VARIABLE, "active".to_owned())],
            OmpWait::Passive => vec![(VARIABLE, "passive".to_owned())],
        }
    }

    fn forms(&self) -> Vec<VariableForm> {
        vec![VariableForm::new(VARIABLE, one_of(["active", "passive"]))]
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        knobs.omp_wait = caller.text(VARIABLE).to_lowercase().parse().unwrap_or_default();
    }
}
