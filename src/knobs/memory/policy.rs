//! Memory policies of the kernel.

use std::collections::BTreeMap;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use crate::knobs::effect::Mismatch;
use crate::machine::{NodeSet, syscalls};

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

/// Pages that came before the policy (the program itself, its libraries) may lie elsewhere.
const STRAY_SHARE: f64 = 0.1;

/// Memory below this says nothing about a policy.
pub const TELLING_BYTES: u64 = 64 << 20;

impl MemoryPolicy {
    /// How the bytes on each node contradict it, if they do. Only policies that leave the kernel no
    /// way out are held against it: a preferred node may be full.
    pub fn contradicted(&self, what: &str, bytes: &BTreeMap<u32, u64>) -> Option<Mismatch> {
        let total: u64 = bytes.values().sum();
        if total < TELLING_BYTES {
            return None;
        }
        let percent = |bytes: u64| (bytes as f64 / total as f64 * 100.0).round();
        let wrong = |got: String| Some(Mismatch::new(what, self, got));
        match self {
            Self::Bind(nodes) => {
                let stray = bytes.iter().filter(|(node, _)| !nodes.contains(**node));
                let stray: u64 = stray.map(|(_, bytes)| bytes).sum();
                let is_wrong = stray as f64 > STRAY_SHARE * total as f64;
                is_wrong.then(|| wrong(format!("{}% elsewhere", percent(stray)))).flatten()
            }
            Self::Interleave(nodes) => {
                let on = |node: u32| bytes.get(&node).copied().unwrap_or(0);
                let even = total as f64 / nodes.len() as f64;
                let short = nodes.iter().find(|&node| (on(node) as f64) < even / 2.0)?;
                wrong(format!("only {}% on node {short}", percent(on(short))))
            }
            _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_elsewhere_contradict_a_binding_and_a_lopsided_spread_an_interleave() {
        let gib = |n: u64| n << 30;
        let both: NodeSet = [0, 1].into_iter().collect();
        let bound = MemoryPolicy::Bind([1].into_iter().collect());
        let interleaved = MemoryPolicy::Interleave(both);
        let even = [(0, gib(5)), (1, gib(5))].into();
        let lopsided = [(0, gib(1)), (1, gib(19))].into();
        let words = |policy: &MemoryPolicy, bytes: &BTreeMap<u32, u64>| {
            policy.contradicted("weights", bytes).map(|wrong| wrong.to_string())
        };
        assert_eq!(words(&interleaved, &even), None);
        assert_eq!(words(&bound, &lopsided), None);
        let stray = "weights: asked for bind 1, got 50% elsewhere";
        assert_eq!(words(&bound, &even).unwrap(), stray);
        let short = "weights: asked for interleave 0-1, got only 5% on node 0";
        assert_eq!(words(&interleaved, &lopsided).unwrap(), short);
        assert_eq!(words(&MemoryPolicy::Default, &lopsided), None);
        assert_eq!(words(&bound, &[(0, 4096)].into()), None);
    }
}
