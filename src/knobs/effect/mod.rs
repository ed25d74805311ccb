//! Effect: what holds in a process, against what its settings ask.
//!
//! A knob that was set is a wish; only what the kernel and the libraries say afterwards counts.
//! How an effect is read is in `launch/readback`.

mod environment;
mod mismatch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::libraries::{MklDispatch, omp_runtime};
use super::memory::{MemoryPolicy, allocator};
use super::placement::Places;
use super::placement::omp_places::asked_places;
use super::{KNOBS, Knob, Numerics, Settings, Values};
use crate::io::digest::digest;
use crate::machine::CpuSet;

pub use mismatch::{Mismatch, compare, compare_reported, each_in, in_words, suspects};

/// What holds in a process after warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Data types of a pipeline's models by name, as a worker of the user's own says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dtypes: BTreeMap<String, String>,
    /// What torch says of CUDA there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<Cuda>,
    /// Of the knobs that only a user's own worker can apply, those that it takes, as it read them
    /// back. Any other has no effect on it.
    #[serde(skip_serializing_if = "Values::is_empty")]
    pub applied: Values,
    /// The names of those among them that it can change without a new process.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub run_scope: BTreeSet<String>,
    /// The names of knobs that it reads without saying what it runs where nobody chooses them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub without_default: BTreeSet<String>,
}

/// What torch says of CUDA.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cuda {
    /// The device's name.
    pub device: String,
    /// Whether float32 products may be made of TF32.
    pub tf32_matmul: bool,
    /// The same of convolutions.
    pub tf32_convolution: bool,
    /// What its allocator was told.
    pub allocator: String,
    /// Memory that the allocator holds.
    pub reserved_bytes: u64,
    /// Memory of the device that nobody holds.
    pub free_bytes: u64,
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
    /// Takes in the threads of another process.
    pub fn join(&mut self, other: Self) {
        self.threads += other.threads;
        self.allowed.extend(other.allowed);
        self.ran_on = self.ran_on.union(&other.ran_on);
    }

    /// The CPU sets that its threads may use, in words.
    pub fn masks(&self) -> String {
        self.allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }
}

/// The pool of the model's threads.
pub const MODEL: &str = "model";

/// The pool of threads that belong to no pool.
pub const OTHER: &str = "other";

impl Effect {
    /// A digest of what should not change from one trial to the next under the same settings.
    pub fn digest(&self) -> String {
        let pools = self.pools.iter().filter(|(name, _)| *name != OTHER);
        let masks: Vec<_> = pools.map(|(name, pool)| (name, pool.threads, &pool.allowed)).collect();
        let stable = (
            (masks, &self.memory, &self.allocator, &self.openmp_in_use, &self.environment),
            (self.intra_op_threads, self.inter_op_threads, &self.cpu_capability, self.numerics),
        );
        let mut text = serde_json::to_string(&stable).expect("an effect is plain data");
        // Nothing of them in what has none, so that its digest is that of older versions.
        if !self.dtypes.is_empty() {
            text += &format!("{:?}", self.dtypes);
        }
        if let Some(Cuda { device, tf32_matmul, tf32_convolution, allocator, .. }) = &self.cuda {
            text += &format!("{:?}", (device, tf32_matmul, tf32_convolution, allocator));
        }
        digest(text)
    }

    /// The effect of a process in which everything is as `settings` ask: what stand-ins for a
    /// worker report.
    pub fn as_asked(settings: &Settings) -> Self {
        let workers = settings.workers;
        let threads = [settings.intra_op_threads, workers.io, workers.preprocess, workers.batch];
        let pool = |((name, cpus), threads): ((&str, &CpuSet), usize)| {
            let allowed = [cpus.clone()].into_iter().collect();
            (name.to_owned(), Pool { threads, allowed, ran_on: CpuSet::empty() })
        };
        let mut pools: BTreeMap<String, Pool> =
            settings.placement.pools().into_iter().zip(threads).map(pool).collect();
        if let Some(Places(places)) = asked_places(settings) {
            let taken = places.into_iter().take(settings.intra_op_threads).collect();
            pools.entry(MODEL.to_owned()).or_default().allowed = taken;
        }
        let openmp = omp_runtime::preloaded(settings).map(ToOwned::to_owned);
        Self {
            pools,
            memory: Some(settings.memory.clone()),
            allocator: allocator::loaded(settings.preloaded()).to_owned(),
            openmp: openmp.iter().cloned().collect(),
            openmp_in_use: openmp,
            environment: settings.environment.clone(),
            intra_op_threads: Some(settings.intra_op_threads),
            inter_op_threads: Some(settings.inter_op_threads),
            numerics: Some(settings.numerics),
            mkl_dispatch: MklDispatch::asked(settings),
            ..Self::default()
        }
    }

    /// Whatever differs from what `settings` ask of a worker; empty when everything is as asked.
    pub fn mismatches(&self, settings: &Settings) -> Vec<Mismatch> {
        let own = of_each(|knob| knob.mismatches(self, settings));
        let variables = environment::mismatches(&self.environment, &settings.environment);
        own.chain(variables).collect()
    }

    /// Whatever of a command's process differs from what `settings` ask for and the launch alone
    /// decides. What the command adds for itself, as by `env NAME=VALUE …`, is its own affair.
    pub fn foreign_mismatches(&self, settings: &Settings) -> Vec<Mismatch> {
        let asked = &settings.environment;
        let mut shown = self.environment.clone();
        shown.retain(|name, _| asked.contains_key(name));
        let own = of_each(|knob| knob.foreign_mismatches(self, settings));
        let own = own.filter(|one| one.knob.is_none_or(|knob| !settings.as_is.contains(knob)));
        // Beside what a caller had loaded for itself, what was asked for has to be there.
        let is_beside = |name: &str, got: &str| {
            let has = |part: &str| got.split(':').any(|one| one == part);
            !settings.as_is.is_empty() && asked[name].split(':').all(has)
        };
        shown
            .iter_mut()
            .filter(|(name, got)| is_beside(name, got))
            .for_each(|(name, got)| got.clone_from(&asked[name]));
        own.chain(environment::mismatches(&shown, asked)).collect()
    }
}

fn of_each(found: impl Fn(&dyn Knob) -> Vec<Mismatch>) -> impl Iterator<Item = Mismatch> {
    KNOBS.iter().flat_map(move |(name, knob)| found(*knob).into_iter().map(|one| one.of(name)))
}
