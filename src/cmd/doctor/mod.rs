//! `doctor`: read-only advice before a run.

mod slurm_job;
mod worker;

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use jiff::Timestamp;
use strum::VariantArray;

use super::terminal;
use crate::cli::DoctorArgs;
use crate::fleet::engine::Allocation;
use crate::io::output::print_value;
use crate::knobs::memory::{Allocator, HugePages, MemoryPolicy};
use crate::knobs::placement::probe_binding;
use crate::knobs::quota_cure;
use crate::machine::{CpuSet, Gpu, Machine, SystemRoots, line};
use crate::trial::noise::ticks;

/// Prints the findings.
///
/// # Errors
/// The machine can't be detected.
pub fn run(args: &DoctorArgs) -> Result<()> {
    if args.worker {
        return worker::run(args);
    }
    let machine = Machine::detect()?;
    let mut findings = examine(&machine, &SystemRoots::live());
    findings.extend([binding(), memory_policy(&machine)]);
    let job = Allocation::of_process();
    let now = Timestamp::now();
    let examined = job.iter().flat_map(|job| slurm_job::examine(job, &machine, args.budget, now));
    findings.extend(examined);
    if args.json {
        return print_value(&findings);
    }
    terminal::show(&text(&findings))
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Advice {
    /// What was looked at.
    pub topic: &'static str,
    /// What was found; `None` where this machine does not tell.
    pub found: Option<String>,
    /// What to type, where something should change.
    pub cure: Option<String>,
}

impl Advice {
    fn unknown(topic: &'static str) -> Self {
        Self { topic, found: None, cure: None }
    }

    fn fine(topic: &'static str, found: impl Into<String>) -> Self {
        Self { topic, found: Some(found.into()), cure: None }
    }

    fn bad(topic: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { topic, found: Some(found.into()), cure: Some(cure.into()) }
    }
}

fn text(findings: &[Advice]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Advice { topic, found, cure } = finding;
        let sign = if cure.is_some() { "!" } else { " " };
        let found = found.as_deref().unwrap_or("this machine does not tell");
        let _ = writeln!(text, "{sign} {topic:<16} {found}");
        if let Some(cure) = cure {
            let _ = writeln!(text, "  {:16} -> {cure}", "");
        }
    }
    match findings.iter().filter(|finding| finding.cure.is_some()).count() {
        0 => text += "\nNothing to change.\n",
        1 => text += "\n1 thing could be better.\n",
        n => drop(writeln!(text, "\n{n} things could be better.")),
    }
    text
}

/// Everything that the system's files tell.
fn examine(machine: &Machine, roots: &SystemRoots) -> Vec<Advice> {
    let mut findings = vec![
        governor(machine, roots),
        boost(roots),
        smt(roots),
        huge_pages(roots),
        numa_balancing(machine, roots),
        quota(machine),
        pressure(roots),
        steal(roots),
        allocators(roots),
    ];
    findings.extend(machine.gpus.iter().map(gpu));
    let notes = machine.notes.iter();
    findings.extend(notes.map(|note| Advice::fine("note", note.clone())));
    findings
}

fn gpu(gpu: &Gpu) -> Advice {
    let advice =
        "the built-in jobs run on CPUs; `wan22-tune -- COMMAND` tunes a job of yours on it";
    Advice::fine("gpu", format!("{}: {advice}", gpu.model))
}

fn governor(machine: &Machine, roots: &SystemRoots) -> Advice {
    let topic = "governor";
    let of_cpu = |cpu: u32| {
        let path = format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        line(&roots.sys.join(path)).map(|governor| (governor, cpu))
    };
    let mut governors: BTreeMap<String, CpuSet> = BTreeMap::new();
    for (governor, cpu) in machine.allowed.iter().filter_map(of_cpu) {
        governors.entry(governor).or_default().insert(cpu);
    }
    let words = governors.iter().map(|(governor, cpus)| format!("{governor} on CPUs {cpus}"));
    let found = words.collect::<Vec<_>>().join(", ");
    match governors.keys().any(|governor| governor != "performance") {
        _ if governors.is_empty() => Advice::unknown(topic),
        false => Advice::fine(topic, found),
        true => {
            let cure = "sudo cpupower frequency-set --governor performance";
            Advice::bad(topic, format!("{found}: clocks follow the load, late"), cure)
        }
    }
}

fn boost(roots: &SystemRoots) -> Advice {
    let topic = "boost";
    let cpu = roots.sys.join("devices/system/cpu");
    let knobs = [("cpufreq/boost", "1"), ("intel_pstate/no_turbo", "0")];
    let Some((knob, on, value)) = knobs
        .into_iter()
        .find_map(|(knob, on)| line(&cpu.join(knob)).map(|value| (knob, on, value)))
    else {
        return Advice::unknown(topic);
    };
    if value == on {
        return Advice::fine(topic, "on; short runs clock higher than long ones");
    }
    let cure = format!("echo {on} | sudo tee /sys/devices/system/cpu/{knob}");
    Advice::bad(topic, "off: the processor stays at its base clock", cure)
}

fn smt(roots: &SystemRoots) -> Advice {
    let topic = "SMT";
    match line(&roots.sys.join("devices/system/cpu/smt/control")).as_deref() {
        None => Advice::unknown(topic),
        Some("off") => Advice::bad(
            topic,
            "off: layouts with siblings can't be tried",
            "echo on | sudo tee /sys/devices/system/cpu/smt/control",
        ),
        Some("on") => Advice::fine(topic, "on"),
        Some("notsupported" | "notimplemented") => Advice::fine(topic, "the processor has none"),
        Some(other) => Advice::fine(topic, format!("{other}: only the firmware can change it")),
    }
}

fn huge_pages(roots: &SystemRoots) -> Advice {
    let topic = "huge pages";
    match HugePages::switch(roots).as_deref() {
        Some("never") => Advice::bad(
            topic,
            "never: libtorch and glibc can't ask for them",
            format!("echo madvise | sudo tee /sys/{}", HugePages::SWITCH),
        ),
        Some(chosen) => Advice::fine(topic, chosen),
        None => Advice::unknown(topic),
    }
}

fn numa_balancing(machine: &Machine, roots: &SystemRoots) -> Advice {
    let topic = "NUMA balancing";
    if machine.memory_nodes().len() < 2 {
        return Advice::fine(topic, "irrelevant with one node");
    }
    match line(&roots.proc.join("sys/kernel/numa_balancing")).as_deref() {
        None => Advice::unknown(topic),
        Some("0") => Advice::fine(topic, "off"),
        Some(_) => Advice::bad(
            topic,
            "on: the kernel moves pages while they are measured",
            "sudo sysctl kernel.numa_balancing=0",
        ),
    }
}

fn quota(machine: &Machine) -> Advice {
    let topic = "CPU quota";
    let Some(quota) = machine.limits.cpu_quota else { return Advice::fine(topic, "none") };
    let cpus = machine.allowed.len();
    let Some(whole) = machine.quota_ceiling() else {
        return Advice::fine(topic, format!("{quota} CPUs' time, no less than the CPUs"));
    };
    let found = format!("{quota} CPUs' time for {cpus} CPUs: threads above it are stopped in turn");
    let whole_cpus =
        || format!("give whole CPUs instead: docker run --cpuset-cpus with {whole} of them");
    Advice::bad(topic, found, quota_cure(machine).unwrap_or_else(whole_cpus))
}

/// Share of the last ten seconds in which some task waited for a CPU.
fn pressure(roots: &SystemRoots) -> Advice {
    const BUSY_PERCENT: f64 = 5.0;
    let topic = "other load";
    let text = line(&roots.proc.join("pressure/cpu")).unwrap_or_default();
    let word = text.lines().find_map(|line| line.strip_prefix("some avg10=")?.split(' ').next());
    match word.and_then(|word| word.parse::<f64>().ok()) {
        None => Advice::unknown(topic),
        Some(percent) if percent < BUSY_PERCENT => {
            Advice::fine(topic, format!("tasks waited for a CPU {percent}% of the last 10 s"))
        }
        Some(percent) => Advice::bad(
            topic,
            format!("tasks waited for a CPU {percent}% of the last 10 s"),
            "see `top`, and stop what need not run during a tune",
        ),
    }
}

/// Share of time since boot that the hypervisor gave to others.
fn steal(roots: &SystemRoots) -> Advice {
    const STOLEN_PERCENT: f64 = 1.0;
    let topic = "steal";
    let text = line(&roots.proc.join("stat")).unwrap_or_default();
    let Some((total, stolen)) = ticks(&text).filter(|(total, _)| *total > 0) else {
        return Advice::unknown(topic);
    };
    let percent = 100.0 * stolen as f64 / total as f64;
    let found = format!("the hypervisor took {percent:.1}% of the CPUs' time since boot");
    if percent < STOLEN_PERCENT {
        Advice::fine(topic, found)
    } else {
        Advice::bad(topic, found, "tune on a dedicated host, or with a longer budget")
    }
}

fn allocators(roots: &SystemRoots) -> Advice {
    let known =
        || Allocator::VARIANTS.iter().copied().filter(|allocator| allocator.library().is_some());
    let missing: Vec<&str> =
        known().filter(|a| a.refusal(roots).is_some()).filter_map(Allocator::package).collect();
    let found = format!("{} of {} installed", known().count() - missing.len(), known().count());
    if missing.is_empty() {
        return Advice::fine("allocators", found);
    }
    let cure = format!("sudo apt install {}", missing.join(" "));
    Advice::bad("allocators", format!("{found}: one may be faster than glibc's"), cure)
}

/// Whether this process may bind itself to CPUs at all.
fn binding() -> Advice {
    let topic = "CPU binding";
    match probe_binding() {
        Ok(()) => Advice::fine(topic, "can be set"),
        Err(problem) => {
            let cure = "allow sched_setaffinity in the container's seccomp profile \
                        (docker run --security-opt seccomp=FILE)";
            Advice::bad(topic, problem, cure)
        }
    }
}

/// Whether this process may set a memory policy at all.
fn memory_policy(machine: &Machine) -> Advice {
    let topic = "memory policy";
    let nodes = machine.memory_nodes();
    match MemoryPolicy::Bind(nodes).probe() {
        Ok(()) => Advice::fine(topic, "can be set"),
        Err(problem) if machine.memory_nodes().len() < 2 => {
            Advice::fine(topic, format!("{problem} (irrelevant with one node)"))
        }
        Err(problem) => Advice::bad(topic, problem, "docker run --cap-add SYS_NICE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(description: &str, files: &[(&str, &str)]) -> Vec<Advice> {
        let (_tree, roots) = SystemRoots::of_files(files);
        let mut machine = Machine::synthetic(description);
        machine.limits.cpu_quota = files.iter().any(|(path, _)| *path == "quota").then_some(1.5);
        examine(&machine, &roots)
    }

    const TWO_NODES: &str = "package:2 [numa(memory=8GB)] core:2 pu:1";

    #[test]
    fn a_badly_set_up_host_gets_a_cure_for_each_ill() {
        let cpu = "sys/devices/system/cpu";
        let governor = |n: u32| format!("{cpu}/cpu{n}/cpufreq/scaling_governor");
        let findings = found(
            TWO_NODES,
            &[
                (&governor(0), "performance\n"),
                (&governor(1), "powersave\n"),
                (&format!("{cpu}/intel_pstate/no_turbo"), "1\n"),
                (&format!("{cpu}/smt/control"), "off\n"),
                ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
                ("proc/sys/kernel/numa_balancing", "1\n"),
                ("quota", ""),
                ("proc/pressure/cpu", "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\n"),
                ("proc/stat", "cpu  800 0 100 0 0 0 0 100 0 0\ncpu0 1 2 3\n"),
                ("usr/lib/x86_64-linux-gnu/libjemalloc.so.2", ""),
            ],
        );
        insta::assert_snapshot!(text(&findings));
    }

    #[test]
    fn a_well_set_up_host_needs_nothing() {
        let cpu = "sys/devices/system/cpu";
        let findings = found(
            "package:1 [numa(memory=8GB)] l3:1 core:1 pu:1",
            &[
                (&format!("{cpu}/cpu0/cpufreq/scaling_governor"), "performance\n"),
                (&format!("{cpu}/cpufreq/boost"), "1\n"),
                (&format!("{cpu}/smt/control"), "notsupported\n"),
                ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
                ("proc/pressure/cpu", "some avg10=0.00 avg60=3.00 avg300=1.00 total=9\n"),
                ("proc/stat", "cpu  800 0 100 9000 0 0 0 1 0 0\n"),
                ("usr/lib64/libjemalloc.so.2", ""),
                ("usr/lib64/libtcmalloc_minimal.so.4", ""),
                ("usr/lib64/libmimalloc.so.2", ""),
            ],
        );
        assert!(findings.iter().all(|finding| finding.cure.is_none()), "{findings:#?}");
        assert!(findings.iter().all(|finding| finding.found.is_some()), "{findings:#?}");
    }

    #[test]
    fn a_gpu_is_told_to_be_left_alone_by_the_built_in_jobs() {
        let mut machine = Machine::synthetic(TWO_NODES);
        machine.gpus = vec![Gpu { model: "NVIDIA L4".to_owned(), ..Gpu::default() }];
        let (_tree, roots) = SystemRoots::of_files::<&str, &str>(&[]);
        let findings = examine(&machine, &roots);
        let of_gpu = findings.iter().find(|finding| finding.topic == "gpu").unwrap();
        let found = of_gpu.found.as_deref().unwrap();
        assert!(found.starts_with("NVIDIA L4: the built-in jobs run on CPUs"), "{found}");
    }

    #[test]
    fn a_host_that_tells_nothing_is_no_ill_host() {
        let findings = found("package:1 [numa(memory=8GB)] l3:1 core:1 pu:1", &[]);
        let ills = findings.iter().filter(|finding| finding.cure.is_some());
        assert_eq!(ills.map(|finding| finding.topic).collect::<Vec<_>>(), ["allocators"]);
    }
}
