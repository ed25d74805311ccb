//! Page placement: on which nodes pages lie, and whether a policy put them there.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::knobs::memory::MemoryPolicy;
use crate::machine::NodeSet;
use crate::machine::syscalls;

/// Bytes by node.
pub type PagePlacement = BTreeMap<u32, u64>;

/// Pages looked at in each range; more would take longer and say the same.
const MOST_PAGES: usize = 4096;

/// Pages that came before the policy (the program itself, its libraries) may lie elsewhere.
const STRAY_SHARE: f64 = 0.1;

/// Memory below this says nothing about a policy.
pub(super) const LEAST_BYTES: u64 = 64 << 20;

/// Where the memory at these addresses lies, estimated from pages evenly spread over each range;
/// pages that are not resident don't count.
///
/// # Errors
/// The kernel does not tell (no NUMA, or a container that forbids `move_pages`).
pub fn of(ranges: &[Range<usize>]) -> std::io::Result<PagePlacement> {
    let page = syscalls::page_bytes();
    let mut placement = PagePlacement::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let pages = range.len().div_ceil(page);
        let looks = pages.min(MOST_PAGES);
        let first = range.start / page * page;
        let addresses: Vec<usize> = (0..looks).map(|i| first + i * pages / looks * page).collect();
        for node in syscalls::page_nodes(&addresses)?.into_iter().flatten() {
            *placement.entry(node).or_default() += (range.len() / looks) as u64;
        }
    }
    Ok(placement)
}

/// Anonymous bytes by node, from `/proc/PID/numa_maps`.
pub(super) fn anonymous(numa_maps: &str) -> PagePlacement {
    let mut placement = PagePlacement::new();
    for line in numa_maps.lines().filter(|line| line.contains(" anon=")) {
        let value = |key: &str| {
            line.split(' ').find_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
        };
        let page_bytes = value("kernelpagesize_kB=").unwrap_or(4) << 10;
        let on_node = |word: &str| {
            let (node, pages) = word.strip_prefix('N')?.split_once('=')?;
            Some((node.parse::<u32>().ok()?, pages.parse::<u64>().ok()?))
        };
        for (node, pages) in line.split(' ').filter_map(on_node) {
            *placement.entry(node).or_default() += pages * page_bytes;
        }
    }
    placement
}

/// How `placement` contradicts `policy`, if it does. Only policies that leave the kernel no way
/// out are held against it: a preferred node may be full.
pub(super) fn mismatch(policy: &MemoryPolicy, placement: &PagePlacement) -> Option<String> {
    let total: u64 = placement.values().sum();
    if total < LEAST_BYTES {
        return None;
    }
    let share = |bytes: u64| bytes as f64 / total as f64;
    let outside = |nodes: &NodeSet| {
        let stray = placement.iter().filter(|(node, _)| !nodes.contains(**node));
        share(stray.map(|(_, bytes)| bytes).sum())
    };
    let percent = |share: f64| (share * 100.0).round();
    match policy {
        MemoryPolicy::Bind(nodes) => {
            let stray = outside(nodes);
            (stray > STRAY_SHARE)
                .then(|| format!("asked for {policy}, {}% is elsewhere", percent(stray)))
        }
        MemoryPolicy::Interleave(nodes) => {
            let on = |node: u32| share(placement.get(&node).copied().unwrap_or(0));
            let even = 1.0 / nodes.len() as f64;
            let short = nodes.iter().find(|&node| on(node) < even / 2.0)?;
            let has = percent(on(short));
            Some(format!("asked for {policy}, node {short} has only {has}%"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_pages_are_counted_by_node_in_their_own_size() {
        let maps = "5000 default file=/bin/head mapped=2 N0=2 kernelpagesize_kB=4\n\
             6000 interleave:0-1 anon=300 dirty=300 N0=100 N1=200 kernelpagesize_kB=4\n\
             7000 default heap anon=1 dirty=1 N1=1 kernelpagesize_kB=2048\n";
        let placement = anonymous(maps);
        assert_eq!(placement, [(0, 100 * 4096), (1, 200 * 4096 + (2 << 20))].into());
    }

    #[test]
    fn pages_elsewhere_contradict_a_binding_and_a_lopsided_spread_an_interleave() {
        let gib = |n: u64| n << 30;
        let both: NodeSet = [0, 1].into_iter().collect();
        let bound = MemoryPolicy::Bind([1].into_iter().collect());
        let interleaved = MemoryPolicy::Interleave(both);
        let even = [(0, gib(5)), (1, gib(5))].into();
        let lopsided = [(0, gib(1)), (1, gib(19))].into();
        assert_eq!(mismatch(&interleaved, &even), None);
        assert_eq!(mismatch(&bound, &lopsided), None);
        assert_eq!(mismatch(&bound, &even).unwrap(), "asked for bind 1, 50% is elsewhere");
        let words = "asked for interleave 0-1, node 0 has only 5%";
        assert_eq!(mismatch(&interleaved, &lopsided).unwrap(), words);
        assert_eq!(mismatch(&MemoryPolicy::Default, &lopsided), None);
        assert_eq!(mismatch(&bound, &[(0, 4096)].into()), None);
    }

    #[test]
    fn resident_memory_of_this_process_is_found() {
        let block = vec![7_u8; 8 << 20];
        let start = block.as_ptr() as usize;
        let range = start..start + block.len();
        let placement = match of(std::slice::from_ref(&range)) {
            Ok(placement) => placement,
            Err(error) => {
                let known = [Some(libc::EPERM), Some(libc::ENOSYS)];
                return assert!(known.contains(&error.raw_os_error()), "{error}");
            }
        };
        let total: u64 = placement.values().sum();
        assert!(total.abs_diff(8 << 20) <= (8 << 20) / 100, "{placement:?}");
    }
}
