//! Affinity layouts: named rules that give the model's threads and each pool its CPUs.
//!
//! A layout gives sets and never pins a thread to one CPU: the kernel balances inside a set, and
//! a pinned thread whose CPU is taken by somebody else holds up a whole barrier.

use std::io;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::domains::{self, Domain};
use super::partition::partition;
use crate::machine::syscalls;
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
    fn beside(model: CpuSet, machine: &Machine) -> Self {
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
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Layout {
    /// Every allowed CPU for everybody.
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
    /// Everybody on the fast cores of a machine that mixes kinds.
    PerformanceCores,
    /// The model in as many L3 groups as it fills, the pools in sets of their own in the others.
    PartitionedL3,
    /// The model on as many nodes as it fills, the pools in sets of their own on the others.
    PartitionedNodes,
    /// The model on the fast cores, the pools in sets of their own on the thrifty ones.
    PartitionedKinds,
}

impl Layout {
    /// Where everything goes on this machine, or `None` where the machine can't have it: whether
    /// it can depends on the machine alone, not on the demand.
    pub fn place(self, machine: &Machine, demand: Demand) -> Option<Placement> {
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
            Self::PerformanceCores => Some(Placement::shared(kinds()?.first()?.cpus())),
            Self::PartitionedL3 => partition(&l3s()?, &domains::by_l3(machine), demand),
            Self::PartitionedNodes => partition(&nodes()?, &domains::by_l3(machine), demand),
            Self::PartitionedKinds => partition(&kinds()?, &domains::by_l3(machine), demand),
        }
    }

    /// The layouts that this machine can have, with where they put everything; of those that
    /// come to the same sets only the first.
    pub fn distinct(machine: &Machine, demand: Demand) -> Vec<(Self, Placement)> {
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
        let any = Demand { model: 1, io: 1, preprocess: 1, batch: 1 };
        Self::VARIANTS
            .iter()
            .copied()
            .filter(|layout| layout.place(machine, any).is_some())
            .collect()
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

/// Lets the calling thread, and those that it starts from now on, run on `cpus` only.
///
/// # Errors
/// When the set is empty, or the kernel refuses it or grants only a part of it.
pub fn bind(cpus: &CpuSet) -> io::Result<()> {
    if cpus.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no CPUs"));
    }
    syscalls::set_affinity(cpus)?;
    // The kernel silently drops CPUs outside of the cgroup's cpuset.
    let granted = bound()?;
    if granted == *cpus {
        Ok(())
    } else {
        Err(io::Error::other(format!("asked for CPUs {cpus}, the kernel granted {granted}")))
    }
}

/// As [`bind`]; where the kernel forbids the call and the CPUs are these already, gives the
/// kernel's refusal.
///
/// # Errors
/// As [`bind`].
pub fn bind_or_keep(cpus: &CpuSet) -> io::Result<Option<io::Error>> {
    match bind(cpus) {
        Ok(()) => Ok(None),
        Err(error) if is_forbidden(&error) && bound().is_ok_and(|bound| bound == *cpus) => {
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

/// Why binding failed and what helps, in words.
pub fn cure(error: &io::Error) -> &'static str {
    if is_forbidden(error) {
        "the kernel forbids the call sched_setaffinity: a seccomp profile or sandbox does so; allow \
         it, or start the command without this program under what `wan22-tune export` writes"
    } else {
        "the cgroup's cpuset decides which CPUs there are; --adapt finds others"
    }
}

/// Whether this process may bind itself at all, found out by binding a thread to the CPUs that it
/// has.
///
/// # Errors
/// What is wrong, with the cure.
pub fn probe_binding() -> Result<(), String> {
    let words = |error: io::Error| format!("{error}: {}", cure(&error));
    let cpus = bound().map_err(words)?;
    let bind = move || syscalls::set_affinity(&cpus);
    let tried = std::thread::Builder::new().spawn(bind).map_err(words)?.join();
    tried.unwrap_or_else(|_| Err(io::Error::other("the probe itself failed"))).map_err(words)
}

/// The CPUs on which the calling thread may run.
///
/// # Errors
/// What the kernel says.
pub fn bound() -> io::Result<CpuSet> {
    syscalls::affinity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_call_is_not_blamed_on_the_cpuset() {
        let cure = |code| cure(&io::Error::from_raw_os_error(code));
        assert!(cure(libc::EPERM).contains("seccomp") && !cure(libc::EPERM).contains("cpuset"));
        assert!(cure(libc::EINVAL).contains("cpuset"));
        assert_eq!(probe_binding(), Ok(()));
    }
}
