//! Pools: the CPUs of the process and of each pool of threads.

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

impl Placement {
    /// Everybody on the same CPUs.
    pub fn shared(cpus: CpuSet) -> Self {
        Self {
            process: cpus.clone(),
            model: cpus.clone(),
            io: cpus.clone(),
            preprocess: cpus.clone(),
            batch: cpus,
        }
    }

    /// The model on `model`, the pools together on the cores that it leaves free; on the siblings
    /// that it leaves free where no core is; everybody everywhere where nothing is.
    pub(super) fn beside(model: CpuSet, machine: &Machine) -> Self {
        let usable = machine.usable_cores().map(|core| core.cpus.intersection(&machine.allowed));
        let free_cores = usable.filter(|cpus| cpus.is_disjoint(&model));
        let mut rest = free_cores.fold(CpuSet::empty(), |all, cpus| all.union(&cpus));
        if rest.is_empty() {
            rest = machine.allowed.difference(&model);
        }
        if rest.is_empty() {
            return Self::shared(machine.allowed.clone());
        }
        Self { process: model.union(&rest), model, ..Self::shared(rest) }
    }

    /// The CPUs of each pool by its name, the model's first.
    pub fn pools(&self) -> [(&'static str, &CpuSet); 4] {
        [
            ("model", &self.model),
            ("io", &self.io),
            ("preprocess", &self.preprocess),
            ("batch", &self.batch),
        ]
    }
}

/// How many threads each pool has: what a layout has to find room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    /// libtorch's intra-op threads.
    pub model: usize,
    /// io workers.
    pub io: usize,
    /// preprocess workers.
    pub preprocess: usize,
    /// batch workers.
    pub batch: usize,
}
