//! MKL's dispatch: which of its kernels MKL takes where the processor is not Intel's; chosen when a
//! process starts.

use serde::{Deserialize, Serialize};

use crate::machine::library;
use crate::machine::{Machine, SystemRoots};

/// How MKL chooses its kernels. The other choice than its own is none that Intel supports: a
/// library of one function (`mkl.c`), loaded first, answers MKL's question in MKL's place.
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
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum MklDispatch {
    /// By the vendor first: plain ones on AMD's.
    #[default]
    Own,
    /// By the instructions that the processor has, as on Intel's.
    Intel,
}

impl MklDispatch {
    /// The library to load; `None` for MKL's own choice.
    pub fn library(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Intel => Some(library::MKL),
        }
    }

    /// Whether it is a choice on this machine at all.
    pub fn is_choice(self, machine: &Machine) -> bool {
        self == Self::Own || machine.cpu.vendor == "AuthenticAMD"
    }

    /// Why it can't be chosen on this system; `None` where it can.
    pub fn refusal(self, roots: &SystemRoots) -> Option<String> {
        library::refusal(self.library()?, roots)
    }

    /// The variable that chooses it.
    pub fn variable(self) -> Option<(&'static str, &'static str)> {
        Some(("LD_PRELOAD", self.library()?))
    }
}
