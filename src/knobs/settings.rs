//! Settings: a candidate resolved on a machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::allow_list::PRELOAD;
use super::memory::MemoryPolicy;
use super::placement::Placement;
use super::{AsIs, ConvBackend, MatmulPrecision, MemoryFormat, Precision, Values};

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
    /// The knobs that the launch leaves as it finds them.
    #[serde(default, skip_serializing_if = "AsIs::is_empty")]
    pub as_is: AsIs,
}

impl Settings {
    /// The names of the files that are loaded before all others.
    pub fn preloaded(&self) -> impl Iterator<Item = &str> {
        let list = self.environment.get(PRELOAD).map_or("", String::as_str);
        file_names(list)
    }
}

/// The file names in a list of libraries: settings name libraries, a launch the system's files.
pub fn file_names(list: &str) -> impl Iterator<Item = &str> {
    let files = list.split([':', ' ']).filter(|file| !file.is_empty());
    files.map(|path| path.rsplit('/').next().unwrap_or(path))
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

/// What may change a picture beside its tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numerics {
    /// Numbers of weights and activations.
    pub precision: Precision,
    /// Products of float32 matrices.
    pub matmul_precision: MatmulPrecision,
    /// Kernels of the VAE.
    pub conv_backend: ConvBackend,
    /// Order of the VAE's tensors.
    pub memory_format: MemoryFormat,
}

impl Numerics {
    /// Whether they are what a reference is made with: float32, and libtorch's own choice of kernels.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// The same for the VAE, which has no halves under bf16.
    pub fn vae_is_plain(self) -> bool {
        let halves = self.precision == Precision::Bf16Vae;
        !halves && Self { precision: Precision::Fp32, ..self }.is_plain()
    }

    /// Whether they change nothing but the order of float32 sums.
    pub fn is_neutral(self) -> bool {
        self.precision == Precision::Fp32 && self.matmul_precision != MatmulPrecision::Medium
    }

    /// Whether they change nothing but the order of float32 sums in the VAE.
    pub fn vae_is_neutral(self) -> bool {
        self.precision != Precision::Bf16Vae && self.matmul_precision != MatmulPrecision::Medium
    }
}
