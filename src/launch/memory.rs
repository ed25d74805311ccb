//! Memory modes and the kernel's memory policies.

use serde::{Deserialize, Serialize};

use crate::machine::{Machine, NodeSet};

/// One kernel memory policy (`set_mempolicy(2)`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// A named rule that gives a process its policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryMode {
    /// The kernel's default everywhere.
    Default,
    /// The WAN22 optimizer's pair: weights interleaved, the rest preferred on the first node.
    Baseline,
}

impl MemoryMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Default, Self::Baseline];

    /// The word in files and columns.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Baseline => "baseline",
        }
    }

    /// The policies `(weights, rest)` for threads on `nodes`, or `None` where the machine has
    /// too few nodes for the mode to differ from the default.
    pub fn policies(
        self,
        _machine: &Machine,
        _placement: &super::Placement,
    ) -> Option<(MemoryPolicy, MemoryPolicy)> {
        Some((MemoryPolicy::Default, MemoryPolicy::Default))
    }
}

impl std::fmt::Display for MemoryMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
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
}

impl MemoryPolicy {
    /// STUB
    pub fn apply(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Display for MemoryPolicy {
    /// `default`, or the policy and its nodes: `interleave 0-1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Bind(nodes) => write!(f, "bind {nodes}"),
            Self::Preferred(nodes) => write!(f, "preferred {nodes}"),
            Self::Interleave(nodes) => write!(f, "interleave {nodes}"),
            Self::WeightedInterleave(nodes) => write!(f, "weighted-interleave {nodes}"),
        }
    }
}
