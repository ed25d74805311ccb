//! What a tune is asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::runner::Repetitions;

/// The worst picture that may win, in dB, unless the user or the baseline's own picture says
/// another: above it a picture is hard to tell from the original.
pub const MIN_PSNR_DB: f64 = 30.0;

/// What a tune is asked for, whatever runs its trials.
#[derive(Clone, Debug)]
pub struct TuneConfig {
    /// Seeds everything.
    pub seed: u64,
    /// How often a trial measures.
    pub repetitions: Repetitions,
    /// The worst picture that may win, in dB, where the user says so.
    pub min_psnr_db: Option<f64>,
    /// The most trials of the search.
    pub most_trials: usize,
    /// Whether the search goes on without knobs that trials show to change nothing.
    pub prunes_no_effect: bool,
    /// What to type to see one trial of the baseline.
    pub measure_with: &'static str,
    /// What to type to go on with it after a break, where that can be.
    pub resume_with: Option<String>,
    /// Set when somebody wants the tuner to finish.
    pub stop: Arc<AtomicBool>,
}

impl Default for TuneConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            repetitions: Repetitions::USUAL,
            min_psnr_db: None,
            most_trials: usize::MAX,
            prunes_no_effect: true,
            measure_with: "`wan22-tune measure --baseline`",
            resume_with: None,
            stop: Arc::default(),
        }
    }
}
