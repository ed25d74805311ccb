//! Fingerprint: whether a result that was found on one machine means anything on another.

use serde::{Deserialize, Serialize};

use super::roots::{SystemRoots, line};
use super::{CoreKind, CpuSet, Machine};
use crate::io::digest::digest;

/// Two digests that tell machines apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fingerprint {
    /// The same for machines on which the same settings mean the same.
    pub shape: String,
    /// The same for this very machine only.
    pub identity: String,
}

/// How much two machines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
pub enum MachineMatch {
    /// The very same machine.
    #[strum(to_string = "same machine")]
    Same,
    /// Another machine on which the same settings mean the same.
    #[strum(to_string = "same shape")]
    SameShape,
    /// Settings of the one mean nothing on the other.
    #[strum(to_string = "different")]
    Different,
}

impl Fingerprint {
    /// Compares two machines.
    pub fn compare(&self, other: &Self) -> MachineMatch {
        if self.shape != other.shape {
            MachineMatch::Different
        } else if self.identity == other.identity {
            MachineMatch::Same
        } else {
            MachineMatch::SameShape
        }
    }
}

/// What of the hardware decides which settings are fast: not the limits, which belong to the class
/// and are checked when settings are applied, and not the kernel or host, which change without
/// changing them.
#[derive(Serialize)]
struct Shape<'a> {
    model: &'a str,
    architecture: &'a str,
    isa: &'a [String],
    packages: &'a [CpuSet],
    nodes: Vec<(u32, &'a CpuSet)>,
    l3_groups: &'a [CpuSet],
    l3_bytes: u64,
    cores: Vec<(&'a CpuSet, CoreKind)>,
    memory_quarter_octaves: u64,
}

impl Machine {
    /// The machine's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        let shape = self.shape();
        // Machines that were cloned from one image have one machine-id, but names of their own.
        let identity = digest(format!("{shape} {} {}", self.host_key, self.host));
        Fingerprint { shape, identity }
    }

    /// The identity as it was before the host's name belonged to it: profiles of that time carry it.
    pub fn former_identity(&self) -> String {
        digest(format!("{} {}", self.shape(), self.host_key))
    }

    fn shape(&self) -> String {
        let shape = Shape {
            model: &self.cpu.model,
            architecture: &self.cpu.architecture,
            isa: &self.cpu.isa,
            packages: &self.packages,
            nodes: self.nodes.iter().map(|node| (node.number, &node.cpus)).collect(),
            l3_groups: &self.l3_groups,
            l3_bytes: self.l3_bytes,
            cores: self.cores.iter().map(|core| (&core.cpus, core.kind)).collect(),
            memory_quarter_octaves: quarter_octaves(self.memory_bytes),
        };
        digest(serde_json::to_string(&shape).expect("a shape is plain data"))
    }
}

/// Kernels reserve a little more or less of the same memory: rounded to steps of 19%.
fn quarter_octaves(bytes: u64) -> u64 {
    (4.0 * (bytes.max(1) as f64).log2()).round() as u64
}

/// A key of this host that does not give its name away.
pub fn host_key(roots: &SystemRoots) -> String {
    let id = line(&roots.etc.join("machine-id"));
    let name = || line(&roots.proc.join("sys/kernel/hostname"));
    id.or_else(name).map_or_else(String::new, |id| digest(format!("wan22-tune {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_NODES: &str = "package:2 [numa(memory=8GB)] core:4 pu:2";

    #[test]
    fn a_fingerprint_follows_what_decides_settings_and_the_host() {
        let mut machine = Machine::synthetic(TWO_NODES);
        let first = machine.fingerprint();
        machine.memory_bytes -= 100 << 20;
        machine.kernel = "another".to_owned();
        assert_eq!(first.compare(&machine.fingerprint()), MachineMatch::Same);
        let key = std::mem::replace(&mut machine.host_key, "elsewhere".to_owned());
        assert_eq!(first.compare(&machine.fingerprint()), MachineMatch::SameShape);
        machine.host_key = key;
        assert_eq!(first.compare(&machine.fingerprint()), MachineMatch::Same);
        machine.host = "clone".to_owned();
        assert_eq!(first.compare(&machine.fingerprint()), MachineMatch::SameShape);
        machine.cpu.isa.push("avx2".to_owned());
        assert_eq!(first.compare(&machine.fingerprint()), MachineMatch::Different);
    }

    #[test]
    fn another_topology_is_another_shape() {
        let shape = |text: &str| Machine::synthetic(text).fingerprint().shape;
        assert_ne!(shape(TWO_NODES), shape("package:2 [numa(memory=8GB)] core:8 pu:1"));
        assert_ne!(shape(TWO_NODES), shape("package:1 [numa(memory=16GB)] core:8 pu:2"));
        assert_eq!(shape(TWO_NODES), shape(TWO_NODES));
    }
}
