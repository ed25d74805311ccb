//! Settings: a candidate resolved on a machine.

mod baseline;
mod environment;
mod knobs;
mod numerics;
mod optimal;
mod quota;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::launch::{MemoryPolicy, Placement};
use crate::workload::Workload;

pub use baseline::{Baseline, Preset};
pub use knobs::Knobs;
pub use numerics::{ConvBackend, MatmulPrecision, MemoryFormat, Numerics, Precision};
pub use optimal::{HardwareProfile, OptimalSettings};
pub use quota::{quota_cure, quota_for, quota_warning};

/// Everything that decides how one process runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// libtorch's threads inside an operator.
    pub intra_op_threads: usize,
    /// libtorch's threads across operators.
    pub inter_op_threads: usize,
    /// CPUs of the process and of each pool.
    pub placement: Placement,
    /// Memory policy of the process, that is of all it allocates but the weights.
    pub memory: MemoryPolicy,
    /// Memory policy while the weights are made or read.
    pub weights_memory: MemoryPolicy,
    /// Pool sizes of the image pipeline.
    pub workers: Workers,
    /// Side of the VAE encoder's tiles in pixels; a picture no larger is encoded whole.
    pub tile_size: u32,
    /// Side of the VAE decoder's tiles in pixels; a picture no larger is decoded whole.
    pub vae_tile_size: u32,
    /// Clips that go through the models together.
    pub batch_size: u32,
    /// Numbers and kernels.
    pub numerics: Numerics,
    /// The whole environment that tuning adds to the process.
    pub environment: BTreeMap<String, String>,
}

/// Pool sizes of the image pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// Threads that read files and write frames.
    pub io: usize,
    /// Threads that decode, resize and normalise.
    pub preprocess: usize,
    /// Threads that pack batches.
    pub batch: usize,
}

impl Settings {
    /// What makes two settings the same for a job: a tile no smaller than the VAE's window is no
    /// tile, a batch of more clips than there are is one of all,
    /// and the NUMA_ variables are labels that nothing reads.
    pub fn identity(&self, workload: &Workload) -> u64 {
        let sizes = &workload.sizes;
        let whole = sizes.window_width.max(sizes.window_height);
        let mut same = self.clone();
        // What a user's own job does with them, nobody knows.
        if !workload.is_own() {
            same.tile_size = same.tile_size.min(whole);
            same.vae_tile_size = same.vae_tile_size.min(whole);
            same.batch_size = same.batch_size.min(sizes.clips);
        }
        same.environment.retain(|name, _| !name.starts_with("NUMA_"));
        let text = serde_json::to_string(&same).expect("settings are plain data");
        let digest = Sha256::digest(text.as_bytes());
        u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer than 8 bytes"))
    }
}
