//! What the kernel shows of a process as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::knobs::effect::{Effect, MODEL, OTHER, Pool};
use crate::knobs::libraries::omp_runtime::is_runtime;
use crate::knobs::memory::allocator::{GLIBC, loaded};
use crate::knobs::{allow_list, file_names};
use crate::launch::page_placement;
use crate::machine::{field, kibibytes, stat_field};

/// The field of `/proc/PID/stat` that tells where a thread ran last.
const LAST_CPU: usize = 39;

/// What a process' folder in /proc shows, and with `memory` where its pages lie.
pub(super) fn of_folder(process: &Path, memory: bool) -> Effect {
    let text = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
    let memory = |name: &str| if memory { text(name) } else { String::new() };
    let libraries = libraries(&text("maps"));
    Effect {
        pools: pools(&process.join("task")),
        anonymous_bytes: page_placement::anonymous(&memory("numa_maps")),
        allocator: loaded(libraries.iter().map(String::as_str)).to_owned(),
        openmp: libraries.iter().filter(|name| is_runtime(name)).cloned().collect(),
        huge_page_bytes: huge_page_bytes(&memory("smaps_rollup")),
        environment: deciding(&fs::read(process.join("environ")).unwrap_or_default()),
        ..Effect::default()
    }
}

/// The pool of a thread by its name: libtorch's and OpenMP's threads take after the thread that
/// started them.
fn pool_of(thread: &str) -> &'static str {
    let begins = |prefix: &str| thread.starts_with(prefix);
    match () {
        () if begins("wan-model") => MODEL,
        () if begins("wan-io") => "io",
        () if begins("wan-pre") => "preprocess",
        () if begins("wan-batch") => "batch",
        () => OTHER,
    }
}

fn pools(task: &Path) -> BTreeMap<String, Pool> {
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for thread in fs::read_dir(task).into_iter().flatten().flatten() {
        // A thread that ends meanwhile has no files any more.
        let text = |name: &str| fs::read_to_string(thread.path().join(name)).ok();
        let (Some(status), Some(stat)) = (text("status"), text("stat")) else { continue };
        let field = |key: &str| field(&status, key);
        let name = field("Name").unwrap_or_default();
        let pool = pools.entry(pool_of(&name).to_owned()).or_default();
        pool.threads += 1;
        if let Some(mask) = field("Cpus_allowed_list").and_then(|text| text.parse().ok()) {
            pool.allowed.insert(mask);
        }
        if let Some(cpu) = stat_field(&stat, LAST_CPU).and_then(|cpu| cpu.parse().ok()) {
            pool.ran_on.insert(cpu);
        }
    }
    pools
}

/// File names of the allocators and OpenMP libraries in `/proc/PID/maps`.
fn libraries(maps: &str) -> BTreeSet<String> {
    let names = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name);
    let counts = |name: &&str| is_runtime(name) || loaded([*name].into_iter()) != GLIBC;
    names.filter(counts).map(ToOwned::to_owned).collect()
}

fn huge_page_bytes(rollup: &str) -> u64 {
    field(rollup, "AnonHugePages").and_then(|text| kibibytes(&text)).unwrap_or(0)
}

/// From `/proc/PID/environ`, which is what the process was started with: libraries add to their
/// own environment later.
pub(super) fn deciding(environ: &[u8]) -> BTreeMap<String, String> {
    // glibc ends each tunable with a NUL where it stands, instead of the colon that was there.
    let text = String::from_utf8_lossy(environ).replace("\0glibc.", ":glibc.");
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    let deciding = variables.filter(|(name, _)| allow_list::decides(name));
    let by_name = |name: &str, value: &str| match name {
        allow_list::PRELOAD => file_names(value).collect::<Vec<_>>().join(":"),
        _ => value.to_owned(),
    };
    deciding.map(|(name, value)| (name.to_owned(), by_name(name, value))).collect()
}
