//! Sandbox: hwloc reads a stranger's file in a child process first.
//!
//! libhwloc trusts its input: a damaged XML file can make it crash or spin, which no Rust code
//! can catch. The child does exactly what this process is about to do; only when it came through
//! is the same done here.
#![allow(unsafe_code, reason = "fork, and what a forked child may do")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The largest machines take a second.
const PATIENCE_S: u32 = 20;

const DONE: i32 = 0;
const PANICKED: i32 = 1;

/// libhwloc is not safe to use from two threads while a topology loads.
static HWLOC: Mutex<()> = Mutex::new(());

/// Holds off every other use of hwloc in this process.
pub fn alone() -> MutexGuard<'static, ()> {
    HWLOC.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work`, which uses hwloc, gives; or why it must not be done in this process. For programs
/// that have one thread yet: a lock that another one holds would stay shut in the child.
///
/// # Errors
/// It crashed or took too long in a child process.
pub fn sandboxed<T>(work: impl Fn() -> T) -> Result<T, String> {
    match in_child(&work) {
        Some(end) if libc::WIFEXITED(end) && libc::WEXITSTATUS(end) == DONE => Ok(work()),
        Some(end) if libc::WIFSIGNALED(end) && libc::WTERMSIG(end) == libc::SIGALRM => {
            Err(format!("hwloc did not come to an end within {PATIENCE_S} s: the file is damaged"))
        }
        Some(_) => Err("hwloc crashes on it: the file is damaged".to_owned()),
        // No process to be had: then without a sandbox.
        None => Ok(work()),
    }
}

/// The wait status of a child that does `work`; `None` where none could be started.
fn in_child<T>(work: impl Fn() -> T) -> Option<libc::c_int> {
    // SAFETY: glibc makes its allocator usable in the child, and no other thread is in hwloc; the
    // child runs `work`, takes no other lock, and leaves by _exit.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            // SAFETY: kills this child only.
            unsafe { libc::alarm(PATIENCE_S) };
            silence();
            let done = catch_unwind(AssertUnwindSafe(|| drop(work()))).is_ok();
            // SAFETY: ends this child without running what the parent registered for its exit.
            unsafe { libc::_exit(if done { DONE } else { PANICKED }) }
        }
        child if child > 0 => wait(child),
        _ => None,
    }
}

fn wait(child: libc::pid_t) -> Option<libc::c_int> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        if waited == child {
            return Some(status);
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

/// Sends what the child says nowhere: the parent will say it, or something better. (A panic hook
/// of its own would want std's lock, which a panicking thread may have held at the fork.)
fn silence() {
    // SAFETY: opens and duplicates descriptors of this child.
    unsafe {
        let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
        if nowhere >= 0 {
            libc::dup2(nowhere, libc::STDOUT_FILENO);
            libc::dup2(nowhere, libc::STDERR_FILENO);
        }
    }
}
