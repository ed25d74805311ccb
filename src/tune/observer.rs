//! Observers: who is told what happens in a tune.

use crate::runner::TrialRequest;
use crate::trial::Trial;

/// Told what happens, as it happens.
pub trait Observer {
    /// A trial starts.
    fn started(&self, request: &TrialRequest);
    /// A trial ended and is in the journal; all so far.
    fn finished(&self, trials: &[Trial]);
    /// The search learnt something that a person should know.
    fn noted(&self, sentence: &str);
}

/// An observer that ignores everything.
pub struct NoObserver;

impl Observer for NoObserver {
    fn started(&self, _: &TrialRequest) {}
    fn finished(&self, _: &[Trial]) {}
    fn noted(&self, _: &str) {}
}
