//! The effect of settings on a process that is not ours, seen from outside.

use std::path::Path;

use super::read::of_folder;
use crate::knobs::Settings;
use crate::knobs::effect::{Effect, OTHER};
use crate::knobs::memory::allocator::GLIBC;
use crate::machine::SystemRoots;

impl Effect {
    /// Reads what holds in process `pid`; `None` when it is gone or its libraries are still being
    /// loaded. Where its memory lies is read only `with_memory`, since the kernel walks all of it.
    pub fn of_process(pid: u32, with_memory: bool) -> Option<Self> {
        let folder = SystemRoots::live().proc.join(pid.to_string());
        if is_loading(&folder) {
            return None;
        }
        let mut effect = of_folder(&folder, with_memory);
        // A command's threads have names of its own choice.
        let pools = std::mem::take(&mut effect.pools).into_values();
        let all = pools.reduce(|mut all, pool| {
            all.join(pool);
            all
        });
        effect.pools.extend(all.map(|all| (OTHER.to_owned(), all)));
        // It may have become another program meanwhile.
        (!effect.pools.is_empty() && !is_loading(&folder)).then_some(effect)
    }

    /// Takes in what holds in another process of the same command.
    pub fn join(&mut self, other: Self) {
        for (name, pool) in other.pools {
            self.pools.entry(name).or_default().join(pool);
        }
        for (node, bytes) in other.anonymous_bytes {
            *self.anonymous_bytes.entry(node).or_default() += bytes;
        }
        if self.allocator == GLIBC {
            self.allocator = other.allocator;
        }
        self.openmp.extend(other.openmp);
        self.openmp.sort();
        self.openmp.dedup();
    }

    /// In words, what the command did to its own CPUs inside those that it was given; nothing is
    /// known where OpenMP was asked to bind its threads.
    pub fn own_binding(&self, settings: &Settings) -> Option<String> {
        if settings.environment.contains_key("OMP_PLACES") {
            return None;
        }
        let given = &settings.placement.process;
        let all = self.pools.get(OTHER)?;
        let narrower = all.allowed.iter().any(|mask| mask != given && mask.is_subset(given));
        narrower.then(|| format!("the command bound itself to CPUs {} of {given}", all.masks()))
    }
}

/// Whether the kernel or the dynamic linker is at work: the one has not written the environment yet,
/// or the other is mapped, and in both cases the C library is not.
fn is_loading(folder: &Path) -> bool {
    let maps = std::fs::read_to_string(folder.join("maps")).unwrap_or_default();
    let mapped = |name: &str| {
        let files = maps.lines().filter_map(|line| line.rsplit_once('/'));
        files.into_iter().any(|(_, file)| file.starts_with(name))
    };
    let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
    !mapped("libc.so") && (mapped("ld-linux") || environment.is_empty())
}
