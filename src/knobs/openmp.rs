//! OpenMP: whose runtime starts the threads, and how they wait; chosen when a process starts.

use serde::{Deserialize, Serialize};

use crate::machine::SystemRoots;
use crate::machine::library;

/// An OpenMP runtime. LLVM's and Intel's answer the calls that libtorch makes to GCC's, which is
/// loaded all the same.
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
pub enum OmpRuntime {
    /// GCC's, which comes with libtorch.
    #[default]
    Libgomp,
    /// Intel's.
    Libiomp5,
    /// LLVM's, of which Intel's is a build.
    Libomp,
}

impl OmpRuntime {
    /// Its library's name, for the dynamic linker to find in the system's folders; `None` for
    /// libtorch's own.
    pub fn library(self) -> Option<&'static str> {
        match self {
            Self::Libgomp => None,
            Self::Libiomp5 => Some("libiomp5.so"),
            Self::Libomp => Some("libomp.so.5"),
        }
    }

    /// Why it can't be chosen on this system; `None` where it can.
    pub fn refusal(self, roots: &SystemRoots) -> Option<String> {
        let library = self.library()?;
        let intel = (self == Self::Libomp).then(|| Self::Libiomp5.library()).flatten();
        if intel.is_some_and(|intel| library::are_one(library, intel, roots)) {
            return Some(format!("it is the file that {} is a link to", Self::Libiomp5));
        }
        library::refusal(library, roots)
    }

    /// The variable that chooses it.
    pub fn variable(self) -> Option<(&'static str, &'static str)> {
        Some(("LD_PRELOAD", self.library()?))
    }
}

/// What a thread does at a barrier while others still work (`OMP_WAIT_POLICY`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum OmpWait {
    /// Spins for a while, then sleeps: each runtime's own choice.
    #[default]
    Default,
    /// Spins.
    Active,
    /// Sleeps at once.
    Passive,
}

impl OmpWait {
    /// The variable that chooses it; `None` leaves it unset.
    pub fn variable(self) -> Option<(&'static str, &'static str)> {
        let policy = match self {
            Self::Default => return None,
            Self::Active => "active",
            Self::Passive => "passive",
        };
        Some(("OMP_WAIT_POLICY", policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_with_two_names_is_offered_once() {
        let tree = tempfile::tempdir().unwrap();
        let roots = SystemRoots::fixture(tree.path());
        let folder = roots.mounted("/usr/lib64");
        std::fs::create_dir_all(&folder).unwrap();
        let missing = "no libomp.so.5 is installed (Debian: libomp5)";
        assert_eq!(OmpRuntime::Libomp.refusal(&roots).unwrap(), missing);
        assert_eq!(OmpRuntime::Libgomp.refusal(&roots), None);
        std::fs::write(folder.join("libomp.so.5"), "").unwrap();
        assert_eq!(OmpRuntime::Libomp.refusal(&roots), None);
        std::os::unix::fs::symlink("libomp.so.5", folder.join("libiomp5.so")).unwrap();
        assert_eq!(OmpRuntime::Libiomp5.refusal(&roots), None);
        let link = "it is the file that libiomp5 is a link to";
        assert_eq!(OmpRuntime::Libomp.refusal(&roots).unwrap(), link);
    }
}
