//! Effect: what the process reads back about itself.
//!
//! A knob that was set is a wish; only what the kernel and the libraries say afterwards counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use strum::VariantArray;

use super::environment;
use super::places::Places;
use super::residence;
use super::syscalls;
use super::{HugePages, MemoryPolicy, MklDispatch};
use crate::machine::{CpuSet, Roots};
use crate::settings::{Numerics, Settings};

/// What holds in a process after warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Threads by pool: `model`, `io`, `preprocess`, `batch`, and `other` for all the rest.
    pub pools: BTreeMap<String, Pool>,
    /// Policy of the thread that read this back; `None` where the kernel does not tell.
    pub memory: Option<MemoryPolicy>,
    /// Resident anonymous bytes by node; empty where the kernel does not tell.
    pub anonymous_bytes: BTreeMap<u32, u64>,
    /// Resident bytes of the weights by node, filled in by the worker from [`residence::of`].
    pub weights_bytes: BTreeMap<u32, u64>,
    /// `glibc`, `jemalloc`, `tcmalloc` or `mimalloc`.
    pub allocator: String,
    /// File names of the OpenMP libraries that are loaded.
    pub openmp: Vec<String>,
    /// The file name of the one among them that answers; `None` where none is loaded.
    pub openmp_in_use: Option<String>,
    /// Anonymous memory in huge pages.
    pub huge_page_bytes: u64,
    /// The variables that decide how libraries run, as the process was started with them.
    pub environment: BTreeMap<String, String>,
    /// libtorch's threads inside an operator, as it says itself; filled in by the worker.
    pub intra_op_threads: Option<usize>,
    /// libtorch's threads across operators, as it says itself; filled in by the worker.
    pub inter_op_threads: Option<usize>,
    /// Numbers and kernels, as the models and libtorch hold them; filled in by the worker.
    pub numerics: Option<Numerics>,
    /// Which kernels MKL takes, as it says itself; filled in by the worker.
    pub mkl_dispatch: Option<MklDispatch>,
    /// libtorch's own account of its parallelism; filled in by the worker.
    pub parallel_info: String,
    /// The instruction set that libtorch chose its kernels for; filled in by the worker.
    pub cpu_capability: String,
}

/// The threads of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How many.
    pub threads: usize,
    /// The different CPU sets that they may use: one where all is well.
    pub allowed: BTreeSet<CpuSet>,
    /// The CPUs that they ran on last.
    pub ran_on: CpuSet,
}

impl Pool {
    fn join(&mut self, other: Self) {
        self.threads += other.threads;
        self.allowed.extend(other.allowed);
        self.ran_on = self.ran_on.union(&other.ran_on);
    }
}

/// Allocators by what their library's file is called.
const ALLOCATORS: [&str; 3] = ["jemalloc", "tcmalloc", "mimalloc"];

/// libtorch's own OpenMP library.
const GOMP: &str = "libgomp";

/// OpenMP libraries by how their file's name begins: GCC's, Intel's, LLVM's.
const OPENMP: [&str; 3] = [GOMP, "libiomp5", "libomp"];

impl Effect {
    /// Reads what holds in this process; best called by the model's own thread, whose memory
    /// policy counts. What can't be read stays empty.
    pub fn read() -> Self {
        // What GCC's compiler calls for a parallel region, whoever answers.
        let answering = syscalls::library_of(c"GOMP_parallel");
        Self {
            memory: MemoryPolicy::read().ok(),
            openmp_in_use: answering.as_deref().map(|path| file_name(path).to_owned()),
            ..Self::of_files(&Roots::live())
        }
    }

    /// The part that the kernel shows as files.
    fn of_files(roots: &Roots) -> Self {
        of_folder(&roots.proc.join("self"), true)
    }

    /// A digest of what should not change from one trial to the next under the same settings.
    pub fn digest(&self) -> String {
        let pools = self.pools.iter().filter(|(name, _)| *name != OTHER);
        let masks: Vec<_> = pools.map(|(name, pool)| (name, pool.threads, &pool.allowed)).collect();
        let stable = (
            (masks, &self.memory, &self.allocator, &self.openmp_in_use, &self.environment),
            (self.intra_op_threads, self.inter_op_threads, &self.cpu_capability, self.numerics),
        );
        let text = serde_json::to_string(&stable).expect("an effect is plain data");
        Sha256::digest(text)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The effect of a process in which everything is as `settings` ask: what
    /// [`Effect::mismatches`] measures against, and what stand-ins for a worker report.
    pub fn as_asked(settings: &Settings) -> Self {
        let workers = settings.workers;
        let threads = [settings.intra_op_threads, workers.io, workers.preprocess, workers.batch];
        let pool = |((name, cpus), threads): ((&str, &CpuSet), usize)| {
            let allowed = [cpus.clone()].into_iter().collect();
            (name.to_owned(), Pool { threads, allowed, ran_on: CpuSet::empty() })
        };
        let mut pools: BTreeMap<String, Pool> =
            settings.placement.pools().into_iter().zip(threads).map(pool).collect();
        if let Some(Places(places)) = places(settings) {
            let taken = places.into_iter().take(settings.intra_op_threads).collect();
            pools.entry(MODEL.to_owned()).or_default().allowed = taken;
        }
        let openmp = preloaded(settings).find(|name| is_openmp(name)).map(ToOwned::to_owned);
        Self {
            pools,
            memory: Some(settings.memory.clone()),
            allocator: allocator(preloaded(settings)).to_owned(),
            openmp: openmp.iter().cloned().collect(),
            openmp_in_use: openmp,
            environment: settings.environment.clone(),
            intra_op_threads: Some(settings.intra_op_threads),
            inter_op_threads: Some(settings.inter_op_threads),
            numerics: Some(settings.numerics),
            // An Intel processor's MKL gives Intel's answer without being asked.
            mkl_dispatch: preloaded(settings)
                .any(|name| MklDispatch::Intel.library() == Some(name))
                .then_some(MklDispatch::Intel),
            ..Self::default()
        }
    }

    /// In words, whatever differs from what `settings` ask; empty when everything is as asked.
    pub fn mismatches(&self, settings: &Settings) -> Vec<String> {
        let asked = Self::as_asked(settings);
        let mut found = self.count_mismatches(&asked);
        found.extend(self.pool_mismatches(&asked, settings));
        found.extend(self.memory_mismatches(settings));
        found.extend(self.environment_mismatches(&asked));
        if self.allocator != asked.allocator {
            found.push(differs("allocator", &asked.allocator, &self.allocator));
        }
        if asked.mkl_dispatch.is_some() && self.mkl_dispatch != asked.mkl_dispatch {
            let word = |dispatch: Option<MklDispatch>| {
                dispatch.map_or("not reported".to_owned(), |dispatch| dispatch.to_string())
            };
            let (asked, got) = (word(asked.mkl_dispatch), word(self.mkl_dispatch));
            found.push(differs("MKL's dispatch", &asked, &got));
        }
        if self.numerics != asked.numerics {
            let words = |numerics: Option<Numerics>| {
                serde_json::to_string(&numerics).expect("numerics are plain data")
            };
            found.push(differs("numerics", &words(asked.numerics), &words(self.numerics)));
        }
        found.extend(self.openmp_mismatch(&asked));
        found.extend(self.huge_page_mismatch(settings));
        found
    }

    /// The runtime that was asked for answers; where none was, libtorch's own does.
    fn openmp_mismatch(&self, asked: &Self) -> Option<String> {
        let runtime = |file: &str| OPENMP.into_iter().find(|name| file.starts_with(name));
        let wanted = asked.openmp_in_use.as_deref();
        let wanted = wanted.and_then(runtime).unwrap_or(GOMP);
        let got = self.openmp_in_use.as_deref().and_then(runtime);
        // A process without OpenMP has not put another in the place of libtorch's.
        let is_right = got.map_or(asked.openmp_in_use.is_none(), |got| got == wanted);
        (!is_right).then(|| differs("OpenMP library", wanted, got.unwrap_or("none")))
    }

    /// Large memory of which nothing came in huge pages although it was asked for.
    fn huge_page_mismatch(&self, settings: &Settings) -> Option<String> {
        let is_set = |(name, value): (&str, &str)| {
            settings.environment.get(name).is_some_and(|got| got.contains(value))
        };
        let asked = HugePages::VARIANTS.iter().filter_map(|who| who.variable()).any(is_set);
        let anonymous: u64 = self.anonymous_bytes.values().sum();
        let is_wrong = asked && anonymous >= residence::LEAST_BYTES && self.huge_page_bytes == 0;
        is_wrong.then(|| {
            let got = format!("none in {} MiB", anonymous >> 20);
            differs("huge pages", "some", &got)
        })
    }

    fn count_mismatches(&self, asked: &Self) -> Vec<String> {
        let counts = [
            ("intra-op threads", asked.intra_op_threads, self.intra_op_threads),
            ("inter-op threads", asked.inter_op_threads, self.inter_op_threads),
        ];
        let word = |count: Option<usize>| count.map_or("not reported".into(), |n| n.to_string());
        let wrong = counts.into_iter().filter(|(_, asked, got)| asked != got);
        wrong.map(|(what, asked, got)| differs(what, &word(asked), &word(got))).collect()
    }

    fn pool_mismatches(&self, asked: &Self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        let process = &settings.placement.process;
        let places = places(settings);
        for (name, asked) in &asked.pools {
            let Some(pool) = self.pools.get(name) else {
                found.push(format!(
                    "{name} pool: asked for {} threads, there are none",
                    asked.threads
                ));
                continue;
            };
            // libtorch starts the model's threads as it needs them: a few less or more are right.
            if name != MODEL && pool.threads != asked.threads {
                let what = format!("{name} pool's threads");
                found.push(differs(&what, &asked.threads.to_string(), &pool.threads.to_string()));
            }
            if let Some(Places(places)) = places.as_ref().filter(|_| name == MODEL) {
                let model = &settings.placement.model;
                found.extend(place_mismatch(pool, places, asked.allowed.len(), model));
            } else if pool.allowed != asked.allowed {
                found.push(differs(&format!("{name} pool's CPUs"), &masks(asked), &masks(pool)));
            }
        }
        if let Some(other) = self.pools.get(OTHER)
            && !other.allowed.iter().all(|mask| mask.is_subset(process))
        {
            let asked = format!("within {process}");
            found.push(differs("CPUs of other threads", &asked, &masks(other)));
        }
        found
    }

    fn memory_mismatches(&self, settings: &Settings) -> Vec<String> {
        let mut found = Vec::new();
        match &self.memory {
            Some(got) if *got != settings.memory => {
                found.push(differs(
                    "memory policy",
                    &settings.memory.to_string(),
                    &got.to_string(),
                ));
            }
            // A container that forbids to read a policy forbids to set one: it is the default.
            None if settings.memory != MemoryPolicy::Default => {
                found.push(differs("memory policy", &settings.memory.to_string(), "not readable"));
            }
            _ => {}
        }
        let wrong = residence::mismatch(&settings.memory, &self.anonymous_bytes);
        found.extend(wrong.map(|wrong| format!("anonymous memory: {wrong}")));
        let wrong = residence::mismatch(&settings.weights_memory, &self.weights_bytes);
        found.extend(wrong.map(|wrong| format!("weights: {wrong}")));
        found
    }

    fn environment_mismatches(&self, asked: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, asked) in &asked.environment {
            match self.environment.get(name) {
                Some(got) if got == asked => {}
                Some(got) => found.push(differs(name, asked, got)),
                None => found.push(differs(name, asked, "not set")),
            }
        }
        let extra =
            self.environment.iter().filter(|(name, _)| !asked.environment.contains_key(*name));
        found.extend(extra.map(|(name, value)| differs(name, "not set", value)));
        found
    }
}

/// What a process' folder in /proc shows, and with `memory` where its pages lie.
fn of_folder(process: &Path, memory: bool) -> Effect {
    let text = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
    let memory = |name: &str| if memory { text(name) } else { String::new() };
    let libraries = libraries(&text("maps"));
    Effect {
        pools: pools(&process.join("task")),
        anonymous_bytes: residence::anonymous(&memory("numa_maps")),
        allocator: allocator(libraries.iter().map(String::as_str)).to_owned(),
        openmp: libraries.iter().filter(|name| is_openmp(name)).cloned().collect(),
        huge_page_bytes: huge_page_bytes(&memory("smaps_rollup")),
        environment: deciding(&fs::read(process.join("environ")).unwrap_or_default()),
        ..Effect::default()
    }
}

fn differs(what: &str, asked: &str, got: &str) -> String {
    format!("{what}: asked for {asked}, got {got}")
}

fn masks(pool: &Pool) -> String {
    pool.allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// OpenMP's threads are in their places: as many places are taken as there are threads for, and
/// what is in none (a thread that OpenMP did not start) is at least among the model's CPUs.
fn place_mismatch(pool: &Pool, places: &[CpuSet], least: usize, model: &CpuSet) -> Option<String> {
    let taken = pool.allowed.iter().filter(|mask| places.contains(mask)).count();
    let astray = pool.allowed.iter().any(|mask| !places.contains(mask) && mask != model);
    (taken < least || astray).then(|| {
        let asked = format!("{least} places of OMP_PLACES");
        differs("model pool's CPUs", &asked, &format!("{taken} in {}", masks(pool)))
    })
}

/// The places that OpenMP was told to bind its threads to.
fn places(settings: &Settings) -> Option<Places> {
    let bound = settings.environment.contains_key("OMP_PROC_BIND");
    settings.environment.get("OMP_PLACES").filter(|_| bound)?.parse().ok()
}

const MODEL: &str = "model";
const OTHER: &str = "other";

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
        let field = |key: &str| crate::machine::field(&status, key);
        let name = field("Name").unwrap_or_default();
        let pool = pools.entry(pool_of(&name).to_owned()).or_default();
        pool.threads += 1;
        if let Some(mask) = field("Cpus_allowed_list").and_then(|text| text.parse().ok()) {
            pool.allowed.insert(mask);
        }
        if let Some(cpu) = last_cpu(&stat) {
            pool.ran_on.insert(cpu);
        }
    }
    pools
}

/// Field 39 of `/proc/PID/stat`, counted after the name, which may hold anything.
fn last_cpu(stat: &str) -> Option<u32> {
    const AFTER_NAME: usize = 39 - 3;
    stat.rsplit_once(')')?.1.split_whitespace().nth(AFTER_NAME)?.parse().ok()
}

/// File names of the allocators and OpenMP libraries in `/proc/PID/maps`.
fn libraries(maps: &str) -> BTreeSet<String> {
    let names = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name);
    let counts = |name: &&str| is_openmp(name) || allocator([*name].into_iter()) != GLIBC;
    names.filter(counts).map(ToOwned::to_owned).collect()
}

const GLIBC: &str = "glibc";

fn allocator<'a>(mut libraries: impl Iterator<Item = &'a str>) -> &'static str {
    let named = |name: &str| ALLOCATORS.into_iter().find(|a| name.contains(&format!("lib{a}")));
    libraries.find_map(named).unwrap_or(GLIBC)
}

fn is_openmp(library: &str) -> bool {
    OPENMP.iter().any(|prefix| library.starts_with(prefix))
}

/// File names that the settings load before all others.
fn preloaded(settings: &Settings) -> impl Iterator<Item = &str> {
    let list = settings.environment.get(environment::PRELOAD).map_or("", String::as_str);
    file_names(list)
}

/// The file names in a list of libraries: settings name libraries, a launch the system's files.
fn file_names(list: &str) -> impl Iterator<Item = &str> {
    let files = list.split([':', ' ']).filter(|file| !file.is_empty());
    files.map(file_name)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn huge_page_bytes(rollup: &str) -> u64 {
    let kibibytes = crate::machine::field(rollup, "AnonHugePages");
    kibibytes.and_then(|text| crate::machine::kibibytes(&text)).unwrap_or(0)
}

/// From `/proc/PID/environ`, which is what the process was started with: libraries add to their
/// own environment later.
fn deciding(environ: &[u8]) -> BTreeMap<String, String> {
    // glibc ends each tunable with a NUL where it stands, instead of the colon that was there.
    let text = String::from_utf8_lossy(environ).replace("\0glibc.", ":glibc.");
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    let deciding = variables.filter(|(name, _)| environment::decides(name));
    let by_name = |name: &str, value: &str| match name {
        environment::PRELOAD => file_names(value).collect::<Vec<_>>().join(":"),
        _ => value.to_owned(),
    };
    deciding.map(|(name, value)| (name.to_owned(), by_name(name, value))).collect()
}

mod foreign;
#[cfg(test)]
mod tests;
