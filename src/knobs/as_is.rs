//! As is: knobs that a launch leaves as its caller has them, so that a baseline is what runs today.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::{Baseline, KNOBS, Knobs, Value, allow_list, file_names, program_environment};
use crate::machine::Machine;

/// The names of such knobs.
pub type AsIs = BTreeSet<String>;

/// Every knob that acts from outside.
pub fn all() -> AsIs {
    let outside = KNOBS.iter().filter(|(_, knob)| !knob.is_handed_over());
    outside.map(|(name, _)| (*name).to_owned()).collect()
}

/// Those of some knobs that are left to the program: nothing acts on them from outside.
pub fn of_program(as_is: &AsIs) -> AsIs {
    as_is.difference(&all()).cloned().collect()
}

/// The variables of this process that decide how libraries run.
pub fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| allow_list::decides(name)).collect()
}

impl Baseline {
    /// What runs today: whatever the caller's `environment` says, and libtorch's defaults where it
    /// says nothing. A knob that is only handed over has the value of its variable, or is left to the
    /// program, whose own value nobody here knows.
    #[must_use]
    pub fn as_is(self, machine: &Machine, environment: &BTreeMap<String, String>) -> Self {
        let mut knobs = self.libtorch_defaults(machine);
        let caller = CallerEnvironment { environment, machine };
        KNOBS.iter().for_each(|(_, knob)| knob.read_caller(&mut knobs, &caller));
        let said = knobs.read_handed(&self.knobs);
        knobs.as_is = KNOBS.iter().map(|(name, _)| (*name).to_owned()).collect();
        knobs.as_is.retain(|name| !said.contains(name));
        self.with(|own| *own = knobs)
    }

    /// What it is called: a preset, or what runs today.
    pub fn name(&self) -> String {
        if self.knobs.as_is.is_empty() { self.preset.to_string() } else { "as-is".to_owned() }
    }
}

/// Whoever starts the tuner: what it sets for libraries, on its machine.
#[derive(Clone, Copy, Debug)]
pub struct CallerEnvironment<'a> {
    /// Its variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Where it runs.
    pub machine: &'a Machine,
}

impl<'a> CallerEnvironment<'a> {
    /// The value of a variable; empty where it is not set.
    pub fn text(&self, name: &str) -> &'a str {
        self.environment.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A positive number in a variable.
    pub fn number<T: FromStr + PartialOrd + From<u8>>(&self, name: &str) -> Option<T> {
        // OpenMP takes one number per level of nesting.
        let first = self.text(name).split(',').next()?;
        first.trim().parse().ok().filter(|number| *number >= T::from(1))
    }

    /// The file names of the libraries that it loads before all others.
    pub fn preloaded(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        file_names(self.text(allow_list::PRELOAD))
    }
}

impl Knobs {
    /// Takes the values of this process' own `WAN22_` variables, as far as they are values that somebody
    /// chose; returns the names of their knobs. Where a shell has read an export, that left the others to
    /// the program.
    fn read_handed(&mut self, usual: &Self) -> AsIs {
        let left = std::env::var(program_environment::AS_IS).unwrap_or_default();
        let is_chosen = |name: &str| left.split(',').all(|one| one != name);
        let mut said = AsIs::new();
        for (name, value) in usual
            .built_in()
            .into_iter()
            .filter(|(name, _)| program_environment::is_handed_over(name) && is_chosen(name))
        {
            let Ok(text) = std::env::var(program_environment::variable(&name)) else { continue };
            let told = value.kind().read(&text).unwrap_or_else(|_| Value::guess(&text));
            if let Ok(knobs) = self.with([(name.as_str(), &told)]) {
                *self = knobs;
                said.insert(name);
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::Preset;
    use crate::knobs::libraries::onednn_isa::OnednnIsa;
    use crate::knobs::libraries::{MklDispatch, OmpRuntime};
    use crate::knobs::memory::Allocator;
    use crate::knobs::placement::OmpPlaces;

    #[test]
    fn a_baseline_is_read_from_what_the_caller_set() {
        let machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:4 pu:1");
        let fitted = || Baseline::fit(Preset::Threadripper5995wx, &machine);
        let read = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            fitted().as_is(&machine, &all.collect()).knobs
        };
        let plain = read(&[]);
        assert_eq!((plain.intra_op_threads, plain.allocator), (4, Allocator::Glibc));
        assert!(plain.as_is.contains("affinity") && plain.as_is.contains("cuda_alloc"));
        assert!(plain.as_is.contains("batch_size"), "no variable hands it over");
        assert!(plain.environment().is_empty(), "nothing is set");
        let set = read(&[
            ("OMP_NUM_THREADS", "3,1"),
            ("LD_PRELOAD", "/opt/lib/libjemalloc.so.2 /opt/lib/libiomp5.so"),
            ("OMP_WAIT_POLICY", "PASSIVE"),
            ("MALLOC_ARENA_MAX", "2"),
            ("OMP_PLACES", "cores"),
            ("OMP_PROC_BIND", "SPREAD"),
            ("ONEDNN_MAX_CPU_ISA", "AVX2"),
        ]);
        assert_eq!((set.omp_places, set.onednn_isa), (OmpPlaces::CoresSpread, OnednnIsa::Avx2));
        let places = [("OMP_PLACES", "{0:1},{1:1},{2:1},{3:1}"), ("OMP_PROC_BIND", "close")];
        assert_eq!(read(&places).omp_places, OmpPlaces::CoresClose);
        let unknown = [("OMP_PLACES", "sockets"), ("OMP_PROC_BIND", "close")];
        assert_eq!(read(&unknown).omp_places, OmpPlaces::None, "no word of ours says it");
        let intel = read(&[("LD_PRELOAD", "/usr/lib/libwan22-mkl.so")]);
        assert_eq!(intel.mkl_dispatch, MklDispatch::Intel);
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
