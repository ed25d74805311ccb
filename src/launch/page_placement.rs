//! Page placement: on which nodes pages lie.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::machine::syscalls;

/// Bytes by node.
pub type PagePlacement = BTreeMap<u32, u64>;

/// Pages looked at in each range; more would take longer and say the same.
const MOST_PAGES: usize = 4096;

/// Where the memory at these addresses lies, estimated from pages evenly spread over each range;
/// pages that are not resident don't count.
///
/// # Errors
/// The kernel does not tell (no NUMA, or a container that forbids `move_pages`).
pub fn of(ranges: &[Range<usize>]) -> std::io::Result<PagePlacement> {
    let page = rustix::param::page_size();
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
