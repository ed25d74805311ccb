//! Numerics: in which numbers, and by which kernels, the models compute.

use serde::{Deserialize, Serialize};

/// Which numbers the models hold and compute in. What the reference keeps in float32 (norms,
/// modulation, timesteps) stays so in all of them.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Precision {
    /// float32 everywhere.
    #[default]
    Fp32,
    /// bfloat16 in transformer and text encoder, float32 in the VAE: as Wan's pipeline has it.
    Bf16,
    /// bfloat16 in the VAE too.
    Bf16Vae,
}

/// How exactly libtorch multiplies float32 matrices (`torch.set_float32_matmul_precision`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum MatmulPrecision {
    /// float32 throughout, by MKL on a CPU.
    #[default]
    Highest,
    /// TF32 where the hardware has it; no effect on a CPU.
    High,
    /// bfloat16 products where the hardware has them; on a CPU the product moves to oneDNN.
    Medium,
}

/// Which of libtorch's kernels a VAE's convolutions use. ATen's own choice is a cliff: in fp32 at
/// batch 1 it depends on the padded size, and is up to twice as slow as the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvBackend {
    /// ATen's choice.
    #[default]
    Auto,
    /// im2col and a matrix product, for 3-D convolutions.
    SlowConv3d,
    /// oneDNN.
    Onednn,
}

/// Where the channels of the VAE's tensors lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryFormat {
    /// A plane a channel (`torch.contiguous_format`).
    #[default]
    Contiguous,
    /// All channels of a pixel side by side (`torch.channels_last_3d`).
    ChannelsLast,
}

/// All of them: what may change a picture beside its tiles.
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
