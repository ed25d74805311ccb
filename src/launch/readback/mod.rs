//! Effect: what the process reads back about itself.
//!
//! A knob that was set is a wish; only what the kernel and the libraries say afterwards counts.

mod foreign;
mod mismatch;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::knobs::allow_list;
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::mkl::MklDispatch;
use crate::knobs::places::Places;
use crate::knobs::{Numerics, Settings};
use crate::machine::syscalls;
use crate::machine::{CpuSet, SystemRoots};

/// What holds in a process after warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Threads by pool: `model`, `io`, `preprocess`, `batch`, and `other` for all the rest.
    pub pools: BTreeMap<String, Pool>,
    /// Policy of the thread that read this back; `None` where the kernel does not tell.
    pub memory: Option<MemoryPolicy>,
    /// Resident anonymous bytes by node; empty where the kernel does not tell.
    pub anonymous_bytes: BTreeMap<u32, u64>,
    /// Resident bytes of the weights by node; filled in by the worker.
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
    /// libtorch's own description of its parallelism; filled in by the worker.
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
            ..Self::of_files(&SystemRoots::live())
        }
    }

    /// The part that the kernel shows as files.
    fn of_files(roots: &SystemRoots) -> Self {
        read::of_folder(&roots.proc.join("self"), true)
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
}

/// The places that OpenMP was told to bind its threads to.
fn places(settings: &Settings) -> Option<Places> {
    let bound = settings.environment.contains_key("OMP_PROC_BIND");
    settings.environment.get("OMP_PLACES").filter(|_| bound)?.parse().ok()
}

const MODEL: &str = "model";
const OTHER: &str = "other";

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
    let list = settings.environment.get(allow_list::PRELOAD).map_or("", String::as_str);
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
