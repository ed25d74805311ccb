//! Pages of new weights, given by the kernel at once.
#![allow(unsafe_code)] // Advises the kernel on memory; see the SAFETY note.

use std::ops::Range;

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Bytes from which it pays.
const LEAST: usize = 1 << 20;

/// Has the kernel back the memory at these addresses, where the calling thread's policy says: one
/// call costs less than a fault a page. Kernels before 5.14 refuse, and pages come one by one.
pub fn populate(Range { start, end }: Range<usize>) {
    if end - start < LEAST {
        return;
    }
    let (start, end) = (start.next_multiple_of(page_size()), end / page_size() * page_size());
    // SAFETY: the caller's own memory, whose contents stay as they are.
    let _ = unsafe { madvise(start as *mut _, end - start, Advice::LinuxPopulateWrite) };
}
