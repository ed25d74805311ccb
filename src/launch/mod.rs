//! Launch: how a process starts under settings, and what it reads back about itself.
//!
//! Trials and production go the same way: `wan22-tune exec` builds the environment, binds CPUs
//! and memory, and becomes the command. Binding comes before exec because OpenMP runtimes and
//! allocators read their surroundings once, when they are loaded.

mod affinity;
mod allocator;
mod domains;
mod effect;
pub mod environment;
mod exec;
pub mod handover;
mod huge_pages;
mod isa;
pub mod library;
mod memory;
mod mkl;
mod openmp;
mod partition;
mod places;
mod probe;
pub mod residence;
mod syscalls;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::CpuSet;
use crate::settings::Settings;

pub use affinity::{Demand, Layout, Placement, bind, bind_or_keep, bound, probe_binding};
pub use allocator::Allocator;
pub use effect::{Effect, Pool};
pub use exec::{Applied, NotStarted, Supervision, apply, exec, rehearse, supervise};
pub use huge_pages::HugePages;
pub use isa::OnednnIsa;
pub use memory::{MemoryMode, MemoryPolicy};
pub use mkl::MklDispatch;
pub use openmp::{OmpRuntime, OmpWait};
pub use places::OmpPlaces;
pub use probe::{proven, refusals};
pub(crate) use syscalls::since_boot;

/// Exit status of `wan22-tune exec` when the launch could not be applied, as `env` has it;
/// 126 and 127 say that the command can't be run or was not found.
pub const EXIT_NOT_APPLIED: i32 = 125;

/// How a process starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Added to what the process inherits; only names on the allow-list.
    #[schemars(schema_with = "environment::schema")]
    pub environment: BTreeMap<String, String>,
    /// The CPUs that it may use.
    pub cpus: CpuSet,
    /// The memory policy that it starts with.
    pub memory: MemoryPolicy,
}

impl Launch {
    /// How a process starts under `settings`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            environment: settings.environment.clone(),
            cpus: settings.placement.process.clone(),
            memory: settings.memory.clone(),
        }
    }
}
