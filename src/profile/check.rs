//! What a profile may say: nothing in it is taken on trust.

use super::error::require;
use super::{Evidence, MachineId, MachinePart, Profile, ProfileError};
use crate::io::digest::is_digits;
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::{HardwareProfile, Knobs, OptimalSettings, allow_list, program_environment};
use crate::launch::Launch;
use crate::machine::HIGHEST_INDEX;
use crate::workload::metric::Direction;

/// Checks everything that needs no machine.
pub(super) fn check(profile: &Profile) -> Result<(), ProfileError> {
    require(is_timestamp(&profile.timestamp), "/timestamp", "not a date and time in ISO 8601")?;
    let version = profile.tool.strip_prefix("wan22-tune ").unwrap_or_default();
    require(is_name(version), "/tool", "not `wan22-tune` and a version")?;
    hardware(&profile.hardware_profile)?;
    machine_id(&profile.machine)?;
    launch(&profile.launch)?;
    let knobs = candidate(profile)?;
    agreement(profile, &knobs)?;
    optimal(&profile.optimal_settings, &knobs)?;
    profile.evidence.as_ref().map_or(Ok(()), evidence)
}

/// A date and time with or without its offset from UTC, as Python's `isoformat` leaves it.
fn is_timestamp(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
}

/// A word that is no path, no option and no more than a word anywhere.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    let begins_well = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    begins_well && text.len() <= 255 && !text.contains("..") && text.bytes().all(plain)
}

fn hardware(hardware: &HardwareProfile) -> Result<(), ProfileError> {
    let most = HIGHEST_INDEX as usize + 1;
    let cores = (1..=most).contains(&hardware.cpu_cores);
    require(cores, "/hardware_profile/cpu_cores", format_args!("it takes 1 to {most}"))?;
    for (key, gigabytes) in
        [("total_memory_gb", hardware.total_memory_gb), ("vram_gb", hardware.vram_gb)]
    {
        let place = format!("/hardware_profile/{key}");
        require(gigabytes <= 1 << 20, &place, "no machine has a million gigabytes")?;
    }
    for (key, text) in [
        ("cpu_model", &hardware.cpu_model),
        ("gpu_model", &hardware.gpu_model),
        ("cuda_version", &hardware.cuda_version),
        ("driver_version", &hardware.driver_version),
    ] {
        let place = format!("/hardware_profile/{key}");
        require(text.len() <= 200, &place, "a name of more than 200 bytes")?;
    }
    Ok(())
}

fn machine_id(machine: &MachineId) -> Result<(), ProfileError> {
    require(is_name(&machine.host), "/machine/host", "not a host's name")?;
    for (key, text) in
        [("shape", &machine.fingerprint.shape), ("identity", &machine.fingerprint.identity)]
    {
        let place = format!("/machine/fingerprint/{key}");
        require(is_digits(text, 16), &place, "not 16 hexadecimal digits")?;
    }
    let quota = machine.cpu_quota.is_none_or(|quota| quota > 0.0 && quota < 1e6);
    require(quota, "/machine/cpu_quota", "no quota that a cgroup can set")?;
    let most = HIGHEST_INDEX as usize + 1;
    let cpus = machine.cpus.is_none_or(|cpus| (1..=most).contains(&cpus));
    require(cpus, "/machine/cpus", format_args!("it takes 1 to {most}"))
}

fn launch(launch: &Launch) -> Result<(), ProfileError> {
    for (name, value) in &launch.environment {
        allow_list::check(name, value)
            .map_err(|reason| ProfileError::at(["launch", "environment", name], reason))?;
    }
    let outside = crate::knobs::as_is::all();
    let odd = launch.as_is.iter().find(|name| !outside.contains(*name));
    require(odd.is_none(), "/launch/as_is", "a name of no knob that acts from outside")?;
    require(!launch.cpus.is_empty(), "/launch/cpus", "a process needs a CPU")?;
    let nodes = launch.memory.nodes();
    require(nodes.is_none_or(|nodes| !nodes.is_empty()), "/launch/memory/nodes", "no nodes")
}

/// The knobs, each within what any machine could have.
fn candidate(profile: &Profile) -> Result<Knobs, ProfileError> {
    let neutral = Knobs::neutral();
    let known = neutral.values();
    for (name, value) in &profile.candidate {
        let refuse = |reason: String| ProfileError::at(["candidate", name], reason);
        if !known.contains_key(name) {
            return Err(refuse("there is no such knob".to_owned()));
        }
        neutral.with([(name.as_str(), value)]).map_err(refuse)?;
    }
    for (name, value) in &profile.custom_knobs {
        let refuse = |reason: String| ProfileError::at(["custom_knobs", name], reason);
        if known.contains_key(name) {
            return Err(refuse("its place is /candidate".to_owned()));
        }
        program_environment::custom_name(name)
            .and_then(|()| program_environment::custom_value(value))
            .map_err(refuse)?;
    }
    let values = profile.values();
    let knobs = neutral.with(&values).map_err(|reason| ProfileError::at(["candidate"], reason))?;
    let is_handed_over = |name: &String| program_environment::is_handed_over(name);
    let odd = profile.program_as_is.iter().find(|name| !is_handed_over(name));
    require(odd.is_none(), "/program_as_is", "a name of no knob that is handed over")?;
    let knobs = Knobs { as_is: profile.as_is(), ..knobs };
    let within = knobs.check_ranges(HIGHEST_INDEX as usize);
    within.map_err(|(name, reason)| ProfileError::at(["candidate", name], reason))?;
    Ok(knobs)
}

/// The launch and the workers are those of the candidate, as far as that needs no machine.
fn agreement(profile: &Profile, knobs: &Knobs) -> Result<(), ProfileError> {
    let asked = knobs.environment();
    for (name, value) in &asked {
        let got = profile.launch.environment.get(name);
        let reason = || {
            let got = got.map_or("not set", String::as_str);
            format!("the candidate makes it {value}; here it is {got}")
        };
        if got != Some(value) {
            return Err(ProfileError::at(["launch", "environment", name], reason()));
        }
    }
    let more = profile
        .launch
        .environment
        .keys()
        .find(|name| !asked.contains_key(*name) && !allow_list::depends_on_the_machine(name));
    if let Some(name) = more {
        let reason = "the candidate does not set it";
        return Err(ProfileError::at(["launch", "environment", name], reason));
    }
    let bound = profile.launch.memory != MemoryPolicy::Default;
    let asked_for = knobs.memory_mode != crate::knobs::memory::MemoryMode::Default;
    require(!bound || asked_for, "/launch/memory", "the candidate leaves it at the default")?;
    require(profile.workers == knobs.workers().into(), "/workers", "not the candidate's")
}

fn optimal(optimal: &OptimalSettings, knobs: &Knobs) -> Result<(), ProfileError> {
    let place = |key: &str| format!("/optimal_settings/{key}");
    let fraction = optimal.memory_fraction;
    let within = fraction > 0.0 && fraction <= 1.0;
    require(within, &place("memory_fraction"), "it takes more than 0, at most 1")?;
    let differs = "not the candidate's";
    require(optimal.tile_size == [knobs.tile_size; 2], &place("tile_size"), differs)?;
    require(optimal.vae_tile_size == [knobs.vae_tile_size; 2], &place("vae_tile_size"), differs)?;
    require(optimal.batch_size == knobs.batch_size, &place("batch_size"), differs)?;
    require(optimal.num_threads == knobs.intra_op_threads, &place("num_threads"), differs)?;
    let most = HIGHEST_INDEX as usize;
    for (key, count) in [
        ("parallel_workers", optimal.parallel_workers),
        ("preprocessing_threads", optimal.preprocessing_threads),
        ("io_threads", optimal.io_threads),
    ] {
        let within = (1..=most).contains(&count);
        require(within, &place(key), format_args!("it takes 1 to {most}"))?;
    }
    for (key, list) in
        [("numa_nodes", &optimal.numa_nodes), ("cpu_affinity", &optimal.cpu_affinity)]
    {
        let numbers = list.as_deref().unwrap_or_default();
        let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        let known = numbers.last().is_none_or(|&last| last <= HIGHEST_INDEX);
        require(ascending && known, &place(key), "not ascending numbers of the kernel's")?;
    }
    Ok(())
}

fn evidence(evidence: &Evidence) -> Result<(), ProfileError> {
    let place = |key: &str| format!("/evidence/{key}");
    let gained = match evidence.verdict.as_str() {
        "gain" => true,
        "no significant gain" => false,
        _ => return Err(ProfileError::at(["evidence", "verdict"], "no verdict of this program")),
    };
    let proven = evidence.gain_percent.is_some() && evidence.interval_percent.is_some();
    require(proven == gained, &place("gain_percent"), "the verdict says otherwise")?;
    let gain = evidence.gain_percent.unwrap_or(0.0);
    // There is no more than all of the time to save, but any number of frames per second to win.
    let is_won = evidence.metric.as_ref().is_some_and(|metric| metric.goal == Direction::Max);
    let most = if is_won { 1e9 } else { 100.0 };
    require((-1000.0..most).contains(&gain), &place("gain_percent"), "no such gain exists")?;
    let [low, high] = evidence.interval_percent.unwrap_or([gain, gain]);
    require(low <= gain && gain <= high, &place("interval_percent"), "not around the gain")?;
    for (key, seconds) in [("baseline_s", evidence.baseline_s), ("score_s", evidence.score_s)] {
        let real = seconds.is_none_or(|seconds| seconds > 0.0 && seconds < 1e9);
        require(real, &place(key), "no time that a clip can take")?;
    }
    let metric = evidence.metric.as_ref();
    for (key, value) in
        [("baseline", metric.and_then(|m| m.baseline)), ("score", metric.and_then(|m| m.score))]
    {
        let real = value.is_none_or(|value| value > 0.0 && value.is_finite());
        require(real, &place(&format!("metric/{key}")), "not a number above 0")?;
    }
    require(evidence.pairs <= 1_000_000, &place("pairs"), "more pairs than a life has time for")?;
    let workload = &evidence.workload;
    let custom_job = evidence.custom_job.as_ref();
    let is_digest = custom_job.is_none_or(|digest| MachinePart::parse(digest).is_some());
    require(is_digest, "/evidence/own", "not 8 hexadecimal digits")?;
    require(is_name(&workload.name), "/evidence/workload/name", "not the name of a job")
}
