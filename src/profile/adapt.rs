//! Adapting: what a profile of another machine comes to on this one.
//!
//! Counts keep their share of the cores, and whatever this machine can't have gives way to what is
//! nearest to it. It is a guess by topology, never measured: only a tune here proves anything.

use super::Profile;
use crate::knobs::{Baseline, Host, Knobs, Migration, Preset, Settings};
use crate::machine::Machine;

/// A profile's candidate, fitted to another machine.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// The candidate.
    pub knobs: Knobs,
    /// What it comes to.
    pub settings: Settings,
    /// What was changed and why, one line a knob.
    pub changes: Vec<String>,
}

impl Profile {
    /// Fits the candidate to `machine`.
    ///
    /// # Errors
    /// The machine can't run it in any way.
    pub fn adapt(&self, machine: &Machine) -> Result<Adapted, String> {
        let baseline = Baseline::fit(Preset::detect(machine), machine);
        let given = self.knobs(&baseline.knobs)?;
        let there = self.hardware_profile.cpu_cores.min(self.tuned_quota().unwrap_or(usize::MAX));
        let (knobs, reasons) =
            given.adapted(&Migration { cores_there: there, here: Host::of(machine) });
        let settings = knobs.resolve(machine)?;
        let (old, new) = (given.values(), knobs.values());
        let change = |(name, reason): (&str, String)| {
            (old[name] != new[name])
                .then(|| format!("{name} {} -> {}: {reason}", old[name], new[name]))
        };
        Ok(Adapted {
            knobs: knobs.clone(),
            settings,
            changes: reasons.into_iter().filter_map(change).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::memory::MemoryMode;
    use crate::knobs::placement::Layout;

    /// A profile of 64 cores on 4 nodes that uses what smaller machines lack.
    fn large() -> Profile {
        let machine = Machine::synthetic("package:2 [numa(memory=8GB)] l3:4 core:8 pu:2");
        let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
        let mut knobs = baseline.knobs.clone();
        (knobs.intra_op_threads, knobs.inter_op_threads) = (48, 16);
        (knobs.affinity, knobs.memory_mode) = (Layout::PartitionedNodes, MemoryMode::Interleave);
        (knobs.io_workers, knobs.preprocess_workers) = (4, 8);
        Profile::new(&machine, &baseline, &knobs, "2026-11-24T10:00:00Z".to_owned()).unwrap()
    }

    #[test]
    fn counts_keep_their_share_and_the_nearest_layout_is_taken() {
        let small = Machine::synthetic("package:1 [numa(memory=8GB)] l3:2 core:4 pu:1");
        let adapted = large().adapt(&small).unwrap();
        assert_eq!(adapted.settings.intra_op_threads, 6);
        assert_eq!(adapted.settings.inter_op_threads, 2);
        // Two L3 groups instead of two nodes: the model takes one, the pools the other.
        assert!(adapted.settings.placement.model.is_disjoint(&adapted.settings.placement.io));
        assert_eq!(adapted.settings.memory, crate::knobs::memory::MemoryPolicy::Default);
        let changes = adapted.changes.join("\n");
        for expected in [
            "intra_op_threads 48 -> 6: 64 cores there, 8 here",
            "io_workers 4 -> 1: 64 cores there, 8 here",
            "affinity partitioned-nodes -> partitioned-l3: this machine has no such layout",
            "memory_mode interleave -> default: this machine has no such mode",
        ] {
            assert!(changes.contains(expected), "{changes}");
        }
    }

    #[test]
    fn one_cpu_is_enough_and_the_same_machine_changes_nothing() {
        let tiny = Machine::synthetic("package:1 core:1 pu:1");
        let adapted = large().adapt(&tiny).unwrap();
        assert_eq!(adapted.settings.placement.process.to_string(), "0");
        assert_eq!(adapted.settings.intra_op_threads, 1);
        let same = Machine::synthetic("package:2 [numa(memory=8GB)] l3:4 core:8 pu:2");
        assert_eq!(large().adapt(&same).unwrap().changes, [""; 0]);
    }
}
