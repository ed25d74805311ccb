//! Affinity layouts: named rules that give the model's threads and each pool its CPUs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::machine::{CpuSet, Machine};

/// The CPUs of the process and of each pool; never empty, always allowed ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// All CPUs that the process may use: the union of the others.
    pub process: CpuSet,
    /// The model's threads: libtorch's intra- and inter-op pools.
    pub model: CpuSet,
    /// The io workers.
    pub io: CpuSet,
    /// The preprocess workers.
    pub preprocess: CpuSet,
    /// The batch workers.
    pub batch: CpuSet,
}

/// How many threads each pool has: what a layout has to find room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// libtorch's intra-op threads.
    pub model: usize,
    /// io workers.
    pub io: usize,
    /// preprocess workers.
    pub preprocess: usize,
    /// batch workers.
    pub batch: usize,
}

/// A named rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Every allowed CPU for everybody.
    None,
    /// The WAN22 optimizer's: CPUs 0..min(16, C/2) and C/2..C/2+16 of C >= 32 cores.
    Baseline,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 2] = [Self::None, Self::Baseline];

    /// The word in files and columns.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Baseline => "baseline",
        }
    }

    /// Where everything goes on this machine, or `None` where the machine can't have it.
    pub fn place(self, machine: &Machine, _demand: Demand) -> Option<Placement> {
        let all = machine.allowed.clone();
        (!all.is_empty()).then(|| Placement {
            process: all.clone(),
            model: all.clone(),
            io: all.clone(),
            preprocess: all.clone(),
            batch: all,
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// STUB
pub fn bind(_cpus: &CpuSet) -> std::io::Result<()> {
    Ok(())
}
