//! Whether a profile's launch is what its candidate comes to on this machine.

use super::{Profile, ProfileError};
use crate::knobs::allow_list::CUDA_ALLOCATOR;
use crate::knobs::placement::Layout;
use crate::knobs::{Baseline, Preset, Settings};
use crate::machine::{Gpu, Machine, Node};

impl Profile {
    /// Checks the launch against the candidate, resolved on a machine of the profile's shape.
    ///
    /// # Errors
    /// What differs: somebody changed the one without the other, or this machine has changed.
    pub fn agrees(&self, machine: &Machine) -> Result<(), ProfileError> {
        let baseline = Baseline::fit(Preset::detect(machine), machine);
        let knobs = self.knobs(&baseline.knobs);
        let knobs = knobs.map_err(|reason| ProfileError::at(["candidate"], reason))?;
        let there = self.as_tuned(machine);
        // Which GPU is seen may differ from start to start: the CPUs of one node are what it came to.
        let near = |node: &Node| {
            let gpu = Gpu { numa_node: Some(node.number), ..Gpu::default() };
            knobs.resolve(&Machine { gpus: vec![gpu], ..there.clone() })
        };
        let is_like = |node: &Node| near(node).is_ok_and(|near| self.differs(&near).is_none());
        if knobs.affinity == Layout::GpuNode && there.nodes.iter().any(is_like) {
            return Ok(());
        }
        let settings = knobs.resolve(&there);
        let settings = settings.map_err(|reason| ProfileError::at(["candidate"], reason))?;
        let Some(error) = self.differs(&settings) else { return Ok(()) };
        // Where the tune ran, the kernel may have forbidden the policy, so that it came to none.
        let mut forbidding = there;
        forbidding.refused_modes.insert(knobs.memory_mode.to_string(), String::new());
        match knobs.resolve(&forbidding) {
            Ok(settings) if self.differs(&settings).is_none() => Ok(()),
            _ => Err(error),
        }
    }

    /// The machine as the tune was allowed to use it: a mask or quota that this process happens to
    /// have says nothing of the profile.
    fn as_tuned(&self, machine: &Machine) -> Machine {
        let all = machine.all_cpus();
        let allowed = self.machine.allowed.intersection(&all);
        let mut there = machine.clone();
        there.allowed = if allowed.is_empty() { all } else { allowed };
        there.limits.cpu_quota = None;
        there
    }

    fn differs(&self, settings: &Settings) -> Option<ProfileError> {
        let launch = &self.launch;
        let comes_to = |what: &dyn std::fmt::Display| format!("the candidate comes to {what} here");
        if launch.cpus != settings.placement.process {
            let reason = comes_to(&settings.placement.process);
            return Some(ProfileError::at(["launch", "cpus"], reason));
        }
        if launch.memory != settings.memory {
            return Some(ProfileError::at(["launch", "memory"], comes_to(&settings.memory)));
        }
        let names = launch.environment.keys().chain(settings.environment.keys());
        let mut names = names.filter(|name| !CUDA_ALLOCATOR.contains(&name.as_str()));
        let odd =
            names.find(|name| launch.environment.get(*name) != settings.environment.get(*name))?;
        let value = settings.environment.get(odd).map_or("unset", String::as_str);
        Some(ProfileError::at(["launch", "environment", odd], comes_to(&value)))
    }
}
