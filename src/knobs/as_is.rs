//! As is: knobs that a launch leaves as its caller has them, so that a baseline is what runs today.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::libraries::{OmpRuntime, omp_runtime};
use super::memory::allocator::{self, GLIBC_KEEP};
use super::memory::huge_pages::GLIBC_HUGE;
use super::memory::{Allocator, HugePages};
use super::{Baseline, KNOBS, Knobs, Value, allow_list, file_names, program_environment};
use crate::machine::Machine;

/// The names of such knobs.
pub type AsIs = BTreeSet<String>;

/// Every knob that acts from outside: what is only handed over has no other value than ours.
pub fn all() -> AsIs {
    let outside = KNOBS.iter().filter(|(_, knob)| !knob.is_handed_over());
    outside.map(|(name, _)| (*name).to_owned()).collect()
}

/// The variables of this process that decide how libraries run.
pub fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| allow_list::decides(name)).collect()
}

impl Baseline {
    /// What runs today: whatever the caller's `environment` says, and libtorch's defaults where it
    /// says nothing. A knob that is only handed over has the value of its variable, if there is one.
    #[must_use]
    pub fn as_is(self, machine: &Machine, environment: &BTreeMap<String, String>) -> Self {
        let mut knobs = self.libtorch_defaults(machine);
        knobs.read_environment(environment, machine);
        knobs.read_handed(&self.knobs);
        knobs.as_is = all();
        self.with(|own| *own = knobs)
    }

    /// What it is called: a preset, or what runs today.
    pub fn name(&self) -> String {
        if self.knobs.as_is.is_empty() { self.preset.to_string() } else { "as-is".to_owned() }
    }
}

impl Knobs {
    fn read_environment(&mut self, environment: &BTreeMap<String, String>, machine: &Machine) {
        let text = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
        let most = 4 * machine.thread_limit() + 64;
        let threads = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"].into_iter().find_map(|name| {
            // One number per level of nesting.
            number::<usize>(text(name).split(',').next().unwrap_or_default())
        });
        self.intra_op_threads = threads.map_or(self.intra_op_threads, |count| count.min(most));
        self.malloc_arenas = number(text("MALLOC_ARENA_MAX")).unwrap_or(self.malloc_arenas);
        let tunables = text("GLIBC_TUNABLES");
        let preloaded = || file_names(text(allow_list::PRELOAD));
        self.allocator = match Allocator::from_str(allocator::loaded(preloaded())) {
            Ok(Allocator::Glibc) | Err(_) if tunables.contains(GLIBC_KEEP) => Allocator::GlibcKeep,
            found => found.unwrap_or_default(),
        };
        let runtime = preloaded().find(|file| omp_runtime::is_runtime(file)).unwrap_or_default();
        let runtimes = [OmpRuntime::Libiomp5, OmpRuntime::Libomp];
        let is_loaded = |one: &OmpRuntime| runtime.starts_with(&one.to_string());
        self.omp_runtime = runtimes.into_iter().find(is_loaded).unwrap_or_default();
        self.omp_wait = text("OMP_WAIT_POLICY").to_lowercase().parse().unwrap_or_default();
        self.huge_pages = match () {
            () if tunables.contains(GLIBC_HUGE) => HugePages::Glibc,
            () if text("THP_MEM_ALLOC_ENABLE") == "1" => HugePages::Libtorch,
            () => HugePages::None,
        };
    }

    /// The values of this process' own `WAN22_` variables, as far as they are values.
    fn read_handed(&mut self, usual: &Self) {
        for (name, value) in usual
            .built_in()
            .into_iter()
            .filter(|(name, _)| program_environment::is_handed_over(name))
        {
            let Ok(text) = std::env::var(program_environment::variable(&name)) else { continue };
            let told = value.kind().read(&text).unwrap_or_else(|_| Value::guess(&text));
            if let Ok(knobs) = self.with([(name.as_str(), &told)]) {
                *self = knobs;
            }
        }
    }
}

fn number<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    text.trim().parse().ok().filter(|number| *number >= T::from(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;

    #[test]
    fn a_baseline_is_read_from_what_the_caller_set() {
        let machine = Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:1").unwrap();
        let fitted = || Baseline::fit(Preset::Threadripper5995wx, &machine);
        let read = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            fitted().as_is(&machine, &all.collect()).knobs
        };
        let plain = read(&[]);
        assert_eq!((plain.intra_op_threads, plain.allocator), (4, Allocator::Glibc));
        assert!(plain.as_is.contains("affinity") && plain.as_is.contains("cuda_alloc"));
        assert!(!plain.as_is.contains("batch_size"));
        assert!(plain.environment().is_empty(), "nothing is set");
        let set = read(&[
            ("OMP_NUM_THREADS", "3,1"),
            ("LD_PRELOAD", "/opt/lib/libjemalloc.so.2 /opt/lib/libiomp5.so"),
            ("OMP_WAIT_POLICY", "PASSIVE"),
            ("MALLOC_ARENA_MAX", "2"),
        ]);
        assert_eq!((set.intra_op_threads, set.malloc_arenas), (3, 2));
        assert_eq!((set.allocator, set.omp_runtime), (Allocator::Jemalloc, OmpRuntime::Libiomp5));
        assert_eq!(set.omp_wait.to_string(), "passive");
        // What a candidate changes is set, the rest is left alone.
        let changed = set.with([("allocator", &Value::Word("tcmalloc".to_owned()))]).unwrap();
        let names: Vec<String> = changed.environment().into_keys().collect();
        assert_eq!(names, ["LD_PRELOAD"]);
        let back = changed.with([("allocator", &Value::Word("tcmalloc".to_owned()))]).unwrap();
        assert!(!back.as_is.contains("allocator") && back.as_is.contains("omp_wait"));
    }
}
