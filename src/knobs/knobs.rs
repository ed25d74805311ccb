//! The value of every knob that the tool has.

use serde::{Deserialize, Serialize};

use super::numerics::{ConvBackend, MatmulPrecision, MemoryFormat, Numerics, Precision};
use super::{Settings, Workers, environment};
use crate::knobs::affinity::{Demand, Layout};
use crate::knobs::allocator::Allocator;
use crate::knobs::huge_pages::HugePages;
use crate::knobs::isa::OnednnIsa;
use crate::knobs::memory::MemoryMode;
use crate::knobs::mkl::MklDispatch;
use crate::knobs::openmp::{OmpRuntime, OmpWait};
use crate::knobs::places::OmpPlaces;
use crate::knobs::{Value, Values};
use crate::machine::{Machine, SystemRoots};

/// More of glibc's arenas than any machine has threads.
const MOST_ARENAS: u32 = 65535;

/// One value a knob: the baseline's, overwritten by a candidate's where the space tunes it.
///
/// The fields' names are the knobs' names in space files, journals and profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// libtorch's threads inside an operator.
    pub intra_op_threads: usize,
    /// libtorch's threads across operators.
    pub inter_op_threads: usize,
    /// Affinity layout.
    pub affinity: Layout,
    /// NUMA memory mode.
    pub memory_mode: MemoryMode,
    /// Which malloc.
    pub allocator: Allocator,
    /// Threads that read files and write frames.
    pub io_workers: usize,
    /// Threads that decode, resize and normalise.
    pub preprocess_workers: usize,
    /// Threads that pack batches.
    pub batch_workers: usize,
    /// Side of the VAE encoder's tiles, pixels.
    pub tile_size: u32,
    /// Side of the VAE decoder's tiles, pixels.
    pub vae_tile_size: u32,
    /// Clips that go through the models together.
    pub batch_size: u32,
    /// Numbers of weights and activations.
    pub precision: Precision,
    /// How exactly float32 matrices are multiplied.
    pub matmul_precision: MatmulPrecision,
    /// Kernels of the VAE's convolutions.
    pub conv_backend: ConvBackend,
    /// Order of the VAE's tensors in memory.
    pub memory_format: MemoryFormat,
    /// The newest instructions that oneDNN may use.
    pub onednn_isa: OnednnIsa,
    /// Which kernels MKL takes.
    pub mkl_dispatch: MklDispatch,
    /// Who asks the kernel for huge pages.
    pub huge_pages: HugePages,
    /// Arenas of glibc's malloc.
    pub malloc_arenas: u32,
    /// Places of OpenMP's threads.
    pub omp_places: OmpPlaces,
    /// How OpenMP's threads wait.
    pub omp_wait: OmpWait,
    /// Which OpenMP runtime.
    pub omp_runtime: OmpRuntime,
    /// Knobs of the user's own command, which it alone knows.
    #[serde(skip)]
    pub custom: Values,
}

impl Knobs {
    /// Every knob by name.
    pub fn values(&self) -> Values {
        let mut values = self.built_in();
        values.extend(self.custom.clone());
        values
    }

    /// Those that the tool itself has.
    pub fn built_in(&self) -> Values {
        let fields = serde_json::to_value(self).expect("knobs are plain data");
        serde_json::from_value(fields).expect("each knob is a value")
    }

    /// These knobs with some set to other values. A name that the tool does not know is a knob of
    /// the user's own command.
    ///
    /// # Errors
    /// The knob's name and what is wrong with its value.
    pub fn with<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Self, String> {
        let usual = serde_json::to_value(self).expect("knobs are plain data");
        let field = |value: &Value| serde_json::to_value(value).expect("a value is plain data");
        let is_built_in = |(name, _): &(&str, &Value)| usual.get(*name).is_some();
        let (values, custom): (Vec<_>, Vec<_>) = values.into_iter().partition(is_built_in);
        let mut fields = usual.clone();
        values.iter().for_each(|(name, value)| fields[*name] = field(value));
        let knobs = Self::deserialize(&fields).map(|mut knobs| {
            knobs.custom.clone_from(&self.custom);
            let custom = custom.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone()));
            knobs.custom.extend(custom);
            knobs
        });
        knobs.map_err(|problem| {
            // Each alone, so that the message can name the knob.
            let blamed = values.iter().find_map(|(name, value)| {
                let mut fields = usual.clone();
                fields[*name] = field(value);
                let error = Self::deserialize(&fields).err()?;
                Some(format!("{name} = {value}: {error}"))
            });
            blamed.unwrap_or_else(|| problem.to_string())
        })
    }

    /// What these knobs mean on a machine.
    ///
    /// # Errors
    /// Why the machine can't run them.
    pub fn resolve(&self, machine: &Machine) -> Result<Settings, String> {
        self.check_counts(machine)?;
        let placement = self.affinity.place(machine, self.demand()).ok_or_else(|| {
            format!("affinity = {}: this machine has no such layout", self.affinity)
        })?;
        let (weights_memory, memory) =
            self.memory_mode.policies(machine, &placement).ok_or_else(|| {
                let reason = machine.refused_modes.get::<str>(self.memory_mode.into());
                let reason = reason.map_or("this machine has no such mode", String::as_str);
                format!("memory_mode = {}: {reason}", self.memory_mode)
            })?;
        if !self.huge_pages.goes_with(self.allocator) {
            return Err(format!(
                "huge_pages = {}: not with allocator = {}",
                self.huge_pages, self.allocator
            ));
        }
        Ok(Settings {
            intra_op_threads: self.intra_op_threads,
            inter_op_threads: self.inter_op_threads,
            environment: environment::of(self, &placement, machine),
            placement,
            memory,
            weights_memory,
            workers: self.workers(),
            tile_size: self.tile_size,
            vae_tile_size: self.vae_tile_size,
            batch_size: self.batch_size,
            numerics: self.numerics(),
            custom: self.custom.clone(),
        })
    }

    /// What of them may change a picture beside its tiles.
    pub fn numerics(&self) -> Numerics {
        Numerics {
            precision: self.precision,
            matmul_precision: self.matmul_precision,
            conv_backend: self.conv_backend,
            memory_format: self.memory_format,
        }
    }

    /// What of them the system at `roots` can't give, in words.
    pub fn refusal(&self, roots: &SystemRoots) -> Option<String> {
        let of_libraries =
            self.allocator.refusal(roots).or_else(|| self.omp_runtime.refusal(roots));
        of_libraries
            .or_else(|| self.mkl_dispatch.refusal(roots))
            .or_else(|| self.huge_pages.refusal(roots))
    }

    /// Pool sizes of the image pipeline.
    pub fn workers(&self) -> Workers {
        Workers {
            io: self.io_workers,
            preprocess: self.preprocess_workers,
            batch: self.batch_workers,
        }
    }

    /// The model's threads and all workers.
    pub fn threads(&self) -> usize {
        let workers = self.io_workers + self.preprocess_workers + self.batch_workers;
        self.intra_op_threads + workers
    }

    fn demand(&self) -> Demand {
        Demand {
            model: self.intra_op_threads,
            io: self.io_workers,
            preprocess: self.preprocess_workers,
            batch: self.batch_workers,
        }
    }

    /// Far more threads than CPUs can't be meant; the baseline itself needs a few more.
    fn check_counts(&self, machine: &Machine) -> Result<(), String> {
        let most = 4 * machine.thread_limit() + 64;
        self.check_ranges(most).map_err(|(name, reason)| {
            format!("{name} = {}: {reason} on this machine", self.values()[name])
        })
    }

    /// Whether every number is one that can be meant, with at most so many threads in a pool.
    ///
    /// # Errors
    /// The knob, and what it takes.
    pub fn check_ranges(&self, most: usize) -> Result<(), (&'static str, String)> {
        let counts = [
            ("intra_op_threads", self.intra_op_threads),
            ("inter_op_threads", self.inter_op_threads),
            ("io_workers", self.io_workers),
            ("preprocess_workers", self.preprocess_workers),
            ("batch_workers", self.batch_workers),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, n)| n == 0 || n > most) {
            return Err((name, format!("it takes 1 to {most}")));
        }
        let sides = [("tile_size", self.tile_size), ("vae_tile_size", self.vae_tile_size)];
        let odd = |&(_, side): &(_, u32)| side < 32 || side % 16 != 0 || side > 8192;
        if let Some((name, _)) = sides.into_iter().find(odd) {
            return Err((name, "it takes a multiple of 16 from 32 to 8192 pixels".to_owned()));
        }
        if self.batch_size == 0 || self.batch_size > 1024 {
            return Err(("batch_size", "it takes 1 to 1024 clips".to_owned()));
        }
        if self.malloc_arenas == 0 || self.malloc_arenas > MOST_ARENAS {
            return Err(("malloc_arenas", format!("it takes 1 to {MOST_ARENAS}")));
        }
        Ok(())
    }
}
