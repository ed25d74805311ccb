//! Part: what of a machine a tune was allowed to use, where that was not all of it.

use std::fmt;

use super::{MachineId, Profile, ThisMachine};
use crate::io::digest::{digest, is_digits};
use crate::machine::{CpuSet, Limits, MachineMatch};

/// Digits of its digest.
const DIGITS: usize = 8;

/// Tells one part of a machine from others: the same for the same CPUs and the same quota in whole
/// CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePart(String);

impl MachinePart {
    /// The part that a file's name speaks of.
    pub fn parse(text: &str) -> Option<Self> {
        is_digits(text, DIGITS).then(|| Self(text.to_owned()))
    }

    /// `None` for the whole machine.
    fn of(allowed: Option<&CpuSet>, quota: Option<usize>) -> Option<Self> {
        if allowed.is_none() && quota.is_none() {
            return None;
        }
        let allowed = allowed.map_or_else(String::new, ToString::to_string);
        Some(Self(short_digest(&format!("{allowed} {quota:?}"))))
    }
}

impl fmt::Display for MachinePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A few digits that stand for a text.
pub fn short_digest(text: &str) -> String {
    digest(text)[..DIGITS].to_owned()
}

impl MachineId {
    /// The part of the machine that this speaks of; `cpus` is how many the machine has, where the
    /// mark itself does not tell. Where nobody knows, it is taken for the whole.
    pub(super) fn part(&self, cpus: Option<usize>) -> Option<MachinePart> {
        let all = self.cpus.or(cpus);
        let is_part = !self.allowed.is_empty() && all.is_some_and(|all| self.allowed.len() < all);
        let quota = Limits { cpu_quota: self.cpu_quota, memory_bytes: None }.whole_cpus();
        MachinePart::of(Some(&self.allowed).filter(|_| is_part), quota)
    }
}

impl ThisMachine {
    /// The part of its machine that a profile was tuned on.
    pub fn part_of(&self, profile: &Profile) -> Option<MachinePart> {
        let is_alike = self.machine_match(profile) != MachineMatch::Different;
        profile.machine.part(is_alike.then_some(self.cpus))
    }

    /// Whether a profile was tuned on what this process may use.
    pub(super) fn is_of_this_part(&self, profile: &Profile) -> bool {
        self.part_of(profile) == self.id.part(Some(self.cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;
    use crate::machine::Machine;

    fn machine(allowed: &str, quota: Option<f64>) -> Machine {
        let mut machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:4 pu:1");
        (machine.allowed, machine.limits.cpu_quota) = (allowed.parse().unwrap(), quota);
        machine
    }

    fn profile(machine: &Machine) -> Profile {
        Profile::of_baseline(Preset::Generic, machine)
    }

    #[test]
    fn parts_are_told_apart_and_the_whole_is_none() {
        let here = ThisMachine::of(&machine("0-3", None));
        let part = |allowed, quota| here.part_of(&profile(&machine(allowed, quota)));
        assert_eq!(part("0-3", None), None);
        assert_eq!(part("0-3", Some(4.0)), None, "a quota of all CPUs is none");
        let parts =
            [part("0-1", None), part("2-3", None), part("0-3", Some(2.0)), part("0-1", Some(1.0))];
        for (i, one) in parts.iter().enumerate() {
            assert!(one.is_some(), "{i}");
            assert!(parts[..i].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(part("0-3", Some(2.0)), part("0-3", Some(2.5)), "whole CPUs count");
        // On another machine the profile itself tells that it is of a part.
        let elsewhere =
            ThisMachine::of(&Machine::synthetic("package:2 [numa(memory=8GB)] core:4 pu:1"));
        assert_eq!(elsewhere.part_of(&profile(&machine("0-1", None))), parts[0]);
        assert_eq!(elsewhere.part_of(&profile(&machine("0-3", None))), None);
        // One that does not tell is held against a machine of its shape.
        let mut silent = profile(&machine("0-1", None));
        silent.machine.cpus = None;
        assert_eq!(here.part_of(&silent), parts[0]);
        assert!(ThisMachine::of(&machine("0-1", None)).is_of_this_part(&silent));
        assert!(!here.is_of_this_part(&silent));
    }
}
