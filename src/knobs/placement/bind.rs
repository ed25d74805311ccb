//! Binding: a thread's CPUs, set and read back.

use std::io;

use crate::machine::{CpuSet, syscalls};

/// Lets the calling thread, and those that it starts from now on, run on `cpus` only.
///
/// # Errors
/// When the set is empty, or the kernel refuses it or grants only a part of it.
pub fn bind(cpus: &CpuSet) -> io::Result<()> {
    if cpus.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no CPUs"));
    }
    syscalls::set_affinity(cpus)?;
    // The kernel silently drops CPUs outside of the cgroup's cpuset.
    let granted = bound()?;
    if granted == *cpus {
        Ok(())
    } else {
        Err(io::Error::other(format!("asked for CPUs {cpus}, the kernel granted {granted}")))
    }
}

/// As [`bind`]; where the kernel forbids the call and the CPUs are these already, gives the
/// kernel's refusal.
///
/// # Errors
/// As [`bind`].
pub fn bind_or_keep(cpus: &CpuSet) -> io::Result<Option<io::Error>> {
    match bind(cpus) {
        Ok(()) => Ok(None),
        Err(error) if is_forbidden(&error) && bound().is_ok_and(|bound| bound == *cpus) => {
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

/// Why binding failed and what helps, in words.
pub fn cure(error: &io::Error) -> &'static str {
    if is_forbidden(error) {
        "the kernel forbids the call sched_setaffinity: a seccomp profile or sandbox does so; allow \
         it, or start the command without this program under what `wan22-tune export` writes"
    } else {
        "the cgroup's cpuset decides which CPUs there are; --adapt finds others"
    }
}

/// Whether this process may bind itself at all, found out by binding a thread to the CPUs that it
/// has.
///
/// # Errors
/// What is wrong, with the cure.
pub fn probe_binding() -> Result<(), String> {
    let words = |error: io::Error| format!("{error}: {}", cure(&error));
    let cpus = bound().map_err(words)?;
    let bind = move || syscalls::set_affinity(&cpus);
    let tried = std::thread::Builder::new().spawn(bind).map_err(words)?.join();
    tried.unwrap_or_else(|_| Err(io::Error::other("the probe itself failed"))).map_err(words)
}

/// The CPUs on which the calling thread may run.
///
/// # Errors
/// What the kernel says.
pub fn bound() -> io::Result<CpuSet> {
    syscalls::affinity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_call_is_not_blamed_on_the_cpuset() {
        let cure = |code| cure(&io::Error::from_raw_os_error(code));
        assert!(cure(libc::EPERM).contains("seccomp") && !cure(libc::EPERM).contains("cpuset"));
        assert!(cure(libc::EINVAL).contains("cpuset"));
        assert_eq!(probe_binding(), Ok(()));
    }
}
