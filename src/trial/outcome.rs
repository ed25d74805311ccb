//! Outcome: how a trial ended.

use serde::{Deserialize, Serialize};

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Outcome {
    /// Measured, and everything read back as asked.
    #[default]
    Ok,
    /// The machine or the space does not allow it; nothing was started.
    Illegal,
    /// What the process read back differs from what was asked.
    Misapplied,
    /// It ran past its time limit and was killed.
    Timeout,
    /// The kernel killed it for memory, the memory watch did, or it died and says so.
    OutOfMemory,
    /// It died, or could not start.
    Crashed,
    /// It broke the protocol or its numbers make no sense.
    WrongOutput,
    /// Fast, but the picture is worse than allowed.
    PoorQuality,
    /// Somebody else ended it, or it was not watched all the time: it says nothing of its candidate.
    Interrupted,
}

/// How allocators say that there is no memory: c10's, C++'s, CUDA's, the kernel's, ggml's, Vulkan's.
const NO_MEMORY: [&str; 8] = [
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "out of memory",
    "cannot allocate memory",
    "insufficient memory",
    "failed to allocate",
    "outofdevicememory",
];

impl Outcome {
    /// How a process died whose last words these are.
    pub fn of_words(words: &str) -> Self {
        let words = words.to_lowercase();
        let is_memory = NO_MEMORY.iter().any(|one| words.contains(one));
        if is_memory { Self::OutOfMemory } else { Self::Crashed }
    }

    /// Whether it is held against the candidate: somebody else's interruption is not.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Interrupted)
    }
}
