//! Allocators: which `malloc` a process runs on, chosen when it starts.

use serde::{Deserialize, Serialize};

use crate::machine::SystemRoots;
use crate::machine::library;

/// A `malloc`, and how it treats memory that was given back to it.
#[derive(
    Clone,
    Copy,
    Debug,
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
pub enum Allocator {
    /// glibc's, which maps and unmaps every large block: each use faults its pages in again.
    Glibc,
    /// glibc's, keeping what it once had.
    GlibcKeep,
    /// jemalloc, keeping what it once had.
    Jemalloc,
    /// tcmalloc (the minimal one).
    Tcmalloc,
    /// mimalloc.
    Mimalloc,
}

/// Never map a block on its own, and trim or grow the heap only in large steps.
pub const GLIBC_KEEP: &str = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:\
                              glibc.malloc.top_pad=268435456";

/// Never give pages back.
pub const JEMALLOC_KEEP: &str = "dirty_decay_ms:-1,muzzy_decay_ms:-1";

impl Allocator {
    /// Its library's name; `None` for glibc's own. Which file that is, [`library::find`] says.
    pub fn library(self) -> Option<&'static str> {
        match self {
            Self::Glibc | Self::GlibcKeep => None,
            Self::Jemalloc => Some("libjemalloc.so.2"),
            Self::Tcmalloc => Some("libtcmalloc_minimal.so.4"),
            Self::Mimalloc => Some("libmimalloc.so.2"),
        }
    }

    /// The Debian package that brings it.
    pub fn package(self) -> Option<&'static str> {
        self.library().and_then(library::package)
    }

    /// Why it can't be chosen on this system; `None` where it can.
    pub fn refusal(self, roots: &SystemRoots) -> Option<String> {
        library::refusal(self.library()?, roots)
    }

    /// The variables that choose it.
    pub fn variables(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let keep = match self {
            Self::GlibcKeep => Some(("GLIBC_TUNABLES", GLIBC_KEEP)),
            Self::Jemalloc => Some(("MALLOC_CONF", JEMALLOC_KEEP)),
            _ => None,
        };
        let preload = self.library().map(|library| ("LD_PRELOAD", library));
        keep.into_iter().chain(preload)
    }
}
