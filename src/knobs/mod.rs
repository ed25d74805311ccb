//! Settings: a candidate resolved on a machine.

pub mod affinity;
pub mod allocator;
pub mod allow_list;
mod baseline;
pub mod domains;
mod environment;
pub mod handover;
pub mod huge_pages;
pub mod isa;
mod knobs;
pub mod memory;
pub mod mkl;
mod numerics;
pub mod openmp;
mod optimal;
pub mod partition;
pub mod places;
mod quota;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knobs::affinity::Placement;
use crate::knobs::memory::MemoryPolicy;

pub use baseline::{Baseline, Preset};
pub use knobs::Knobs;
pub use numerics::{ConvBackend, MatmulPrecision, MemoryFormat, Numerics, Precision};
pub use optimal::{HardwareProfile, OptimalSettings};
pub use quota::{quota_cure, quota_for, quota_warning};
pub use value::{Kind, Value, Values};

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
    /// What is handed to the user's own command and to nobody else.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub custom: Values,
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
