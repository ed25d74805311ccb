//! Domains: the usable cores of a machine by what they share.

use std::collections::BTreeMap;

use crate::machine::{Core, CoreKind, CpuSet, Machine};

/// The allowed CPUs of one core, ascending: SMT siblings.
pub type Siblings = Vec<u32>;

/// Cores that share an L3 or a node; fast cores first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Its usable cores.
    pub cores: Vec<Siblings>,
}

impl Domain {
    /// All its CPUs.
    pub fn cpus(&self) -> CpuSet {
        self.cores.iter().flatten().copied().collect()
    }
}

/// The usable cores by L3 group.
pub fn by_l3(machine: &Machine) -> Vec<Domain> {
    domains(machine, |core| core.l3_group)
}

/// The usable cores by NUMA node.
pub fn by_node(machine: &Machine) -> Vec<Domain> {
    domains(machine, |core| core.node as usize)
}

/// Fast cores, then efficiency cores; one domain where all are alike.
pub fn by_kind(machine: &Machine) -> Vec<Domain> {
    domains(machine, |core| usize::from(is_efficiency(core)))
}

/// In hwloc's order, but domains without a fast core last.
fn domains(machine: &Machine, key: impl Fn(&Core) -> usize) -> Vec<Domain> {
    let mut positions: BTreeMap<usize, usize> = BTreeMap::new();
    let mut found: Vec<Vec<(bool, Siblings)>> = Vec::new();
    for core in machine.usable_cores() {
        let position = *positions.entry(key(core)).or_insert_with(|| {
            found.push(Vec::new());
            found.len() - 1
        });
        let siblings = core.cpus.intersection(&machine.allowed).iter().collect();
        found[position].push((is_efficiency(core), siblings));
    }
    for cores in &mut found {
        cores.sort_by_key(|&(is_efficiency, _)| is_efficiency);
    }
    found.sort_by_key(|cores| cores[0].0);
    let domain = |cores: Vec<(bool, Siblings)>| Domain {
        cores: cores.into_iter().map(|(_, siblings)| siblings).collect(),
    };
    found.into_iter().map(domain).collect()
}

fn is_efficiency(core: &Core) -> bool {
    core.kind == CoreKind::Efficiency
}

/// Every CPU once, domain after domain; second siblings only when every core has one.
pub fn compact(domains: &[Domain]) -> Vec<u32> {
    let cores: Vec<&Siblings> = domains.iter().flat_map(|domain| &domain.cores).collect();
    rank_by_rank(&cores)
}

/// Every CPU once, one core of each domain in turn; second siblings last.
pub fn spread(domains: &[Domain]) -> Vec<u32> {
    let longest = domains.iter().map(|domain| domain.cores.len()).max().unwrap_or(0);
    let round = |i: usize| domains.iter().filter_map(move |domain| domain.cores.get(i));
    let cores: Vec<&Siblings> = (0..longest).flat_map(round).collect();
    rank_by_rank(&cores)
}

fn rank_by_rank(cores: &[&Siblings]) -> Vec<u32> {
    let most = cores.iter().map(|core| core.len()).max().unwrap_or(0);
    (0..most)
        .flat_map(|rank| cores.iter().filter_map(move |core| core.get(rank).copied()))
        .collect()
}

/// The first cores with all their siblings that give at least `threads` CPUs.
pub fn whole_cores(domains: &[Domain], threads: usize) -> CpuSet {
    let mut taken = CpuSet::empty();
    for siblings in domains.iter().flat_map(|domain| &domain.cores) {
        if taken.len() >= threads {
            break;
        }
        siblings.iter().for_each(|&cpu| taken.insert(cpu));
    }
    taken
}

/// The domain with the most cores, then CPUs; the first of several.
pub fn largest(domains: &[Domain]) -> Option<&Domain> {
    domains.iter().rev().max_by_key(|domain| (domain.cores.len(), domain.cpus().len()))
}
