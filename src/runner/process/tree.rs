//! Tree of a trial's processes: the first and whatever it started, and their memory.

use std::fs;

/// The processes whose parent is `pid` now, orphans that it took over included.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    let text: Vec<String> = tasks.flatten().filter_map(of_task).collect();
    text.iter().flat_map(|line| line.split_whitespace()).filter_map(|n| n.parse().ok()).collect()
}

/// A process, first, and all that it started, as far as their parents are there.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        let more: Vec<u32> = children(pid).into_iter().filter(|pid| !all.contains(pid)).collect();
        all.extend(more);
        next += 1;
    }
    all
}

/// The processes of the trial whose first is `first`. As subreaper, the tuner finds those that left it
/// as its own.
pub fn of_trial(first: u32) -> Vec<u32> {
    let others = descendants(std::process::id()).into_iter().skip(1).filter(|&pid| pid != first);
    std::iter::once(first).chain(others).collect()
}

/// Memory of processes: all that the largest has, and what the others have to themselves.
pub fn resident_bytes(all: &[u32]) -> u64 {
    let counted: Vec<(u64, u64)> = all.iter().filter_map(|&pid| pages(pid)).collect();
    let private: u64 = counted.iter().map(|(all, shared)| all.saturating_sub(*shared)).sum();
    let largest = counted.iter().max().map_or(0, |(resident, shared)| *resident.min(shared));
    bytes(private + largest)
}

/// The same; what is more than `most` is counted again, each page shared by several processes once.
pub fn counted_bytes(all: &[u32], most: u64) -> u64 {
    let sum = resident_bytes(all);
    if sum <= most || all.len() == 1 {
        return sum;
    }
    all.iter().copied().map(proportional_bytes).sum::<u64>().min(sum)
}

/// Memory of a process, of pages that it shares its part (`Pss` in `proc_pid_smaps(5)`): a process
/// that forks shares all its memory until either writes. Slow where there is much of it. Where the
/// kernel does not say it, what is the process's own.
fn proportional_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    let private = || pages(pid).map_or(0, |(all, shared)| bytes(all.saturating_sub(shared)));
    kib.map_or_else(private, |kib| kib << 10)
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_forks_share_counts_once_where_it_decides() {
        const MIB: u64 = 1 << 20;
        let program = "import os, time\nheld = bytearray(b'x') * (100 << 20)\n\
                       for _ in range(3):\n  if os.fork() == 0: break\n\
                       print('held', flush=True); time.sleep(60)";
        let mut child =
            Command::new("python3").args(["-c", program]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(4).filter_map(Result::ok).count(), 4);
        let pid = child.id();
        let trial = of_trial(pid);
        let [counted, sum] = [200 * MIB, u64::MAX].map(|most| counted_bytes(&trial, most));
        let all = descendants(pid);
        all.iter().for_each(|pid| {
            let pid = rustix::process::Pid::from_raw(*pid as i32).unwrap();
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        });
        child.wait().unwrap();
        assert_eq!(all.len(), 4);
        assert!(sum > 400 * MIB, "each has {} bytes", sum / 4);
        assert!((100 * MIB..200 * MIB).contains(&counted), "{counted} of {sum}");
    }
}
