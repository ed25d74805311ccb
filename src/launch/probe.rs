//! Probe: whether a memory mode works here, found out by trying.
//!
//! The kernel's and hwloc's lists of what exists are no proof: a container forbids the calls, and
//! a kernel may take a policy and make it another one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::knobs::memory::{MemoryMode, MemoryPolicy};
use crate::machine::{Machine, MachineSource, syscalls, threads};

impl MemoryPolicy {
    /// Tries the policy out in a thread of its own: sets it, reads it back and looks where fresh
    /// pages come to lie.
    ///
    /// # Errors
    /// What does not work here, and the cure where there is one.
    pub fn probe(&self) -> Result<(), String> {
        self.tried().map_err(|reason| format!("{self} does not work here: {reason}"))
    }

    fn tried(&self) -> Result<(), String> {
        if *self == Self::Default {
            // It holds where nothing else may be set, even if the kernel does not say so.
            return Ok(());
        }
        let policy = self.clone();
        let tried = threads::spawn(move || policy.try_out()).map_err(|error| format!("{error:#}"));
        tried?.join().unwrap_or_else(|_| Err("the probe itself failed".to_owned()))
    }

    fn try_out(&self) -> Result<(), String> {
        const PAGES: usize = 64;
        let refused = |error: io::Error| cure(&error);
        self.apply().map_err(refused)?;
        let got = Self::read().map_err(refused)?;
        if got != *self {
            return Err(format!("the kernel made it {got}"));
        }
        let (Self::Bind(nodes) | Self::Interleave(nodes)) = self else { return Ok(()) };
        // Where the kernel does not say where pages are, the policy read back has to do.
        let Ok(pages) = syscalls::touch_fresh_pages(PAGES) else { return Ok(()) };
        let found: BTreeSet<u32> = pages.into_iter().flatten().collect();
        match found.iter().find(|&&node| !nodes.contains(node)) {
            Some(node) => Err(format!("pages went to node {node}")),
            None => Ok(()),
        }
    }
}

pub(super) fn cure(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            "the kernel forbids it; in a container, start it with `--cap-add SYS_NICE`".to_owned()
        }
        Some(libc::EINVAL) => "the kernel lacks the mode, or a node is absent or not allowed \
                               (see Mems_allowed_list in /proc/self/status)"
            .to_owned(),
        Some(libc::ENOSYS) => "the kernel was built without NUMA (CONFIG_NUMA)".to_owned(),
        _ => error.to_string(),
    }
}

/// The machine, with the memory modes that don't work on it left out: each is tried once. A
/// machine that is only planned for is left as it is.
pub fn proven(mut machine: Machine) -> Machine {
    if machine.source != MachineSource::Live {
        return machine;
    }
    for mode in MemoryMode::of(&machine) {
        let wrong = mode.variants(&machine).iter().find_map(|policy| policy.tried().err());
        if let Some(reason) = wrong {
            machine.refused_modes.insert(mode.to_string(), reason);
        }
    }
    machine
}

/// One line about the memory modes that were left out, with the cure; `None` where none was.
pub fn unavailable_modes(machine: &Machine) -> Option<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (mode, reason) in &machine.refused_modes {
        by_reason.entry(reason).or_default().push(mode);
    }
    let line = |(reason, modes): (&str, Vec<&str>)| format!("{}: {reason}", modes.join(", "));
    let lines: Vec<String> = by_reason.into_iter().map(line).collect();
    let baseline = if machine.refused_modes.contains_key::<str>(MemoryMode::Baseline.into()) {
        "; the baseline's comes to the default"
    } else {
        ""
    };
    (!lines.is_empty()).then(|| format!("memory modes left out: {}{baseline}", lines.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_offered_and_is_told_of_in_one_line() {
        let mut machine = Machine::synthetic("package:2 [numa(memory=8GB)] core:2 pu:1");
        assert_eq!(unavailable_modes(&machine), None);
        for mode in ["baseline", "bind", "interleave"] {
            machine.refused_modes.insert(mode.to_owned(), "forbidden".to_owned());
        }
        machine.refused_modes.insert("preferred".to_owned(), "odd".to_owned());
        assert_eq!(MemoryMode::of(&machine), [MemoryMode::Default, MemoryMode::Baseline]);
        assert_eq!(MemoryMode::Baseline.variants(&machine), [MemoryPolicy::Default]);
        let words = "memory modes left out: baseline, bind, interleave: forbidden; preferred: odd; \
                     the baseline's comes to the default";
        assert_eq!(unavailable_modes(&machine).unwrap(), words);
    }

    #[test]
    fn a_machine_that_is_only_planned_for_is_not_tried() {
        let machine = Machine::synthetic("package:2 [numa(memory=8GB)] core:2 pu:1");
        assert_eq!(proven(machine.clone()), machine);
    }

    #[test]
    fn a_node_that_this_machine_lacks_is_left_out() {
        let mut machine = Machine::synthetic("package:2 [numa(memory=8GB)] core:2 pu:1");
        machine.nodes[1].number = 1000;
        machine.source = MachineSource::Live;
        let proven = proven(machine);
        assert!(proven.refused_modes.contains_key("interleave"), "{:?}", proven.refused_modes);
        assert!(!MemoryMode::of(&proven).contains(&MemoryMode::Interleave));
    }
}
