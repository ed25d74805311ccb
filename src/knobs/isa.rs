//! The newest instructions that oneDNN may use, chosen when a process starts.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A limit for oneDNN (`ONEDNN_MAX_CPU_ISA`): older instructions clock higher on some machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum OnednnIsa {
    /// Whatever the processor has.
    Newest,
    /// AVX2.
    Avx2,
    /// AVX-512 without what came later.
    Avx512Core,
}

impl OnednnIsa {
    /// The variable's value; `None` leaves it unset.
    pub fn value(self) -> Option<&'static str> {
        match self {
            Self::Newest => None,
            Self::Avx2 => Some("AVX2"),
            Self::Avx512Core => Some("AVX512_CORE"),
        }
    }

    /// Whether it is a limit at all on this machine.
    pub fn limits(self, machine: &Machine) -> bool {
        let has = |flag: &str| machine.cpu.isa.iter().any(|known| known == flag);
        match self {
            Self::Newest => true,
            Self::Avx2 => has("avx512f"),
            Self::Avx512Core => has("avx512_vnni") || has("avx512_bf16") || has("amx_tile"),
        }
    }
}
