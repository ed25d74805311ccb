//! Trial: one measured candidate.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Measured, and everything read back as asked.
    Ok,
    /// The machine or the space does not allow it; nothing was started.
    Illegal,
    /// What the process read back differs from what was asked.
    Misapplied,
    /// It ran past its time limit and was killed.
    Timeout,
    /// The kernel killed it for memory, or the memory watch did.
    OutOfMemory,
    /// It died, or could not start.
    Crashed,
    /// It broke the protocol or its numbers make no sense.
    WrongOutput,
    /// Fast, but the picture is worse than allowed.
    PoorQuality,
    /// The tuner was stopped while it ran.
    Interrupted,
}

impl Outcome {
    /// Every outcome, in the order of the glossary.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Illegal,
        Self::Misapplied,
        Self::Timeout,
        Self::OutOfMemory,
        Self::Crashed,
        Self::WrongOutput,
        Self::PoorQuality,
        Self::Interrupted,
    ];

    /// The word that stands in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Illegal => "illegal",
            Self::Misapplied => "misapplied",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::Crashed => "crashed",
            Self::WrongOutput => "wrong-output",
            Self::PoorQuality => "poor-quality",
            Self::Interrupted => "interrupted",
        }
    }

    /// The outcome that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The part of a tune that a trial belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Fits the workload to the machine.
    Calibration,
    /// The baseline, measured first and again now and then.
    Baseline,
    /// Proposed by the strategy.
    Search,
    /// Interleaved pairs, finalist against baseline.
    Confirmation,
}

impl Phase {
    /// Every phase, in the order in which a tune goes through them.
    pub const ALL: [Self; 4] =
        [Self::Calibration, Self::Baseline, Self::Search, Self::Confirmation];

    /// The word that stands in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Calibration => "calibration",
            Self::Baseline => "baseline",
            Self::Search => "search",
            Self::Confirmation => "confirmation",
        }
    }

    /// The phase that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.word() == word)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One repetition inside a trial's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Wall seconds a clip.
    pub seconds: f64,
    /// Busy seconds a clip of each stage; stages overlap, so these don't add up to `seconds`.
    pub stages: BTreeMap<String, f64>,
    /// Pages faulted in without I/O during the repetition; explains allocators' two speeds.
    pub minor_faults: u64,
    /// Seconds that this process's threads waited for a CPU, as a share of wall time.
    pub run_queue_share: f64,
}
