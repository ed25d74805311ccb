//! Readback: how the effect of settings is read, by the process itself and from outside.

mod foreign;
mod read;
#[cfg(test)]
mod tests;

use crate::knobs::effect::Effect;
use crate::knobs::memory::MemoryPolicy;
use crate::machine::{SystemRoots, syscalls};

impl Effect {
    /// Reads what holds in this process; best called by the model's own thread, whose memory
    /// policy counts. What can't be read stays empty.
    pub fn read() -> Self {
        // What GCC's compiler calls for a parallel region, whoever answers.
        let answering = syscalls::library_of(c"GOMP_parallel");
        let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        Self {
            memory: MemoryPolicy::read().ok(),
            openmp_in_use: answering.as_deref().map(file),
            ..Self::of_files(&SystemRoots::live())
        }
    }

    /// The part that the kernel shows as files.
    fn of_files(roots: &SystemRoots) -> Self {
        read::of_folder(&roots.proc.join("self"), true)
    }
}
