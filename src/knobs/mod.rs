//! Knobs: what can be set for a process, one file per knob, and what a candidate comes to on a machine.
//!
//! A knob is a module of a group below with a `Definition` that implements [`Knob`], and a line in
//! the list. Everything else (JSON, the environment's allow-list, what is handed over, read back or
//! adapted) is made of the list.

pub mod as_is;
mod baseline;
pub mod effect;
mod environment;
mod knob;
mod settings;
mod value;
mod values;

/// Threads: how many, and how they wait.
pub mod threads {
    pub mod batch_workers;
    mod count;
    pub mod inter_op_threads;
    pub mod intra_op_threads;
    pub mod io_workers;
    pub mod omp_wait;
    pub mod preprocess_workers;
}

/// Placement: the CPUs of threads.
pub mod placement {
    pub mod affinity;
    mod bind;
    mod domains;
    pub mod omp_places;
    mod partition;
    mod pools;

    pub use affinity::Layout;
    pub use bind::{bind, bind_or_keep, bound, cure, probe_binding};
    pub use omp_places::{OmpPlaces, Places};
    pub use pools::{Placement, PoolSizes};
}

/// Memory: its allocator, pages and nodes.
pub mod memory {
    pub mod allocator;
    pub mod cuda_alloc;
    pub mod huge_pages;
    pub mod malloc_arenas;
    pub mod memory_mode;
    mod policy;

    pub use allocator::Allocator;
    pub use huge_pages::HugePages;
    pub use memory_mode::MemoryMode;
    pub use policy::MemoryPolicy;
}

/// Libraries: which run, and which of their kernels.
pub mod libraries {
    pub mod mkl_dispatch;
    pub mod omp_runtime;
    pub mod onednn_isa;

    pub use mkl_dispatch::MklDispatch;
    pub use omp_runtime::OmpRuntime;
}

/// Numerics: in which numbers, and by which kernels, the models compute.
pub mod numerics {
    pub mod conv_backend;
    pub mod matmul_precision;
    pub mod memory_format;
    pub mod precision;
    pub mod tf32;
}

/// Tiles and batches: how much goes through the models at once.
pub mod tiles {
    pub mod batch_size;
    mod side;
    pub mod tile_size;
    pub mod vae_tile_size;
}

// The order is that in which variables are composed, allowed and adapted: LD_PRELOAD loads the
// allocator first, so that what comes after allocates from it.
knob::knobs! {
    /// libtorch's threads inside an operator.
    threads::intra_op_threads,
    /// libtorch's threads across operators.
    threads::inter_op_threads,
    /// Threads that read files and write frames.
    threads::io_workers,
    /// Threads that decode, resize and normalise.
    threads::preprocess_workers,
    /// Threads that pack batches.
    threads::batch_workers,
    /// Affinity layout.
    placement::affinity,
    /// Arenas of glibc's malloc.
    memory::malloc_arenas,
    /// NUMA memory mode.
    memory::memory_mode,
    /// Which malloc.
    memory::allocator,
    /// libtorch's allocator on GPUs.
    memory::cuda_alloc,
    /// Which OpenMP runtime.
    libraries::omp_runtime,
    /// Which kernels MKL takes.
    libraries::mkl_dispatch,
    /// The newest instructions that oneDNN may use.
    libraries::onednn_isa,
    /// Places of OpenMP's threads.
    placement::omp_places,
    /// How OpenMP's threads wait.
    threads::omp_wait,
    /// Who asks the kernel for huge pages.
    memory::huge_pages,
    /// Side of the VAE encoder's tiles, pixels.
    tiles::tile_size,
    /// Side of the VAE decoder's tiles, pixels.
    tiles::vae_tile_size,
    /// Clips that go through the models together.
    tiles::batch_size,
    /// Numbers of weights and activations.
    numerics::precision,
    /// How exactly float32 matrices are multiplied.
    numerics::matmul_precision,
    /// Kernels of the VAE's convolutions.
    numerics::conv_backend,
    /// Order of the VAE's tensors in memory.
    numerics::memory_format,
    /// Whether a GPU multiplies float32 numbers in TF32.
    numerics::tf32,
}

pub use as_is::AsIs;
pub use baseline::{Baseline, HardwareProfile, OptimalSettings, Preset};
pub use baseline::{quota_cure, quota_for, quota_warning};
pub use environment::{allow_list, form, inherited, program_environment};
pub use knob::{Host, Knob, Migration, PresetTarget, Variable};
pub use numerics::conv_backend::ConvBackend;
pub use numerics::matmul_precision::MatmulPrecision;
pub use numerics::memory_format::MemoryFormat;
pub use numerics::precision::Precision;
pub use settings::{Numerics, Settings, Workers, file_names};
pub use value::{Kind, Value, Values};
