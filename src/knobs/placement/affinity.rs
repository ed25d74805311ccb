//! `affinity`: named rules that give the model's threads and each pool its CPUs.
//!
//! A layout gives sets and never pins a thread to one CPU: the kernel balances inside a set, and
//! a pinned thread whose CPU is taken by somebody else holds up a whole barrier.

use strum::VariantArray;

use super::domains::{self, Domain};
use super::omp_places::asked_places;
use super::partition::partition;
use super::pools::{Placement, PoolSizes};
use crate::knobs::effect::{Effect, MODEL, Mismatch, OTHER, Pool};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Migration, Preset, PresetTarget, Settings};
use crate::machine::{CpuSet, Machine};

words! {
    /// A named rule.
    pub enum Layout {
        /// Every allowed CPU for everybody.
        #[default]
        None,
        /// The WAN22 optimizer's: CPUs 0..min(16, C/2) and C/2..C/2+16 of C >= 32 cores.
        Baseline,
        /// One CPU of every core for everybody: no two threads share a core.
        PhysicalCores,
        /// The model on all siblings of just enough cores, L3 by L3; the pools on the other cores.
        SmtSiblings,
        /// The model on just enough cores, L3 by L3, one CPU each; the pools on the other cores.
        Compact,
        /// The model on just enough cores, one of each L3 in turn; the pools on the others.
        SpreadL3,
        /// The model on just enough cores, one of each NUMA node in turn; the pools on the
        /// others.
        SpreadNodes,
        /// Everybody in the largest L3 group.
        OneL3,
        /// Everybody on the largest NUMA node.
        OneNode,
        /// Everybody on the NUMA node of the GPU, or of the GPUs.
        GpuNode,
        /// Everybody on the fast cores of a machine that mixes kinds.
        PerformanceCores,
        /// The model in as many L3 groups as it fills, the pools in sets of their own in the others.
        PartitionedL3,
        /// The model on as many nodes as it fills, the pools in sets of their own on the others.
        PartitionedNodes,
        /// The model on the fast cores, the pools in sets of their own on the efficiency cores.
        PartitionedKinds,
    }
}

impl Layout {
    /// Where everything goes on this machine, or `None` where the machine can't have it: whether
    /// it can depends on the machine alone, not on the demand.
    pub fn place(self, machine: &Machine, demand: PoolSizes) -> Option<Placement> {
        let all = &machine.allowed;
        if all.is_empty() {
            return None;
        }
        let l3s = || several(domains::by_l3(machine));
        let nodes = || several(domains::by_node(machine));
        let kinds = || several(domains::by_kind(machine));
        let beside = |order: Vec<u32>| {
            Some(Placement::beside(order.into_iter().take(demand.model.max(1)).collect(), machine))
        };
        match self {
            Self::None => Some(Placement::shared(all.clone())),
            Self::Baseline => baseline(machine).map(Placement::shared),
            Self::PhysicalCores => {
                has_smt(machine).then(|| Placement::shared(first_siblings(machine)))
            }
            Self::SmtSiblings => has_smt(machine).then(|| {
                let model = domains::whole_cores(&domains::by_l3(machine), demand.model.max(1));
                Placement::beside(model, machine)
            }),
            Self::Compact => (all.len() > 1)
                .then(|| beside(domains::compact(&domains::by_l3(machine))))
                .flatten(),
            Self::SpreadL3 => beside(domains::spread(&l3s()?)),
            Self::SpreadNodes => beside(domains::spread(&nodes()?)),
            Self::OneL3 => Some(Placement::shared(domains::largest(&l3s()?)?.cpus())),
            Self::OneNode => Some(Placement::shared(domains::largest(&nodes()?)?.cpus())),
            Self::GpuNode => {
                let near = machine.cpus_near_gpus().filter(|near| near.len() < all.len());
                near.map(Placement::shared)
            }
            Self::PerformanceCores => Some(Placement::shared(kinds()?.first()?.cpus())),
            Self::PartitionedL3 => partition(&l3s()?, &domains::by_l3(machine), demand),
            Self::PartitionedNodes => partition(&nodes()?, &domains::by_l3(machine), demand),
            Self::PartitionedKinds => partition(&kinds()?, &domains::by_l3(machine), demand),
        }
    }

    /// The layouts that this machine can have, with where they put everything; of those that
    /// come to the same sets only the first.
    pub fn distinct(machine: &Machine, demand: PoolSizes) -> Vec<(Self, Placement)> {
        let mut distinct: Vec<(Self, Placement)> = Vec::new();
        for &layout in Self::VARIANTS {
            let Some(placement) = layout.place(machine, demand) else { continue };
            if distinct.iter().all(|(_, known)| *known != placement) {
                distinct.push((layout, placement));
            }
        }
        distinct
    }

    /// The layouts that this machine can have.
    pub fn of(machine: &Machine) -> Vec<Self> {
        Self::VARIANTS.iter().copied().filter(|layout| layout.exists(machine)).collect()
    }

    fn exists(self, machine: &Machine) -> bool {
        let any = PoolSizes { model: 1, io: 1, preprocess: 1, batch: 1 };
        self.place(machine, any).is_some()
    }

    /// What comes nearest to it, best first; everywhere is the last resort.
    fn nearest(self) -> impl Iterator<Item = Self> {
        let nearer: &[Self] = match self {
            Self::None | Self::Baseline | Self::PhysicalCores | Self::Compact | Self::GpuNode => {
                &[]
            }
            Self::SmtSiblings => &[Self::Compact],
            Self::SpreadL3 => &[Self::SpreadNodes, Self::Compact],
            Self::SpreadNodes => &[Self::SpreadL3, Self::Compact],
            Self::OneL3 => &[Self::OneNode],
            Self::OneNode => &[Self::OneL3],
            Self::PerformanceCores => &[Self::PhysicalCores],
            Self::PartitionedL3 => &[Self::PartitionedNodes, Self::Compact],
            Self::PartitionedNodes => &[Self::PartitionedL3, Self::Compact],
            Self::PartitionedKinds => &[Self::PartitionedL3, Self::PartitionedNodes, Self::Compact],
        };
        nearer.iter().copied().chain([Self::None])
    }
}

fn several(domains: Vec<Domain>) -> Option<Vec<Domain>> {
    (domains.len() > 1).then_some(domains)
}

fn has_smt(machine: &Machine) -> bool {
    machine.usable_cores().any(|core| core.cpus.intersection(&machine.allowed).len() > 1)
}

fn first_siblings(machine: &Machine) -> CpuSet {
    let first = |core: &crate::machine::Core| core.cpus.intersection(&machine.allowed).first();
    machine.usable_cores().filter_map(first).collect()
}

/// The WAN22 optimizer's CPUs for the 5995WX, where C is the number of physical cores; for
/// fewer than 32 it takes every CPU, which is the layout `none`.
fn baseline(machine: &Machine) -> Option<CpuSet> {
    let cores = u32::try_from(machine.core_count()).unwrap_or(u32::MAX);
    if cores < 32 {
        return None;
    }
    let half = cores / 2;
    let second = if cores > 32 { half..half + 16 } else { 0..0 };
    let wanted: CpuSet = (0..half.min(16)).chain(second).collect();
    let cpus = wanted.intersection(&machine.allowed);
    Some(if cpus.is_empty() { machine.allowed.clone() } else { cpus })
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = Layout;

    fn baseline(fit: PresetTarget) -> Layout {
        let workstation = fit.preset == Some(Preset::Threadripper5995wx);
        if workstation && fit.cores >= 32 { Layout::Baseline } else { Layout::None }
    }

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let exists = knobs.affinity.exists(host.machine);
        (!exists).then(|| "this machine has no such layout".to_owned())
    }

    fn is_handed_over(&self) -> bool {
        false
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        // Inside the model's CPUs, OpenMP's places say where its threads are.
        let is_placed = asked_places(asked).is_some();
        let pools = asked.placement.pools().into_iter();
        let mut found: Vec<Mismatch> = pools
            .filter(|(name, _)| *name != MODEL || !is_placed)
            .filter_map(|(name, cpus)| {
                let pool = got.pools.get(name)?;
                let is_right = pool.allowed.len() == 1 && pool.allowed.contains(cpus);
                let wrong = || Mismatch::new(format!("{name} pool's CPUs"), cpus, pool.masks());
                (!is_right).then(wrong)
            })
            .collect();
        found.extend(outside("CPUs of other threads", got.pools.get(OTHER), asked));
        found
    }

    /// What a command does to itself inside the CPUs that it was given is no mismatch.
    fn foreign_mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        outside("the command's CPUs", got.pools.get(OTHER), asked).into_iter().collect()
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        let reason = self.unavailable(knobs, &to.here)?;
        let nearest = knobs.affinity.nearest().find(|layout| layout.exists(to.here.machine));
        knobs.affinity = nearest.unwrap_or(knobs.affinity);
        Some(reason)
    }
}

/// Threads that may leave the CPUs of the process.
fn outside(what: &str, pool: Option<&Pool>, asked: &Settings) -> Option<Mismatch> {
    let (pool, process) = (pool?, &asked.placement.process);
    let is_inside = pool.allowed.iter().all(|mask| mask.is_subset(process));
    (!is_inside).then(|| Mismatch::new(what, format!("within {process}"), pool.masks()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::memory::{MemoryMode, MemoryPolicy};
    use crate::machine::Gpu;

    #[test]
    fn there_is_a_layout_near_the_gpu_where_some_cpus_are_not() {
        let machine = Machine::synthetic("package:2 [numa(memory=8GB)] core:4 pu:1");
        let near = |nodes: &[Option<u32>], allowed: &str| {
            let gpu = |node: &Option<u32>| Gpu { numa_node: *node, ..Gpu::default() };
            let gpus = nodes.iter().map(gpu).collect();
            let machine = Machine { gpus, allowed: allowed.parse().unwrap(), ..machine.clone() };
            let placement = Layout::GpuNode
                .place(&machine, PoolSizes { model: 9, io: 1, preprocess: 1, batch: 1 })?;
            assert_eq!(placement, Placement::shared(placement.process.clone()));
            let (_, memory) = MemoryMode::Bind.policies(&machine, &placement)?;
            Some((placement.process.to_string(), memory))
        };
        let second =
            |cpus: &str| Some((cpus.to_owned(), MemoryPolicy::Bind([1].into_iter().collect())));
        assert_eq!(near(&[Some(1)], "0-7"), second("4-7"));
        assert_eq!(near(&[Some(1), Some(1), None], "2-5"), second("4-5"));
        for (nodes, allowed) in [
            (&[][..], "0-7"),
            (&[None], "0-7"),
            (&[Some(0), Some(1)], "0-7"),
            (&[Some(1)], "4-7"),
            (&[Some(0)], "4-7"),
            (&[Some(7)], "0-7"),
        ] {
            assert_eq!(near(nodes, allowed), None, "{nodes:?} {allowed}");
        }
    }
}
