//! Limits that the kernel sets on this process: cgroup ceilings, CPU quota, memory kills, throttling.

pub mod cgroup;
pub mod oom;
pub mod quota;
pub mod throttling;
