//! Pages of new weights, given by the kernel at once.
#![allow(unsafe_code)] // Advises the kernel on memory; see the SAFETY note.

use std::ops::Range;

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Bytes from which it pays.
const LEAST_BYTES: usize = 1 << 20;

/// Has the kernel back the memory at these addresses, where the calling thread's policy says: one
/// call costs less than a fault a page. Kernels before 5.14 refuse, and pages come one by one.
pub fn populate(Range { start, end }: Range<usize>) {
    if end - start < LEAST_BYTES {
        return;
    }
    let (start, end) = (start.next_multiple_of(page_size()), end / page_size() * page_size());
    // SAFETY: the caller's own memory, whose contents stay as they are.
    let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxPopulateWrite) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_pages(memory: &memmap2::MmapMut) -> usize {
        let mut pages = vec![0u8; memory.len() / page_size()];
        // SAFETY: a byte a page is written.
        let status =
            unsafe { libc::mincore(memory.as_ptr() as *mut _, memory.len(), pages.as_mut_ptr()) };
        assert_eq!(status, 0);
        pages.into_iter().filter(|page| page & 1 == 1).count()
    }

    #[test]
    fn memory_that_nobody_touched_becomes_resident() {
        let memory = memmap2::MmapMut::map_anon(64 << 20).unwrap();
        assert_eq!(resident_pages(&memory), 0);
        let start = memory.as_ptr() as usize;
        populate(start..start + memory.len());
        assert_eq!(resident_pages(&memory), memory.len() / page_size());
        assert!(memory.iter().all(|&byte| byte == 0));
    }
}
