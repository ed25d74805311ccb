//! Memory modes and the kernel's memory policies.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::affinity::Placement;
use crate::machine::syscalls;
use crate::machine::{Machine, NodeSet};

/// One kernel memory policy (`set_mempolicy(2)`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "policy", content = "nodes", rename_all = "kebab-case")]
pub enum MemoryPolicy {
    /// The node of the CPU that touches a page first.
    #[default]
    Default,
    /// These nodes only.
    Bind(NodeSet),
    /// This node while it has room.
    Preferred(NodeSet),
    /// Pages in turn over these nodes.
    Interleave(NodeSet),
    /// Pages over these nodes in proportion to their bandwidth.
    WeightedInterleave(NodeSet),
}

/// Linux's numbers (`linux/mempolicy.h`); libc lacks the newer ones.
mod mode {
    pub const DEFAULT: i32 = 0;
    pub const PREFERRED: i32 = 1;
    pub const BIND: i32 = 2;
    pub const INTERLEAVE: i32 = 3;
    pub const LOCAL: i32 = 4;
    pub const PREFERRED_MANY: i32 = 5;
    pub const WEIGHTED_INTERLEAVE: i32 = 6;
    /// The bits above are flags.
    pub const MASK: i32 = 0xff;
}

impl MemoryPolicy {
    /// The nodes that it names.
    pub fn nodes(&self) -> Option<&NodeSet> {
        match self {
            Self::Default => None,
            Self::Bind(nodes)
            | Self::Preferred(nodes)
            | Self::Interleave(nodes)
            | Self::WeightedInterleave(nodes) => Some(nodes),
        }
    }

    /// The kernel's number for it.
    pub fn mode(&self) -> i32 {
        match self {
            Self::Default => mode::DEFAULT,
            Self::Bind(_) => mode::BIND,
            Self::Preferred(nodes) if nodes.len() == 1 => mode::PREFERRED,
            Self::Preferred(_) => mode::PREFERRED_MANY,
            Self::Interleave(_) => mode::INTERLEAVE,
            Self::WeightedInterleave(_) => mode::WEIGHTED_INTERLEAVE,
        }
    }

    /// Makes it the policy of the calling thread and of whatever that starts from now on.
    ///
    /// # Errors
    /// The kernel's refusal: EPERM in a container without SYS_NICE, EINVAL for a node that is
    /// absent or a mode that the kernel lacks. Success is no proof: nodes that don't exist are
    /// dropped from a set silently; [`MemoryPolicy::read`] tells. The default can't fail where
    /// policies are forbidden or the kernel has none: nothing else can hold there.
    pub fn apply(&self) -> io::Result<()> {
        let mode = self.mode();
        match self.nodes() {
            None => match syscalls::set_policy(mode, &NodeSet::empty()) {
                Err(error) if is_out_of_reach(&error) => Ok(()),
                set => set,
            },
            // The kernel takes "preferred, no node" for the default.
            Some(nodes) if nodes.is_empty() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a memory policy without nodes"))
            }
            Some(nodes) => syscalls::set_policy(mode, nodes),
        }
    }

    /// The calling thread's policy.
    ///
    /// # Errors
    /// The kernel's refusal, or a mode that is none of these.
    pub fn read() -> io::Result<Self> {
        let (mode, nodes) = syscalls::policy()?;
        match mode & mode::MASK {
            mode::DEFAULT | mode::LOCAL => Ok(Self::Default),
            mode::BIND => Ok(Self::Bind(nodes)),
            mode::PREFERRED | mode::PREFERRED_MANY => Ok(Self::Preferred(nodes)),
            mode::INTERLEAVE => Ok(Self::Interleave(nodes)),
            mode::WEIGHTED_INTERLEAVE => Ok(Self::WeightedInterleave(nodes)),
            other => Err(io::Error::other(format!("memory policy mode {other} is unknown"))),
        }
    }
}

/// A container that forbids the call, or a kernel without NUMA.
fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

impl fmt::Display for MemoryPolicy {
    /// `default`, or the policy and its nodes: `interleave 0-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Bind(nodes) => write!(f, "bind {nodes}"),
            Self::Preferred(nodes) => write!(f, "preferred {nodes}"),
            Self::Interleave(nodes) => write!(f, "interleave {nodes}"),
            Self::WeightedInterleave(nodes) => write!(f, "weighted-interleave {nodes}"),
        }
    }
}

/// A named rule that gives a process its policies.
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
pub enum MemoryMode {
    /// The kernel's default everywhere.
    Default,
    /// The WAN22 optimizer's pair: weights interleaved, the rest preferred on the first node.
    Baseline,
    /// Only the nodes of the CPUs that the process has.
    Bind,
    /// The first node of those CPUs while it has room.
    Preferred,
    /// Pages in turn over the nodes of those CPUs.
    Interleave,
    /// Pages over the nodes of those CPUs and the memory-only ones, by bandwidth (Linux 6.9).
    WeightedInterleave,
}

impl MemoryMode {
    /// The policies `(weights, rest)` for threads on the placement's CPUs, or `None` where the
    /// mode could not differ from the default: one node to choose from, or a kernel without it.
    ///
    /// The default always exists, and so does the baseline, which comes to the default where
    /// there is one node or its policies don't work.
    pub fn policies(
        self,
        machine: &Machine,
        placement: &Placement,
    ) -> Option<(MemoryPolicy, MemoryPolicy)> {
        let all = machine.memory_nodes();
        let near = near(machine, placement);
        let both = |policy: MemoryPolicy| Some((policy.clone(), policy));
        let first = |nodes: &NodeSet| MemoryPolicy::Preferred(nodes.first().into_iter().collect());
        let refused = machine.refused_modes.contains_key::<str>(self.into());
        match self {
            Self::Default => both(MemoryPolicy::Default),
            Self::Baseline if refused => both(MemoryPolicy::Default),
            _ if refused => None,
            Self::Baseline if all.len() < 2 => both(MemoryPolicy::Default),
            Self::Baseline => Some((MemoryPolicy::Interleave(all.clone()), first(&all))),
            Self::Bind if near.len() < all.len() => both(MemoryPolicy::Bind(near)),
            // On one node this is what the default does anyway.
            Self::Preferred if near.len() > 1 => both(first(&near)),
            Self::Interleave if near.len() > 1 => both(MemoryPolicy::Interleave(near)),
            Self::WeightedInterleave if weights_exist(machine) => {
                let nodes = near.union(&memory_only(machine));
                (nodes.len() > 1).then(|| both(MemoryPolicy::WeightedInterleave(nodes))).flatten()
            }
            _ => None,
        }
    }

    /// The modes that this machine can have under some layout.
    pub fn of(machine: &Machine) -> Vec<Self> {
        let places = placements(machine);
        let exists = |mode: &Self| places.iter().any(|p| mode.policies(machine, p).is_some());
        Self::VARIANTS.iter().copied().filter(exists).collect()
    }

    /// The policies that the mode comes to on the whole machine and on each node.
    pub fn variants(self, machine: &Machine) -> Vec<MemoryPolicy> {
        let places = placements(machine);
        let pairs = places.iter().filter_map(|place| self.policies(machine, place));
        let mut variants: Vec<MemoryPolicy> = Vec::new();
        for policy in pairs.flat_map(|(weights, rest)| [weights, rest]) {
            if !variants.contains(&policy) {
                variants.push(policy);
            }
        }
        variants
    }
}

/// Everybody on the whole machine, and everybody on each node.
fn placements(machine: &Machine) -> Vec<Placement> {
    let on_nodes = machine.nodes.iter().map(|node| node.cpus.intersection(&machine.allowed));
    let sets = [machine.allowed.clone()].into_iter().chain(on_nodes);
    sets.filter(|cpus| !cpus.is_empty()).map(Placement::shared).collect()
}

/// The nodes with memory that have CPUs of the placement; all where those have no memory.
fn near(machine: &Machine, placement: &Placement) -> NodeSet {
    let touches = |node: &&crate::machine::Node| !node.cpus.is_disjoint(&placement.process);
    let near: NodeSet = machine.nodes.iter().filter(touches).map(|node| node.number).collect();
    let near = near.intersection(&machine.memory_nodes());
    if near.is_empty() { machine.memory_nodes() } else { near }
}

fn memory_only(machine: &Machine) -> NodeSet {
    let empty = machine.nodes.iter().filter(|node| node.cpus.is_empty()).map(|node| node.number);
    empty.collect::<NodeSet>().intersection(&machine.memory_nodes())
}

/// Weighted interleaving came with Linux 6.9.
fn weights_exist(machine: &Machine) -> bool {
    let mut numbers = machine.kernel.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    (number(), number()) >= (6, 9)
}
