//! What a CPU quota means for settings, in words.

use super::LEAST_THREADS;
use crate::machine::Machine;

/// That the quota allows fewer threads than a trial has at the least, and the cure.
pub fn quota_warning(machine: &Machine) -> Option<String> {
    let cure = quota_cure(machine)?;
    let quota = machine.limits.cpu_quota?;
    Some(format!(
        "a quota of {quota} CPUs' time for at least {LEAST_THREADS} threads (the model's and one \
         for each pool): the kernel will stop them in turn; {cure}"
    ))
}

/// The quota to ask for where [`quota_warning`] warns.
pub fn quota_cure(machine: &Machine) -> Option<String> {
    machine.quota_ceiling().filter(|&ceiling| ceiling < LEAST_THREADS)?;
    Some(quota_for(LEAST_THREADS, machine.allowed.len()))
}

/// The words that ask for a quota for `threads` threads where there are `cpus` CPUs: container
/// engines refuse a quota of more CPUs than there are.
pub fn quota_for(threads: usize, cpus: usize) -> String {
    let count = threads.min(cpus).max(1);
    let noun = if count == 1 { "CPU" } else { "CPUs" };
    let more = if count < cpus { " or more" } else { "" };
    format!(
        "give {count} {noun}{more} (docker run --cpus {count}, in Kubernetes limits.cpu {count})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(cpus: usize, quota: f64) -> Machine {
        let mut machine = Machine::synthetic(&format!("package:1 numa:1 core:{cpus} pu:1"));
        machine.limits.cpu_quota = Some(quota);
        machine
    }

    #[test]
    fn the_cure_names_no_more_cpus_than_there_are() {
        for (cpus, quota, expected) in [
            (2, 0.1, Some("give 2 CPUs (docker run --cpus 2, in Kubernetes limits.cpu 2)")),
            (2, 1.5, Some("give 2 CPUs (docker run --cpus 2, in Kubernetes limits.cpu 2)")),
            (1, 0.5, None),
            (2, 1.99999, None),
            (2, 2.0, None),
            (4, 3.0, Some("give 4 CPUs (docker run --cpus 4, in Kubernetes limits.cpu 4)")),
            (8, 3.5, Some("give 4 CPUs or more (docker run --cpus 4, in Kubernetes limits.cpu 4)")),
            (8, 3.99, None),
            (8, 4.0, None),
        ] {
            assert_eq!(quota_cure(&limited(cpus, quota)).as_deref(), expected, "{cpus}, {quota}");
            let warned = quota_warning(&limited(cpus, quota)).is_some();
            assert_eq!(warned, expected.is_some(), "{cpus}, {quota}");
        }
    }
}
