//! The kernel calls that no safe crate offers: affinity beyond 1024 CPUs, memory policies, and
//! where pages lie.
#![allow(unsafe_code, reason = "raw system calls; each takes buffers that outlive it")]

use std::ffi::CStr;
use std::time::Duration;
use std::{io, ptr};

use crate::machine::{CpuSet, HIGHEST_INDEX, NodeSet, OsSet};

const WORD_BITS: usize = u64::BITS as usize;

/// `get_mempolicy` wants room for every node that the kernel could have (1024 where most), and
/// refuses more than a page.
const NODE_BITS: usize = 4096;

fn mask(set: &OsSet) -> Vec<u64> {
    let mut words = vec![0_u64; set.last().map_or(0, |last| last as usize / WORD_BITS + 1)];
    for index in set.iter() {
        words[index as usize / WORD_BITS] |= 1 << (index as usize % WORD_BITS);
    }
    words
}

fn members(words: &[u64]) -> OsSet {
    let bits = words.iter().enumerate().flat_map(|(i, word)| {
        (0..WORD_BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i * WORD_BITS + bit)
    });
    bits.filter_map(|bit| u32::try_from(bit).ok()).collect()
}

fn checked(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Binds the calling thread (`sched_setaffinity`).
pub fn set_affinity(cpus: &CpuSet) -> io::Result<()> {
    let words = mask(cpus);
    // SAFETY: the kernel reads as many bytes as `words` has.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&words[..]), words.as_ptr())
    };
    checked(result).map(drop)
}

/// The calling thread's mask (`sched_getaffinity`).
pub fn affinity() -> io::Result<CpuSet> {
    let mut words = vec![0_u64; 1024 / WORD_BITS];
    loop {
        // SAFETY: the kernel writes at most as many bytes as `words` has.
        let result = unsafe {
            libc::syscall(
                libc::SYS_sched_getaffinity,
                0,
                size_of_val(&words[..]),
                words.as_mut_ptr(),
            )
        };
        match checked(result) {
            Ok(_) => return Ok(members(&words)),
            // Too small for this kernel.
            Err(error)
                if error.raw_os_error() == Some(libc::EINVAL)
                    && words.len() * WORD_BITS <= HIGHEST_INDEX as usize =>
            {
                words.resize(words.len() * 2, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sets the calling thread's memory policy (`set_mempolicy`).
pub fn set_policy(mode: libc::c_int, nodes: &NodeSet) -> io::Result<()> {
    let words = mask(nodes);
    let pointer = if words.is_empty() { ptr::null() } else { words.as_ptr() };
    // The kernel reads one bit fewer than it is told.
    let bits = nodes.last().map_or(0, |last| last as usize + 2);
    // SAFETY: the kernel reads `bits - 1` bits, which `words` has.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// The calling thread's memory policy (`get_mempolicy`): mode with its flags, and nodes.
pub fn policy() -> io::Result<(libc::c_int, NodeSet)> {
    let mut mode: libc::c_int = 0;
    let mut words = [0_u64; NODE_BITS / WORD_BITS];
    // SAFETY: the kernel writes one int and at most NODE_BITS bits.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            words.as_mut_ptr(),
            NODE_BITS,
            ptr::null::<libc::c_void>(),
            0,
        )
    };
    checked(result).map(|_| (mode, members(&words)))
}

/// The node of the page at each address (`move_pages`); `None` where no page is resident.
pub fn page_nodes(addresses: &[usize]) -> io::Result<Vec<Option<u32>>> {
    let mut status = vec![-1 as libc::c_int; addresses.len()];
    // SAFETY: the kernel reads `addresses`, writes as many ints to `status` and, with no target
    // nodes given, moves and dereferences nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            addresses.len(),
            addresses.as_ptr(),
            ptr::null::<libc::c_int>(),
            status.as_mut_ptr(),
            0,
        )
    };
    checked(result)?;
    Ok(status.into_iter().map(|node| u32::try_from(node).ok()).collect())
}

/// glibc's version, like `2.36`.
pub fn glibc_version() -> String {
    // SAFETY: glibc returns a string of its own that lives as long as the process.
    unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned()
}

/// The file of the library that answers calls of `symbol` in this process; `None` where none does.
pub fn library_of(symbol: &CStr) -> Option<String> {
    // SAFETY: looks a name up in what is loaded.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
    if address.is_null() {
        return None;
    }
    // SAFETY: a plain structure of pointers and numbers.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `address` lies in a loaded library, and `found` has room for the answer.
    let known = unsafe { libc::dladdr(address, &raw mut found) } != 0 && !found.dli_fname.is_null();
    // SAFETY: the linker's own name of the library, which stays loaded.
    known.then(|| unsafe { CStr::from_ptr(found.dli_fname) }.to_string_lossy().into_owned())
}

/// The time since the machine started, suspended or not, which nobody can set.
pub fn since_boot() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Touches `count` pages that nobody had before and says where they came to lie.
pub fn touch_fresh_pages(count: usize) -> io::Result<Vec<Option<u32>>> {
    let page = rustix::param::page_size();
    // SAFETY: an anonymous mapping of our own.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            count * page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let addresses: Vec<usize> = (0..count).map(|i| start as usize + i * page).collect();
    for &address in &addresses {
        // SAFETY: inside the mapping, which nobody else knows of.
        unsafe { ptr::write_volatile(address as *mut u8, 1) };
    }
    let nodes = page_nodes(&addresses);
    // SAFETY: the mapping from above, of which no reference is left.
    unsafe { libc::munmap(start, count * page) };
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_reach_beyond_1024() {
        let set: OsSet = "0,63-64,1023,2047".parse().unwrap();
        let words = mask(&set);
        assert_eq!(words.len(), 32);
        assert_eq!((words[0], words[1], words[31]), (1 | 1 << 63, 1, 1 << 63));
        assert_eq!(members(&words), set);
        assert!(mask(&OsSet::empty()).is_empty());
    }
}
