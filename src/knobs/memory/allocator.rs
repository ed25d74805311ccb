//! `allocator`: which `malloc` a process runs on, chosen when it starts.

use strum::VariantArray;

use crate::knobs::allow_list::PRELOAD;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, Mismatch, compare};
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Migration, Settings, Variable};
use crate::machine::{SystemRoots, library};

words! {
    /// A `malloc`, and how it treats memory that was given back to it.
    pub enum Allocator {
        /// glibc's, which maps and unmaps every large block: each use faults its pages in again.
        #[default]
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
}

const TUNABLES: &str = "GLIBC_TUNABLES";
const JEMALLOC: &str = "MALLOC_CONF";

/// What is said of a process whose `malloc` is glibc's.
pub const GLIBC: &str = "glibc";

/// The allocator among files of libraries.
pub fn loaded<'a>(mut files: impl Iterator<Item = &'a str>) -> &'static str {
    const OTHERS: [&str; 3] = ["jemalloc", "tcmalloc", "mimalloc"];
    let named = |file: &str| OTHERS.into_iter().find(|name| file.contains(&format!("lib{name}")));
    files.find_map(named).unwrap_or(GLIBC)
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = Allocator;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        knobs.allocator.refusal(host.roots.as_ref()?)
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        let keep = match knobs.allocator {
            Allocator::GlibcKeep => Some((TUNABLES, GLIBC_KEEP)),
            Allocator::Jemalloc => Some((JEMALLOC, JEMALLOC_KEEP)),
            _ => None,
        };
        let preload = knobs.allocator.library().map(|library| (PRELOAD, library));
        let all = keep.into_iter().chain(preload);
        all.map(|(name, value)| (name, value.to_owned())).collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        let libraries = Allocator::VARIANTS.iter().filter_map(|allocator| allocator.library());
        vec![
            VariableForm::new(TUNABLES, one_of([GLIBC_KEEP])),
            VariableForm::new(JEMALLOC, one_of([JEMALLOC_KEEP])),
            VariableForm::new(PRELOAD, one_of(libraries)),
        ]
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        compare(loaded(asked.preloaded()), got.allocator.as_str()).into_iter().collect()
    }

    fn foreign_mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        self.mismatches(got, asked)
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let keeps = caller.text(TUNABLES).contains(GLIBC_KEEP);
        knobs.allocator = match loaded(caller.preloaded()).parse().unwrap_or_default() {
            Allocator::Glibc if keeps => Allocator::GlibcKeep,
            found => found,
        };
    }

    /// glibc's own comes nearest to one that is missing.
    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        let reason = self.unavailable(knobs, &to.here)?;
        knobs.allocator = Allocator::GlibcKeep;
        Some(reason)
    }
}
