//! Control groups of version 2, as a container's engine sets them up.

use std::fs;
use std::time::{Duration, Instant};

use wan22_tune::machine::Machine;
use wan22_tune::trial::Noise;
use wan22_tune::trial::noise::NoiseWatch;

const ROOT: &str = "/sys/fs/cgroup";

/// Moves this process into a group of its own with these CPUs and nodes, and this many microseconds
/// of CPU time each tenth of a second.
pub fn enter(name: &str, cpus: &str, nodes: &str, quota: &str) {
    enter_with(name, &[("cpuset.cpus", cpus), ("cpuset.mems", nodes), ("cpu.max", quota)]);
}

/// Moves this process into a group of its own with so much memory.
pub fn enter_with_memory(name: &str, bytes: u64) {
    enter_with(name, &[("memory.max", &bytes.to_string())]);
}

fn enter_with(name: &str, limits: &[(&str, &str)]) {
    fs::write(format!("{ROOT}/cgroup.subtree_control"), "+cpuset +cpu +memory").unwrap();
    let folder = format!("{ROOT}/{name}");
    fs::create_dir(&folder).unwrap();
    let me = std::process::id().to_string();
    for (file, text) in limits.iter().chain(&[("cgroup.procs", me.as_str())]) {
        fs::write(format!("{folder}/{file}"), text).unwrap();
    }
}

/// What a trial's row would say of two seconds in which four threads want a CPU each.
pub fn noise_of_four_busy_threads() -> Noise {
    let watch = NoiseWatch::start();
    let started = Instant::now();
    let busy = move || while started.elapsed() < Duration::from_secs(2) {};
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(busy)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    watch.finish(&Machine::detect().unwrap().allowed)
}
