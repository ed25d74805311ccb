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
    /// The same of a GPU's memory.
    OutOfDeviceMemory,
    /// It died, or could not start.
    Crashed,
    /// It broke the protocol or its numbers make no sense.
    WrongOutput,
    /// Fast, but the picture is worse than allowed.
    PoorQuality,
    /// Somebody else ended it, or it was not watched all the time: it says nothing of its candidate.
    Interrupted,
}

/// How allocators on GPUs say that there is no memory: torch's, CUDA's runtime and driver, cuBLAS,
/// cuDNN, Vulkan's, ggml's.
const NO_DEVICE_MEMORY: [&str; 13] = [
    "torch.outofmemoryerror",
    "torch.cuda.outofmemoryerror",
    "cuda out of memory",
    "hip out of memory",
    "xpu out of memory",
    "would exceed allowed memory. (out of memory)",
    "cuda error: out of memory",
    "cudamalloc failed: out of memory",
    "cuda_error_out_of_memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "erroroutofdevicememory",
    "vk_error_out_of_device_memory",
];

/// How others say it: c10's, C++'s, the kernel's, ggml's.
const NO_MEMORY: [&str; 7] = [
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "out of memory",
    "cannot allocate memory",
    "insufficient memory",
    "failed to allocate",
];

impl Outcome {
    /// How a process died whose last words these are.
    pub fn of_words(words: &str) -> Self {
        let words = words.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
        match () {
            () if says(&NO_DEVICE_MEMORY) => Self::OutOfDeviceMemory,
            () if says(&NO_MEMORY) => Self::OutOfMemory,
            () => Self::Crashed,
        }
    }

    /// The outcome that a worker says, where `words` tell which memory was not enough.
    #[must_use]
    pub fn told_by(self, words: &str) -> Self {
        let is_open = matches!(self, Self::OutOfMemory | Self::Crashed);
        let told = Self::of_words(words);
        if is_open && told == Self::OutOfDeviceMemory { told } else { self }
    }

    /// Whether it is held against the candidate: somebody else's interruption is not.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpus_memory_is_told_from_the_hosts_by_whole_phrases() {
        for words in [
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a \
             total capacity of 23.65 GiB of which 12.12 MiB is free.",
            "torch.cuda.OutOfMemoryError: Allocation on device",
            "Allocation on device 0 would exceed allowed memory. (out of memory)",
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(h)`",
            "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "torch.AcceleratorError: CUDA error: out of memory",
            "allocating 1024.00 MiB on device 0: cudaMalloc failed: out of memory",
            "vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        ] {
            assert_eq!(Outcome::of_words(words), Outcome::OutOfDeviceMemory, "{words}");
            assert_eq!(Outcome::OutOfMemory.told_by(words), Outcome::OutOfDeviceMemory, "{words}");
        }
        for words in [
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
            "oom-kill: Out of memory: Killed process 7 (python)",
            "cuda: device 0; std::bad_alloc",
            "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 9",
        ] {
            assert_eq!(Outcome::of_words(words), Outcome::OutOfMemory, "{words}");
        }
        assert_eq!(Outcome::of_words("CUDA error: invalid device ordinal"), Outcome::Crashed);
        // A worker that knows what it says.
        let (illegal, said) = (Outcome::Illegal, "blocks = 40: CUDA out of memory");
        assert_eq!(illegal.told_by(said), illegal);
    }
}
