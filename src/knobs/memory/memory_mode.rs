//! `memory_mode`: named rules that give a process its memory policies.

use strum::VariantArray;

use super::policy::MemoryPolicy;
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::form::{INDEX, VariableForm};
use crate::knobs::knob::words;
use crate::knobs::placement::Placement;
use crate::knobs::{Host, Knob, Knobs, Migration, Preset, PresetTarget, Settings, Variable};
use crate::machine::{Machine, NodeSet};

words! {
    /// A named rule that gives a process its policies.
    pub enum MemoryMode {
        /// The kernel's default everywhere.
        #[default]
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
        Self::VARIANTS.iter().copied().filter(|mode| mode.exists(machine)).collect()
    }

    fn exists(self, machine: &Machine) -> bool {
        placements(machine).iter().any(|place| self.policies(machine, place).is_some())
    }

    /// Why the machine has no such mode.
    pub fn refusal(self, machine: &Machine) -> String {
        let reason = machine.refused_modes.get::<str>(self.into());
        reason.map_or("this machine has no such mode", String::as_str).to_owned()
    }

    /// What comes nearest to it, best first; the default is the last resort.
    fn nearest(self) -> impl Iterator<Item = Self> {
        let nearer = (self == Self::WeightedInterleave).then_some(Self::Interleave);
        nearer.into_iter().chain([Self::Default])
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

const PREFERRED: &str = "NUMA_PREFERRED_NODE";
const INTERLEAVED: &str = "NUMA_INTERLEAVE_NODES";

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = MemoryMode;

    fn baseline(fit: PresetTarget) -> MemoryMode {
        match fit.preset {
            Some(Preset::Threadripper5995wx) => MemoryMode::Baseline,
            _ => MemoryMode::Default,
        }
    }

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let mode = knobs.memory_mode;
        (!mode.exists(host.machine)).then(|| mode.refusal(host.machine))
    }

    /// The WAN22 optimizer's, beside its policies.
    fn variables_on(&self, knobs: &Knobs, _: &Placement, machine: &Machine) -> Vec<Variable> {
        let mode = knobs.memory_mode;
        let is_refused = machine.refused_modes.contains_key::<str>(mode.into());
        if mode != MemoryMode::Baseline || is_refused {
            return Vec::new();
        }
        let nodes: Vec<String> = machine.memory_nodes().iter().map(|n| n.to_string()).collect();
        let first = nodes.first().map(|first| (PREFERRED, first.clone()));
        let all = (nodes.len() > 1).then(|| (INTERLEAVED, nodes.join(",")));
        first.into_iter().chain(all).collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        vec![
            VariableForm::of_the_machine(PREFERRED, INDEX),
            VariableForm::of_the_machine(INTERLEAVED, format!("{INDEX}(,{INDEX})*")),
        ]
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        // A container that forbids to read a policy forbids to set one: it is the default.
        let policy = got.memory.as_ref().unwrap_or(&MemoryPolicy::Default);
        let wrong = (*policy != asked.memory).then(|| {
            let got = got.memory.as_ref().map_or("not readable".to_owned(), ToString::to_string);
            Mismatch::new("memory policy", &asked.memory, got)
        });
        let mut found: Vec<Mismatch> = wrong.into_iter().collect();
        found.extend(self.foreign_mismatches(got, asked));
        found.extend(asked.weights_memory.contradicted("weights", &got.weights_bytes));
        found
    }

    fn foreign_mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let wrong = asked.memory.contradicted("anonymous memory", &got.anonymous_bytes);
        wrong.into_iter().collect()
    }

    fn rests_on(&self) -> &'static [&'static str] {
        &["affinity"]
    }

    fn adapt(&self, knobs: &mut Knobs, to: &Migration<'_>) -> Option<String> {
        let machine = to.here.machine;
        let place = knobs.placement(machine).ok()?;
        let exists = |mode: &MemoryMode| mode.policies(machine, &place).is_some();
        if exists(&knobs.memory_mode) {
            return None;
        }
        knobs.memory_mode = knobs.memory_mode.nearest().find(exists)?;
        Some("this machine has no such mode".to_owned())
    }
}
