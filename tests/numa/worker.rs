//! Stands in for wan22-worker in a guest: real pools, really touched memory, and no libtorch, which
//! would take minutes under emulation. Before it reports what the product read back, it looks for
//! itself, with readers of its own, where its threads and pages are.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::{fs, thread};

use wan22_tune::knobs::Settings;
use wan22_tune::knobs::memory::MemoryPolicy;
use wan22_tune::knobs::placement::bind;
use wan22_tune::launch::{Effect, page_placement};
use wan22_tune::machine::{CpuSet, NodeSet};
use wan22_tune::runner::protocol::{Job, Message};
use wan22_tune::trial::{Outcome, Sample};
use wan22_tune::workload::preprocess::Pools;

/// Enough for the tuner to judge by, and for many huge pages per node.
const BLOCK_BYTES: usize = 96 << 20;

/// Pages that threads and libraries may touch meanwhile.
const OTHER_PAGES: i64 = 256;

fn main() {
    let job: Job = serde_json::from_reader(std::io::stdin()).unwrap();
    let model = thread::Builder::new().name("wan-model".to_owned());
    let messages = model.spawn(move || work(&job)).unwrap().join().unwrap();
    for message in messages {
        println!("{}", serde_json::to_string(&message).unwrap());
    }
}

fn work(job: &Job) -> Vec<Message> {
    let trial = job.trial;
    match effect(&job.settings) {
        Ok(effect) => {
            let ready =
                Message::Ready { trial, setup_s: 0.01, warmup_s: None, effect: Box::new(effect) };
            let sample = Sample { seconds: 0.01, ..Sample::default() };
            let samples = (0..job.repetitions.least)
                .map(|_| Message::Sample { trial, sample: sample.clone(), wall_s: 0.01 })
                .collect::<Vec<_>>();
            let done = Message::Done {
                trial,
                peak_rss_bytes: 1,
                peak_device_bytes: None,
                stage_rss_bytes: BTreeMap::new(),
                quality: None,
                pictures: None,
                peak: None,
            };
            [ready].into_iter().chain(samples).chain([done]).collect()
        }
        Err(detail) => vec![Message::Failed { trial, outcome: Outcome::Misapplied, detail }],
    }
}

/// Does what the real worker does with CPUs and memory, in its order.
fn effect(settings: &Settings) -> Result<Effect, String> {
    let placement = &settings.placement;
    bind(&placement.model).map_err(|error| format!("binding the model: {error}"))?;
    let pools = Pools::start(settings.workers, placement, |cpus| Ok(bind(cpus)?));
    let pools = pools.map_err(|error| format!("{error:#}"))?;
    let weights = touched(&settings.weights_memory, settings)?;
    let rest = touched(&settings.memory, settings)?;
    let threads = settings.intra_op_threads;
    // All meet twice, so that all are there while they are looked at.
    let meeting = Arc::new(Barrier::new(threads));
    let others: Vec<_> = (1..threads).map(|_| model_thread(&meeting)).collect();
    meeting.wait();
    let looked_at = threads_inside(settings);
    let start = weights.as_ptr() as usize;
    let range = start..start + weights.len();
    let effect = Effect {
        weights_bytes: page_placement::of(std::slice::from_ref(&range)).unwrap_or_default(),
        intra_op_threads: Some(threads),
        inter_op_threads: Some(settings.inter_op_threads),
        numerics: Some(settings.numerics),
        ..Effect::read()
    };
    meeting.wait();
    others.into_iter().for_each(|thread| thread.join().unwrap());
    drop((pools, rest));
    looked_at.map(|()| effect)
}

fn model_thread(meeting: &Arc<Barrier>) -> thread::JoinHandle<()> {
    let meeting = Arc::clone(meeting);
    let named = thread::Builder::new().name("wan-model".to_owned());
    let work = move || {
        std::hint::black_box((0..1_000_000_u64).fold(0, u64::wrapping_add));
        meeting.wait();
        meeting.wait();
    };
    named.spawn(work).unwrap()
}

/// A block touched under `policy`, which stays the thread's, after a look at where it lies.
fn touched(policy: &MemoryPolicy, settings: &Settings) -> Result<Vec<u8>, String> {
    policy.apply().map_err(|error| format!("{policy}: {error}"))?;
    let before = pages_by_node();
    let block = vec![1_u8; BLOCK_BYTES];
    let mut pages = pages_by_node();
    before.iter().for_each(|(node, count)| *pages.entry(*node).or_default() -= count);
    let asked = policy.nodes().cloned().unwrap_or_else(|| nodes_of(&settings.placement.model));
    let stray: i64 = pages.iter().filter(|(node, _)| !asked.contains(**node)).map(|p| p.1).sum();
    let total = (BLOCK_BYTES / 4096) as i64;
    let on_asked = pages.values().sum::<i64>() - stray;
    let even = total / asked.len() as i64;
    let lopsided = |node: u32| (pages.get(&node).copied().unwrap_or(0) - even).abs() > even / 2;
    let dealt = matches!(policy, MemoryPolicy::Interleave(_));
    if stray > OTHER_PAGES || on_asked < total || (dealt && asked.iter().any(lopsided)) {
        return Err(format!("{policy}, nodes {asked}: {total} pages came to lie at {pages:?}"));
    }
    Ok(block)
}

/// Anonymous pages of this process by node, as the kernel counts them.
fn pages_by_node() -> BTreeMap<u32, i64> {
    let mut pages = BTreeMap::new();
    for line in fs::read_to_string("/proc/self/numa_maps").unwrap().lines() {
        if line.contains("anon=") {
            for (node, count) in line.split(" N").skip(1).filter_map(|word| word.split_once('=')) {
                let count: i64 = count.split(' ').next().unwrap().parse().unwrap();
                *pages.entry(node.parse().unwrap()).or_default() += count;
            }
        }
    }
    pages
}

/// Where first touch puts the pages of a thread on these CPUs.
fn nodes_of(cpus: &CpuSet) -> NodeSet {
    let list = |node: u32| {
        let path = format!("/sys/devices/system/node/node{node}/cpulist");
        fs::read_to_string(path).ok()?.parse::<CpuSet>().ok()
    };
    (0..64).filter(|&node| list(node).is_some_and(|list| !list.is_disjoint(cpus))).collect()
}

/// Every thread may run, and last ran, on its pool's CPUs only.
fn threads_inside(settings: &Settings) -> Result<(), String> {
    let placement = &settings.placement;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let read = |file: &str| fs::read_to_string(task.as_ref().unwrap().path().join(file));
        let (name, stat) = (read("comm").unwrap(), read("stat").unwrap());
        let asked = match name.split('-').nth(1).map(str::trim_end) {
            Some("model") => &placement.model,
            Some("io") => &placement.io,
            Some("pre") => &placement.preprocess,
            Some("batch") => &placement.batch,
            _ => &placement.process,
        };
        let status = read("status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed: CpuSet = allowed.unwrap().trim().parse().unwrap();
        // Names here have no blanks: field 39 is the CPU.
        let ran_on: u32 = stat.split(' ').nth(38).unwrap().parse().unwrap();
        if allowed != *asked || !asked.contains(ran_on) {
            let name = name.trim();
            return Err(format!("{name}: asked for {asked}, may use {allowed}, ran on {ran_on}"));
        }
    }
    Ok(())
}
