//! From hwloc's tree to the flat sets that a [`Machine`] is made of.

use std::collections::{BTreeMap, BTreeSet};

use hwlocality::Topology;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::distance::DistancesKind;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TopologyBuilder};

use super::core_kinds;
use super::core_kinds::Kinds;
use crate::machine::{Core, CpuSet, HIGHEST_INDEX, Machine, Node};

/// A file that gives a node more (1 PiB) is damaged; such memory counts as unknown.
const MOST_NODE_BYTES: u64 = 1 << 50;

/// What a topology says about a machine, before limits.
#[derive(Debug)]
pub struct ParsedTopology {
    /// What hwloc knows of the machine; every CPU is in exactly one node.
    pub machine: Machine,
    /// Whether the nodes were found rather than made up by hwloc.
    pub nodes_known: bool,
    /// hwloc's notes about the machine, such as `CPUModel`.
    pub infos: BTreeMap<String, String>,
}

/// Loads what `describe` asks the builder for, disallowed objects included.
///
/// # Errors
/// In words, when hwloc refuses.
pub fn load(
    flags: BuildFlags,
    describe: impl FnOnce(TopologyBuilder) -> Result<TopologyBuilder, String>,
) -> Result<Topology, String> {
    let flags = flags | BuildFlags::INCLUDE_DISALLOWED;
    let builder = Topology::builder().with_flags(flags).map_err(|error| error.to_string())?;
    describe(builder)?.build().map_err(|error| error.to_string())
}

impl ParsedTopology {
    /// Flattens `topology`.
    ///
    /// # Errors
    /// When it has no CPUs.
    pub fn of(topology: &Topology) -> Result<Self, String> {
        Survey::of(topology).flatten(topology)
    }
}

/// One CPU (hwloc: PU) with the objects above it, by hwloc's persistent numbers.
struct Pu {
    cpu: u32,
    core: Option<u64>,
    package: Option<u64>,
    l3: Option<u64>,
    l2: Option<u64>,
}

struct Survey {
    pus: Vec<Pu>,
    l3_bytes: u64,
    kinds: Kinds,
    notes: Vec<String>,
}

impl Survey {
    fn of(topology: &Topology) -> Self {
        let mut survey = Self {
            pus: Vec::new(),
            l3_bytes: 0,
            kinds: core_kinds::of(topology),
            notes: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        for object in topology.objects_with_type(ObjectType::PU) {
            let cpu = object.os_index().and_then(|index| u32::try_from(index).ok());
            let cpu = cpu.filter(|&cpu| cpu <= HIGHEST_INDEX && seen.insert(cpu));
            if let Some(cpu) = cpu {
                let pu = survey.pu(cpu, object);
                survey.pus.push(pu);
            }
        }
        survey
    }

    fn pu(&mut self, cpu: u32, object: &TopologyObject) -> Pu {
        let mut pu = Pu { cpu, core: None, package: None, l3: None, l2: None };
        for above in object.ancestors() {
            let id = Some(above.global_persistent_index());
            match above.object_type() {
                ObjectType::Core => pu.core = id,
                ObjectType::Package => pu.package = id,
                ObjectType::L2Cache => pu.l2 = id,
                ObjectType::L3Cache => {
                    pu.l3 = id;
                    if let Some(ObjectAttributes::Cache(cache)) = above.attributes() {
                        self.l3_bytes = self.l3_bytes.max(cache.size().map_or(0, u64::from));
                    }
                }
                _ => {}
            }
        }
        pu
    }

    fn flatten(mut self, topology: &Topology) -> Result<ParsedTopology, String> {
        if self.pus.is_empty() {
            return Err("it has no CPUs (hwloc: PUs)".to_owned());
        }
        let cpus: CpuSet = self.pus.iter().map(|pu| pu.cpu).collect();
        let (packages, package_of) = groups(&self.pus, |pu| pu.package);
        let (l3_groups, l3_of) = self.cache_groups();
        let nodes = nodes(topology, &cpus);
        let cores = self.cores(&package_of, &l3_of, &nodes);
        let support = topology.feature_support().discovery();
        let allowed = set(topology.allowed_cpuset().iter_set().map(usize::from));
        Ok(ParsedTopology {
            nodes_known: !topology.is_this_system() || support.is_none_or(|d| d.numa_count()),
            infos: infos(topology),
            machine: Machine {
                packages,
                nodes,
                l3_groups,
                l3_bytes: self.l3_bytes,
                cores,
                allowed: allowed.intersection(&cpus),
                notes: self.notes,
                ..Machine::default()
            },
        })
    }

    /// CPUs by L3; where there is none, by an L2 that cores share; else by package.
    fn cache_groups(&mut self) -> (Vec<CpuSet>, BTreeMap<u32, usize>) {
        let mut cores_of_l2: BTreeMap<u64, BTreeSet<Option<u64>>> = BTreeMap::new();
        for pu in &self.pus {
            if let (Some(l2), Some(_)) = (pu.l2, pu.core) {
                cores_of_l2.entry(l2).or_default().insert(pu.core);
            }
        }
        let shared = |l2: &u64| cores_of_l2.get(l2).is_some_and(|cores| cores.len() > 1);
        let shared_l2 = |pu: &Pu| pu.l2.filter(shared);
        let without = self.pus.iter().filter(|pu| pu.l3.is_none()).count();
        if without > 0 {
            let share = if without == self.pus.len() { "No CPU" } else { "Not every CPU" };
            let any_l2 = self.pus.iter().any(|pu| pu.l3.is_none() && shared_l2(pu).is_some());
            let instead = if any_l2 { "L2 caches that cores share" } else { "packages" };
            self.notes.push(format!("{share} has an L3 cache; {instead} stand in for L3 groups."));
        }
        groups(&self.pus, |pu| pu.l3.or_else(|| shared_l2(pu)).or(pu.package))
    }

    fn cores(
        &mut self,
        package_of: &BTreeMap<u32, usize>,
        l3_of: &BTreeMap<u32, usize>,
        nodes: &[Node],
    ) -> Vec<Core> {
        let lonely = self.pus.iter().filter(|pu| pu.core.is_none()).count();
        if lonely > 0 {
            let which = if lonely == self.pus.len() { "every CPU" } else { "some CPUs" };
            self.notes.push(format!("No cores are known for {which}; each counts as a core."));
        }
        // A CPU without a core gets a number of its own, above any of hwloc's.
        let core_id = |pu: &Pu| Some(pu.core.unwrap_or(u64::MAX - u64::from(pu.cpu)));
        let (sets, _) = groups(&self.pus, core_id);
        let core = |cpus: CpuSet| {
            let first = cpus.first().expect("a group has members");
            let home = nodes.iter().find(|node| node.cpus.contains(first));
            Core {
                package: package_of[&first],
                node: home.or(nodes.first()).map_or(0, |node| node.number),
                l3_group: l3_of[&first],
                kind: self.kinds.of(first),
                cpus,
            }
        };
        sets.into_iter().map(core).collect()
    }
}

/// CPUs with the same key together, in the order of first appearance; those without a key form
/// one group. Also each CPU's group.
fn groups(pus: &[Pu], key: impl Fn(&Pu) -> Option<u64>) -> (Vec<CpuSet>, BTreeMap<u32, usize>) {
    let mut positions: BTreeMap<Option<u64>, usize> = BTreeMap::new();
    let mut sets: Vec<CpuSet> = Vec::new();
    let mut group_of = BTreeMap::new();
    for pu in pus {
        let position = *positions.entry(key(pu)).or_insert_with(|| {
            sets.push(CpuSet::empty());
            sets.len() - 1
        });
        sets[position].insert(pu.cpu);
        group_of.insert(pu.cpu, position);
    }
    (sets, group_of)
}

/// A finite set, whatever hwloc's is.
fn set(indexes: impl Iterator<Item = usize>) -> CpuSet {
    let believed = indexes.map(|i| u32::try_from(i).unwrap_or(u32::MAX));
    believed.take_while(|&i| i <= HIGHEST_INDEX).collect()
}

/// The NUMA nodes. hwloc counts to a memory-only node the CPUs around it; here each CPU is in one
/// node: the closest, that is the one with the fewest CPUs; then one with memory; then the first.
fn nodes(topology: &Topology, cpus: &CpuSet) -> Vec<Node> {
    let allowed = set(topology.allowed_nodeset().iter_set().map(usize::from));
    let mut near: BTreeMap<u32, CpuSet> = BTreeMap::new();
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for object in topology.objects_with_type(ObjectType::NUMANode) {
        let number = object.os_index().and_then(|index| u32::try_from(index).ok());
        let Some(number) = number.filter(|&number| number <= HIGHEST_INDEX) else { continue };
        let around = object.cpuset().map(|cpus| set(cpus.iter_set().map(usize::from)));
        near.insert(number, around.unwrap_or_default().intersection(cpus));
        let memory_bytes = match object.attributes() {
            Some(ObjectAttributes::NUMANode(node)) => {
                let bytes = node.local_memory().map_or(0, u64::from);
                if bytes <= MOST_NODE_BYTES { bytes } else { 0 }
            }
            _ => 0,
        };
        let allowed = allowed.contains(number);
        let cpus = CpuSet::empty();
        nodes.insert(number, Node { number, cpus, memory_bytes, allowed, distances: Vec::new() });
    }
    let mut closest: Vec<(usize, bool, u32)> = near
        .iter()
        .map(|(number, cpus)| (cpus.len(), nodes[number].memory_bytes == 0, *number))
        .collect();
    closest.sort_unstable();
    let mut homeless = cpus.clone();
    for (_, _, number) in closest {
        let home = near[&number].intersection(&homeless);
        homeless = homeless.difference(&home);
        nodes.get_mut(&number).expect("listed above").cpus = home;
    }
    let mut nodes: Vec<Node> = nodes.into_values().collect();
    set_distances(topology, &mut nodes);
    nodes
}

fn set_distances(topology: &Topology, nodes: &mut [Node]) {
    let kind = Some(DistancesKind::MEANS_LATENCY);
    let matrices = topology.distances_with_type(kind, ObjectType::NUMANode).unwrap_or_default();
    let Some(matrix) = matrices.first() else { return };
    let numbers: Vec<Option<usize>> =
        matrix.objects().map(|object| object.and_then(TopologyObject::os_index)).collect();
    let values = matrix.distances();
    let position = |number: u32| numbers.iter().position(|&n| n == Some(number as usize));
    let positions: Option<Vec<usize>> = nodes.iter().map(|node| position(node.number)).collect();
    let Some(positions) = positions else { return };
    let at = |from: usize, to: usize| values.get(from * numbers.len() + to).copied();
    // Old files scale their matrices otherwise; a node's distance to itself is 10 by definition.
    let unit = positions.iter().filter_map(|&p| at(p, p)).min().filter(|&unit| unit > 0);
    let Some(unit) = unit else { return };
    for (node, &from) in nodes.iter_mut().zip(&positions) {
        let scaled =
            |value: u64| u32::try_from(value.saturating_mul(10) / unit).unwrap_or(u32::MAX);
        let row: Option<Vec<u32>> = positions.iter().map(|&to| at(from, to).map(scaled)).collect();
        node.distances = row.unwrap_or_default();
    }
}

/// What hwloc notes of the whole machine and of its first package.
fn infos(topology: &Topology) -> BTreeMap<String, String> {
    let package = topology.objects_with_type(ObjectType::Package).next();
    let objects = package.into_iter().chain([topology.root_object()]);
    let infos = objects.flat_map(TopologyObject::infos);
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    infos.map(|info| (text(info.name()), text(info.value()))).collect()
}
