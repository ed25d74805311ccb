//! A machine drawn for a terminal, in the manner of lstopo.

use std::fmt::Write;

use crate::io::number::count;
use crate::machine::{Core, CoreKind, CpuSet, Machine, MachineSource, Node};

/// Where the cores of a group take a longer line than this, all groups are summed up.
const WIDEST: usize = 108;

/// What a description without a model says.
pub(super) const UNKNOWN: &str = "unknown";

/// Above this many L3 groups each node gets one line.
const MOST_GROUPS: usize = 32;

impl Machine {
    /// The topology with what this process may use of it, as lines of text.
    pub fn picture(&self) -> String {
        let mut text = self.heading();
        for number in 0..self.packages.len() {
            self.draw_package(&mut text, number);
        }
        for node in self.nodes.iter().filter(|node| node.cpus.is_empty()) {
            let _ = writeln!(text, "{}, no CPUs", self.node_line(node));
        }
        text.push_str(&self.legend());
        text.push_str(&self.allowance());
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }

    fn heading(&self) -> String {
        let cpus: usize = self.cores.iter().map(|core| core.cpus.len()).sum();
        let mut text = match self.cpu.model.as_str() {
            UNKNOWN => String::new(),
            model if self.cpu.architecture == UNKNOWN => format!("{model}\n"),
            model => format!("{model} ({})\n", self.cpu.architecture),
        };
        let parts = [
            count(self.packages.len(), "package"),
            count(self.nodes.len(), "NUMA node"),
            count(self.l3_groups.len(), "L3 group"),
            count(self.cores.len(), "core"),
            count(cpus, "CPU"),
            size(self.memory_bytes),
        ];
        let _ = writeln!(text, "{}", parts.join(", "));
        if !self.cpu.isa.is_empty() {
            let _ = writeln!(text, "{}", self.cpu.isa.join(" "));
        }
        for gpu in &self.gpus {
            let memory = size(gpu.memory_bytes);
            let _ = write!(text, "GPU {}, {memory}, driver {}", gpu.model, gpu.driver);
            let near = gpu.numa_node.filter(|_| self.nodes.len() > 1);
            let near = near.map(|node| format!(", near NUMA node {node}")).unwrap_or_default();
            let _ = writeln!(text, "{near}");
        }
        text.push('\n');
        text
    }

    fn draw_package(&self, text: &mut String, number: usize) {
        let _ = writeln!(text, "Package {number}");
        let mut homeless = self.packages[number].clone();
        for node in self.nodes.iter().filter(|node| !node.cpus.is_disjoint(&self.packages[number]))
        {
            let here = node.cpus.intersection(&homeless);
            homeless = homeless.difference(&here);
            let _ = writeln!(text, "  {}", self.node_line(node));
            self.draw_groups(text, &here);
        }
        if !homeless.is_empty() {
            let _ = writeln!(text, "  On no node");
            self.draw_groups(text, &homeless);
        }
    }

    fn draw_groups(&self, text: &mut String, here: &CpuSet) {
        if self.l3_groups.len() > MOST_GROUPS {
            let _ = writeln!(text, "    {}", self.summed_up(here));
            return;
        }
        for (l3, group) in self.l3_groups.iter().enumerate() {
            let inside = group.intersection(here);
            if !inside.is_empty() {
                let _ = writeln!(text, "    {}", self.l3_line(l3, &inside));
            }
        }
    }

    fn node_line(&self, node: &Node) -> String {
        let mut line = format!("Node {}: ", node.number);
        line += &match node.memory_bytes {
            0 if self.memory_bytes > 0 => "no memory".to_owned(),
            bytes => size(bytes),
        };
        if !node.allowed {
            line += " (not allowed)";
        }
        if node.distances.len() > 1 {
            let distances: Vec<String> = node.distances.iter().map(u32::to_string).collect();
            let _ = write!(line, ", distances {}", distances.join(" "));
        }
        line
    }

    fn l3_line(&self, number: usize, cpus: &CpuSet) -> String {
        let cores: Vec<&Core> = self.cores_in(cpus).collect();
        let size = if self.l3_bytes > 0 { format!(" {}", size(self.l3_bytes)) } else { "".into() };
        if self.is_wide() {
            return format!("L3 {number}{size}: {}", self.cores_summed_up(&cores));
        }
        let cells: Vec<String> = cores.iter().map(|core| self.core_cell(core)).collect();
        format!("L3 {number}{size}: {}", cells.join(" "))
    }

    /// Whether single cores take too much room.
    fn is_wide(&self) -> bool {
        let width = |group: &CpuSet| -> usize {
            self.cores_in(group).map(|core| self.core_cell(core).len() + 1).sum()
        };
        let many = self.l3_groups.len() > MOST_GROUPS;
        many || self.l3_groups.iter().any(|group| width(group) > WIDEST)
    }

    /// `0+64` with siblings, `(3)` where it is not allowed, `e16` where it is an efficiency core.
    fn core_cell(&self, core: &Core) -> String {
        let cpu = |cpu: u32| {
            if self.allowed.contains(cpu) { cpu.to_string() } else { format!("({cpu})") }
        };
        let siblings: Vec<String> = core.cpus.iter().map(cpu).collect();
        let kind = if core.kind == CoreKind::Efficiency { "e" } else { "" };
        format!("{kind}{}", siblings.join("+"))
    }

    fn summed_up(&self, cpus: &CpuSet) -> String {
        let groups = self.l3_groups.iter().filter(|group| !group.is_disjoint(cpus)).count();
        let cores: Vec<&Core> = self.cores_in(cpus).collect();
        format!("{}: {}", count(groups, "L3 group"), self.cores_summed_up(&cores))
    }

    fn cores_summed_up(&self, cores: &[&Core]) -> String {
        let efficiency = cores.iter().filter(|core| core.kind == CoreKind::Efficiency).count();
        let all: CpuSet = cores.iter().flat_map(|core| core.cpus.iter()).collect();
        let mut line = format!("{}, CPUs {all}", count(cores.len(), "core"));
        if efficiency > 0 {
            let _ = write!(line, ", {efficiency} of them efficient");
        }
        let denied = all.difference(&self.allowed);
        if !denied.is_empty() {
            let _ = write!(line, ", not allowed {denied}");
        }
        line
    }

    fn cores_in<'a>(&'a self, cpus: &'a CpuSet) -> impl Iterator<Item = &'a Core> {
        self.cores.iter().filter(|core| core.cpus.first().is_some_and(|cpu| cpus.contains(cpu)))
    }

    fn legend(&self) -> String {
        if self.is_wide() {
            return "\n".to_owned();
        }
        let mut signs = Vec::new();
        if self.cores.iter().any(|core| core.cpus.len() > 1) {
            signs.push("a+b siblings of one core");
        }
        if self.cores.iter().any(|core| core.kind == CoreKind::Efficiency) {
            signs.push("e an efficiency core");
        }
        if self.cores.iter().any(|core| !core.cpus.is_subset(&self.allowed)) {
            signs.push("(c) not allowed");
        }
        if signs.is_empty() { "\n".to_owned() } else { format!("  [{}]\n\n", signs.join(", ")) }
    }

    fn allowance(&self) -> String {
        let whose =
            if self.source == MachineSource::Live { "This process may use" } else { "Plan for" };
        let (cores, cpus) = (self.core_count(), self.allowed.len());
        let cpus = count(cpus, "CPU");
        let mut text = format!("{whose} {cpus} of {}: {}", count(cores, "core"), self.allowed);
        if let Some(quota) = self.limits.cpu_quota {
            let _ = write!(text, "; a quota of {quota} CPUs' time");
        }
        if let Some(bytes) = self.limits.memory_bytes {
            let _ = write!(text, "; at most {} of memory", size(bytes));
        }
        text.push('\n');
        text
    }
}

/// Bytes in the largest binary unit that keeps at least two digits or is whole.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    if bytes == 0 {
        return "unknown memory".to_owned();
    }
    let fits =
        |&&(shift, _): &&(u32, &str)| bytes >> shift >= 10 || bytes.trailing_zeros() >= shift;
    let (shift, unit) = UNITS.iter().find(fits).unwrap_or(&(10, "KiB"));
    format!("{:.0} {unit}", bytes as f64 / (1_u64 << shift) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_easily() {
        let sizes = [32 << 20, 256 << 30, 1 << 40, 25_275_047_936, 36_000_000];
        assert_eq!(sizes.map(size), ["32 MiB", "256 GiB", "1 TiB", "24 GiB", "34 MiB"]);
    }

    #[test]
    fn a_small_machine_is_drawn_core_by_core() {
        let text = "package:1 [numa(memory=8GiB)] l3:2(size=16MiB) core:2 pu:2(indexes=2*4:4*1)";
        let mut machine = Machine::synthetic(text);
        machine.allowed = "0-3,5".parse().unwrap();
        machine.cores[3].kind = CoreKind::Efficiency;
        machine.limits.cpu_quota = Some(1.5);
        insta::assert_snapshot!(machine.picture());
    }

    #[test]
    fn a_large_machine_is_summed_up() {
        let text = "[numa(memory=64GiB)] package:4 [numa(memory=512GiB)] l3:16 core:8 pu:2";
        insta::assert_snapshot!(Machine::synthetic(text).picture());
    }

    #[test]
    fn clusters_share_an_l3() {
        let text = "package:2 l3:1(size=48MiB) group:2 [numa(memory=64GiB)] core:16 pu:2";
        insta::assert_snapshot!(Machine::synthetic(text).picture());
    }
}
