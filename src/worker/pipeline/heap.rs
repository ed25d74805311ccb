//! Heap: has glibc treat the tensors of a slice as it treats those of the whole job.
//!
//! glibc maps a block of 32 MiB or more by itself and unmaps it when it is freed, so that each use faults its
//! pages in again (mallopt(3)). A job's activations are hundreds of megabytes; those of a slice are one
//! or two, which it would keep. So the threshold is cut as the tensors are (`docs/fidelity.md`).
#![allow(unsafe_code)] // Sets options of malloc; see the SAFETY note.

use std::env;

use wan22_tune::architecture::Architecture;
use wan22_tune::knobs::Settings;
use wan22_tune::workload::{Sizes, Stage, Workload};

/// What glibc raises its threshold to, bytes, in a process that frees blocks as large.
const LARGEST: f64 = (32 << 20) as f64;

/// The smallest threshold that is set, bytes: smaller blocks are no activations.
const LEAST: f64 = (64 << 10) as f64;

/// How large a slice's tensors are, of the job's, in each stage that is cut.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    denoise: f64,
    encode: f64,
    decode: f64,
}

impl Heap {
    /// Of a slice; `None` for a whole job, and where the process was started with thresholds of its own.
    pub fn of(workload: &Workload, parts: &Architecture, settings: &Settings) -> Option<Self> {
        let whole = workload.whole();
        let tokens = |job: &Workload| job.tokens(parts) as f64;
        let tile = |Sizes { window_width, window_height, .. }: &Sizes, side: u32| {
            f64::from(*window_width.min(&side)) * f64::from(*window_height.min(&side))
        };
        let tiles = |side| tile(&workload.sizes, side) / tile(&whole.sizes, side);
        let is_ours = workload.is_slice() && !env::vars().any(|(name, text)| is_set(&name, &text));
        is_ours.then(|| Self {
            denoise: tokens(workload) / tokens(&whole),
            encode: tiles(settings.tile_size),
            decode: tiles(settings.vae_tile_size),
        })
    }

    /// Before work of this stage.
    pub fn begin(&self, stage: Stage) {
        let bytes = self.threshold(stage);
        // SAFETY: changes when memory is given back, and nothing else.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * bytes);
        }
    }

    fn threshold(&self, stage: Stage) -> i32 {
        let share = match stage {
            Stage::Denoise => self.denoise,
            Stage::Encode => self.encode,
            Stage::Decode => self.decode,
            _ => 1.0,
        };
        (LARGEST * share).max(LEAST) as i32
    }
}

/// Whether this variable says when memory is given back.
fn is_set(name: &str, text: &str) -> bool {
    match name {
        "MALLOC_MMAP_THRESHOLD_" | "MALLOC_MMAP_MAX_" | "MALLOC_TRIM_THRESHOLD_" => true,
        "GLIBC_TUNABLES" => ["mmap_", "trim_"].iter().any(|part| text.contains(part)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wan22_tune::knobs::{Baseline, Knobs, Preset};
    use wan22_tune::machine::Machine;
    use wan22_tune::workload::{BUILT_IN, WorkloadFile};

    fn heap(number: usize) -> Option<Heap> {
        let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "i2v").unwrap();
        let workload = WorkloadFile::parse(text).unwrap().size(number);
        let machine = Machine::detect().unwrap();
        let knobs = Baseline::fit(Preset::Generic, &machine).knobs;
        let settings = Knobs { tile_size: 256, vae_tile_size: 384, ..knobs };
        let settings = settings.resolve(&machine).unwrap();
        Heap::of(&workload, &workload.model.architecture(), &settings)
    }

    /// 2 x 8 x 8 of 31 x 22 x 40 tokens, and 64 x 64 pixels of tiles; prompts are whole.
    #[test]
    fn thresholds_are_cut_as_tensors_are() {
        let heap = heap(0).unwrap();
        let whole = 32 * 1024 * 1024;
        assert_eq!(heap.threshold(Stage::Text), whole);
        assert_eq!(heap.threshold(Stage::Denoise), 157_440);
        assert_eq!(heap.threshold(Stage::Encode), whole / 16);
        assert_eq!(heap.threshold(Stage::Decode), 932_067);
    }

    #[test]
    fn a_process_with_thresholds_of_its_own_keeps_them() {
        assert!(is_set("MALLOC_MMAP_THRESHOLD_", "1"));
        assert!(is_set("GLIBC_TUNABLES", "glibc.malloc.mmap_max=0:glibc.malloc.top_pad=1"));
        assert!(!is_set("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"));
        assert!(!is_set("MALLOC_ARENA_MAX", "1"));
    }

    /// Pages that this thread faulted in: other tests run beside it.
    fn thread_faults() -> i64 {
        // SAFETY: plain numbers, which the call fills.
        unsafe {
            let mut usage = std::mem::zeroed();
            assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
            usage.ru_minflt
        }
    }

    /// 8 MiB are kept in text, and given back in denoising: 2048 pages each time.
    #[test]
    fn blocks_that_a_job_would_give_back_are_given_back() {
        let heap = heap(0).unwrap();
        let faults = |stage| {
            heap.begin(stage);
            let fill = || drop(std::hint::black_box(vec![1_u8; 8 << 20]));
            fill();
            let before = thread_faults();
            (0..20).for_each(|_| fill());
            thread_faults() - before
        };
        let (kept, given) = (faults(Stage::Text), faults(Stage::Denoise));
        assert!(given > kept + 10 * 2048, "{kept} and {given}");
    }
}
