//! A container's default filter, as far as memory policies go.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// What container engines refuse without SYS_NICE.
const FORBIDDEN: [i64; 5] = [
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// From now on this thread, and whatever it starts, gets EPERM for them.
pub fn forbid_memory_policies() {
    let rules = FORBIDDEN.map(|call| (call, Vec::new())).into();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
}
