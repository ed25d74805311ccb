//! NUMA nodes without hwloc: from sysfs, else from `numactl`.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::machine::roots::{SystemRoots, field, line};
use crate::machine::{CpuSet, Node, NodeSet};

/// The nodes under `/sys/devices/system/node`, ascending; `None` where the kernel shows none.
pub fn from_sysfs(roots: &SystemRoots) -> Option<Vec<Node>> {
    let folder = roots.sys.join("devices/system/node");
    let online: NodeSet = line(&folder.join("online"))?.parse().ok()?;
    let nodes: Vec<Node> = online.iter().filter_map(|number| sysfs_node(roots, number)).collect();
    (!nodes.is_empty()).then_some(nodes)
}

fn sysfs_node(roots: &SystemRoots, number: u32) -> Option<Node> {
    let folder = roots.sys.join(format!("devices/system/node/node{number}"));
    let memory = line(&folder.join("meminfo")).unwrap_or_default();
    let total = field(&memory, &format!("Node {number} MemTotal"));
    Some(Node {
        number,
        cpus: sysfs_cpus(roots, number)?,
        memory_bytes: total.and_then(|text| kibibytes(&text)).unwrap_or(0),
        allowed: true,
        distances: numbers(&line(&folder.join("distance")).unwrap_or_default()),
    })
}

/// The CPUs that the kernel counts to a node; empty for a memory-only node.
pub fn sysfs_cpus(roots: &SystemRoots, number: u32) -> Option<CpuSet> {
    let path = roots.sys.join(format!("devices/system/node/node{number}/cpulist"));
    // `line` takes an empty file for none, but here empty is an answer.
    std::fs::read_to_string(path).ok()?.parse().ok()
}

/// Bytes from `1234 kB`.
pub fn kibibytes(text: &str) -> Option<u64> {
    text.trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The nodes that `numactl --hardware` prints.
pub fn from_numactl() -> Option<Vec<Node>> {
    let output =
        Command::new("numactl").arg("--hardware").stdin(Stdio::null()).output().ok()?.stdout;
    parse_numactl(&String::from_utf8_lossy(&output))
}

fn parse_numactl(text: &str) -> Option<Vec<Node>> {
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let words: Vec<&str> = key.split_whitespace().collect();
        match words[..] {
            ["node", number, "cpus"] => {
                let number = number.parse().ok()?;
                let node = nodes.entry(number).or_insert_with(|| empty(number));
                node.cpus = numbers(value).into_iter().collect();
            }
            ["node", number, "size"] => {
                let number = number.parse().ok()?;
                let node = nodes.entry(number).or_insert_with(|| empty(number));
                node.memory_bytes = numbers(value).first().map_or(0, |&mb| u64::from(mb) << 20);
            }
            [number] => {
                let node = number.parse().ok().and_then(|number: u32| nodes.get_mut(&number));
                if let Some(node) = node {
                    node.distances = numbers(value);
                }
            }
            _ => {}
        }
    }
    (!nodes.is_empty()).then(|| nodes.into_values().collect())
}

fn empty(number: u32) -> Node {
    Node { number, cpus: CpuSet::empty(), memory_bytes: 0, allowed: true, distances: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numactl_is_read_with_a_memory_only_node() {
        let text = "available: 2 nodes (0,2)\nnode 0 cpus: 0 1 2 3\nnode 0 size: 1024 MB\n\
             node 0 free: 9 MB\nnode 2 cpus:\nnode 2 size: 2048 MB\nnode 2 free: 1 MB\n\
             node distances:\nnode   0   2 \n  0:  10  20 \n  2:  20  10 \n";
        let nodes = parse_numactl(text).unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0].cpus.to_string(), "0-3");
        assert_eq!((nodes[1].number, nodes[1].memory_bytes), (2, 2 << 30));
        assert!(nodes[1].cpus.is_empty());
        assert_eq!(nodes[1].distances, [20, 10]);
        assert_eq!(parse_numactl("No NUMA available on this system\n"), None);
    }

    #[test]
    fn sysfs_is_read_with_a_memory_only_node() {
        let file = |name: &str| format!("sys/devices/system/node/{name}");
        let mut files = vec![(file("online"), "0,3\n".to_owned())];
        for (node, cpus, kib, distance) in [(0, "0-1\n", 8, "10 17\n"), (3, "\n", 4, "17 10\n")] {
            let file = |name: &str| file(&format!("node{node}/{name}"));
            let meminfo = format!("Node {node} MemTotal:  {kib} kB\nNode {node} MemFree: 1 kB\n");
            files.push((file("cpulist"), cpus.to_owned()));
            files.push((file("distance"), distance.to_owned()));
            files.push((file("meminfo"), meminfo));
        }
        let (_tree, roots) = SystemRoots::of_files(&files);
        let nodes = from_sysfs(&roots).unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!((nodes[0].cpus.to_string().as_str(), nodes[0].memory_bytes), ("0-1", 8192));
        assert_eq!((nodes[1].number, nodes[1].cpus.is_empty()), (3, true));
        assert_eq!(nodes[1].distances, [17, 10]);
    }
}
