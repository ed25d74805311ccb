//! Launch: how a process starts under settings, and what it reads back about itself.
//!
//! Trials and production go the same way: `wan22-tune exec` builds the environment, binds CPUs
//! and memory, and becomes the command. Binding comes before exec because OpenMP runtimes and
//! allocators read their surroundings once, when they are loaded.

mod exec;
pub mod page_placement;
mod probe;
mod readback;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::knobs::memory::MemoryPolicy;
use crate::knobs::{AsIs, Settings, as_is, inherited};
use crate::machine::CpuSet;

pub use crate::knobs::effect::{Effect, Pool};
pub use exec::{Applied, NotStarted, Supervision, apply, dry_run, exec, supervise};
pub use probe::{proven, unavailable_modes};

/// How a process starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Added to what the process inherits; only names on the allow-list.
    #[schemars(schema_with = "crate::knobs::allow_list::schema")]
    pub environment: BTreeMap<String, String>,
    /// The CPUs that it may use.
    pub cpus: CpuSet,
    /// The memory policy that it starts with.
    pub memory: MemoryPolicy,
    /// The knobs that act from outside and that it leaves as it finds them.
    #[serde(default, skip_serializing_if = "AsIs::is_empty")]
    pub as_is: AsIs,
}

impl Launch {
    /// How a process starts under `settings`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            environment: settings.environment.clone(),
            cpus: settings.placement.process.clone(),
            memory: settings.memory.clone(),
            as_is: settings.as_is.intersection(&as_is::all()).cloned().collect(),
        }
    }

    /// The CPUs to which it binds a process; `None` where they stay as they are.
    pub fn bound_cpus(&self) -> Option<&CpuSet> {
        (!self.as_is.contains("affinity")).then_some(&self.cpus)
    }

    /// The memory policy that it sets; `None` where it stays as it is.
    pub fn set_memory(&self) -> Option<&MemoryPolicy> {
        (!self.as_is.contains("memory_mode")).then_some(&self.memory)
    }

    /// The variables that a process does not inherit, by the beginnings of their names.
    pub fn not_inherited(&self) -> Vec<&'static str> {
        inherited::not_inherited_beside(&self.as_is)
    }

    /// The same by whole names, as far as they are known.
    pub fn unset(&self) -> BTreeSet<&'static str> {
        inherited::unset_beside(&self.as_is)
    }
}
