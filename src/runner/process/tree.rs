//! The processes of a trial: the worker and whatever it started.

use std::fs;

/// The processes whose parent is `pid` now, orphans that it took over included.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    let text: Vec<String> = tasks.flatten().filter_map(of_task).collect();
    text.iter().flat_map(|line| line.split_whitespace()).filter_map(|n| n.parse().ok()).collect()
}

/// Memory of the trial whose first process is `worker`: all that the worker has, and what other
/// processes have to themselves. As subreaper, the tuner finds those that left it as its own.
pub fn resident_bytes(worker: u32) -> u64 {
    let mut all = children(std::process::id());
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        let more: Vec<u32> = children(pid).into_iter().filter(|pid| !all.contains(pid)).collect();
        all.extend(more);
        next += 1;
    }
    let others = all.iter().filter(|&&pid| pid != worker).filter_map(|&pid| pages(pid));
    let private: u64 = others.map(|(resident, shared)| resident.saturating_sub(shared)).sum();
    own_bytes(worker) + bytes(private)
}

/// Memory of the worker alone.
pub fn own_bytes(worker: u32) -> u64 {
    pages(worker).map_or(0, |(resident, _)| bytes(resident))
}

fn bytes(pages: u64) -> u64 {
    pages * rustix::param::page_size() as u64
}

/// Resident pages of a process, and how many of them it shares.
fn pages(pid: u32) -> Option<(u64, u64)> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut fields = statm.split_whitespace().skip(1).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}
