//! How much a profile's machine has in common with this one.

use super::{MachineId, Profile};
use crate::machine::{Machine, MachineMatch};

/// This machine, as profiles are held against it.
#[derive(Clone, Debug)]
pub struct ThisMachine {
    /// What tells it from others.
    pub id: MachineId,
    /// Its identity by the rule of older versions, which left the host's name out.
    former: String,
    /// How many CPUs it has, those included that this process may not use.
    pub(super) cpus: usize,
}

impl ThisMachine {
    /// What tells `machine` from others.
    pub fn of(machine: &Machine) -> Self {
        let cpus = machine.cores.iter().map(|core| core.cpus.len()).sum();
        Self { id: MachineId::of(machine), former: machine.former_identity(), cpus }
    }

    /// How much the machine of `profile` has in common with this one.
    pub fn machine_match(&self, profile: &Profile) -> MachineMatch {
        let (here, there) = (&self.id, &profile.machine);
        let is_former = there.fingerprint.identity == self.former && there.host == here.host;
        match here.fingerprint.compare(&there.fingerprint) {
            MachineMatch::SameShape if is_former => MachineMatch::Same,
            machine_match => machine_match,
        }
    }

    /// The identities under which profiles of this very machine may be kept.
    pub(super) fn identities(&self) -> [&str; 2] {
        [&self.id.fingerprint.identity, &self.former]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;

    fn machine(host: &str) -> Machine {
        let mut machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:4 pu:1");
        (machine.host, machine.host_key) = (host.to_owned(), "one image".to_owned());
        machine
    }

    fn profile(machine: &Machine) -> Profile {
        Profile::of_baseline(Preset::Generic, machine)
    }

    #[test]
    fn clones_of_one_image_are_two_machines() {
        let (one, other) = (machine("node07"), machine("node08"));
        assert_eq!(ThisMachine::of(&one).machine_match(&profile(&one)), MachineMatch::Same);
        assert_eq!(ThisMachine::of(&other).machine_match(&profile(&one)), MachineMatch::SameShape);
    }

    #[test]
    fn a_profile_of_an_older_version_is_known_by_its_identity_and_host() {
        let one = machine("node07");
        let mut old = profile(&one);
        old.machine.fingerprint.identity = one.former_identity();
        assert_eq!(ThisMachine::of(&one).machine_match(&old), MachineMatch::Same);
        assert_eq!(
            ThisMachine::of(&machine("node08")).machine_match(&old),
            MachineMatch::SameShape
        );
    }
}
