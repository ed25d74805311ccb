//! The environment of a launched process: the caller's, without what would leak into a
//! measurement, and with what the settings ask for.

use std::collections::BTreeMap;
use std::ffi::OsString;

use strum::VariantArray;

use super::allocator::{GLIBC_KEEP, JEMALLOC_KEEP};
use super::huge_pages::GLIBC_HUGE;
use super::places::Places;
use super::{Allocator, OmpRuntime, OnednnIsa};

/// Names with these beginnings decide how OpenMP, MKL, libtorch or the allocator run. A parent
/// may have set them for itself (Dask and Ray export OMP_NUM_THREADS=1), so none is inherited.
const NOT_INHERITED: [&str; 20] = [
    "OMP_",
    "KMP_",
    "GOMP_",
    "LIBOMP_",
    "MKL_",
    "OPENBLAS_",
    "BLIS_",
    "ONEDNN_",
    "DNNL_",
    "TORCH_",
    "ATEN_",
    "PYTORCH_",
    "NUMEXPR_",
    "NUMA_",
    "MALLOC_",
    "MIMALLOC_",
    "TCMALLOC_",
    "GLIBC_TUNABLES",
    "THP_MEM_ALLOC_ENABLE",
    "LD_PRELOAD",
];

/// What a profile may set, each name with the form of its value.
const ALLOWED: [(&str, Form); 16] = [
    ("OMP_NUM_THREADS", Form::Count),
    ("MKL_NUM_THREADS", Form::Count),
    ("NUMEXPR_NUM_THREADS", Form::Count),
    ("TORCH_NUM_THREADS", Form::Count),
    ("MALLOC_ARENA_MAX", Form::Count),
    ("NUMA_PREFERRED_NODE", Form::Index),
    ("NUMA_INTERLEAVE_NODES", Form::Indexes),
    ("PYTORCH_CUDA_ALLOC_CONF", Form::SplitSize),
    ("GLIBC_TUNABLES", Form::Tunables),
    ("MALLOC_CONF", Form::Word(&[JEMALLOC_KEEP])),
    ("LD_PRELOAD", Form::Preload),
    ("ONEDNN_MAX_CPU_ISA", Form::Isa),
    ("OMP_PLACES", Form::Places),
    ("OMP_PROC_BIND", Form::Word(&["close", "spread"])),
    ("OMP_WAIT_POLICY", Form::Word(&["active", "passive"])),
    ("THP_MEM_ALLOC_ENABLE", Form::Word(&["1"])),
];

/// The form of an environment variable's value.
#[derive(Clone, Copy)]
enum Form {
    /// 1 to 65535.
    Count,
    /// 0 to 65535.
    Index,
    /// Indexes with commas between.
    Indexes,
    /// `max_split_size_mb:` and a count.
    SplitSize,
    /// One of the values that this program writes.
    Word(&'static [&'static str]),
    /// Those of glibc's tunables that this program writes.
    Tunables,
    /// The libraries of an [`Allocator`] and an [`OmpRuntime`], by name and never by path.
    Preload,
    /// What [`Places`] writes.
    Places,
    /// An [`OnednnIsa`].
    Isa,
}

impl Form {
    fn fits(self, value: &str) -> bool {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        match self {
            Self::Count => number(value).is_some_and(|count| count > 0),
            Self::Index => number(value).is_some(),
            Self::Indexes => value.split(',').all(|part| number(part).is_some()),
            Self::Word(words) => words.contains(&value),
            Self::Tunables => is_list(value, &[GLIBC_KEEP], &[GLIBC_HUGE]),
            Self::Preload => {
                let allocators = Allocator::VARIANTS.iter().filter_map(|a| a.library());
                let runtimes = OmpRuntime::VARIANTS.iter().filter_map(|r| r.library());
                is_list(value, &allocators.collect::<Vec<_>>(), &runtimes.collect::<Vec<_>>())
            }
            Self::Places => value.parse::<Places>().is_ok(),
            Self::Isa => OnednnIsa::VARIANTS.iter().any(|isa| isa.value() == Some(value)),
            Self::SplitSize => value
                .strip_prefix("max_split_size_mb:")
                .is_some_and(|size| number(size).is_some_and(|mb| mb > 0)),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Count => "a count from 1 to 65535",
            Self::Index => "an index from 0 to 65535",
            Self::Indexes => "indexes with commas between, like 0,1",
            Self::SplitSize => "max_split_size_mb:N",
            Self::Word(_) | Self::Tunables => "a value that this program writes",
            Self::Preload => {
                "libraries of an allocator and an OpenMP runtime that this program knows"
            }
            Self::Places => "places like {0:2},{2:2}",
            Self::Isa => "an instruction set that this program knows",
        }
    }
}

/// Whether `value` is one of `first`, one of `second`, or one of each with a colon between.
fn is_list(value: &str, first: &[&str], second: &[&str]) -> bool {
    let rest = |head: &&str| value.strip_prefix(head)?.strip_prefix(':');
    first.contains(&value)
        || second.contains(&value)
        || first.iter().filter_map(rest).any(|rest| second.contains(&rest))
}

/// Whether a variable decides how OpenMP, MKL, libtorch or the allocator run.
pub fn decides(name: &str) -> bool {
    NOT_INHERITED.iter().any(|prefix| name.starts_with(prefix))
}

/// Checks every variable against the allow-list.
///
/// # Errors
/// The first name that is not allowed, or whose value has the wrong form.
pub fn check(environment: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in environment {
        let Some((_, form)) = ALLOWED.iter().find(|(allowed, _)| allowed == name) else {
            return Err(format!("environment.{name}: a profile may not set this variable"));
        };
        if !form.fits(value) {
            return Err(format!("environment.{name}: `{value}` is not {}", form.words()));
        }
    }
    Ok(())
}

/// The caller's variables that are handed on, and those of `settings` on top.
pub fn build(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    settings: &BTreeMap<String, String>,
) -> Vec<(OsString, OsString)> {
    let kept = inherited.filter(|(name, _)| !decides(&name.to_string_lossy()));
    kept.chain(settings.iter().map(|(name, value)| (name.into(), value.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_polluted_parent_does_not_reach_the_process() {
        let parent = map(&[
            ("OMP_NUM_THREADS", "1"),
            ("OMP_PROC_BIND", "true"),
            ("LD_PRELOAD", "evil.so"),
            ("PATH", "/bin"),
            ("TORCHELASTIC", "kept"),
        ]);
        let parent = parent.iter().map(|(name, value)| (name.into(), value.into()));
        let built = build(parent, &map(&[("OMP_NUM_THREADS", "8")]));
        let text: Vec<String> = built
            .iter()
            .map(|(n, v)| format!("{}={}", n.to_string_lossy(), v.to_string_lossy()))
            .collect();
        assert_eq!(text, ["PATH=/bin", "TORCHELASTIC=kept", "OMP_NUM_THREADS=8"]);
    }

    #[test]
    fn what_knobs_write_together_is_allowed() {
        let both = format!("{GLIBC_KEEP}:{GLIBC_HUGE}");
        for (name, value) in [
            ("LD_PRELOAD", "libjemalloc.so.2"),
            ("LD_PRELOAD", "libomp.so.5"),
            ("LD_PRELOAD", "libtcmalloc_minimal.so.4:libiomp5.so"),
            ("GLIBC_TUNABLES", GLIBC_HUGE),
            ("GLIBC_TUNABLES", both.as_str()),
            ("OMP_PLACES", "{0:1,64:1},{1:1,65:1}"),
            ("OMP_PROC_BIND", "spread"),
            ("OMP_WAIT_POLICY", "passive"),
            ("THP_MEM_ALLOC_ENABLE", "1"),
        ] {
            assert_eq!(check(&map(&[(name, value)])), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn only_known_names_with_well_formed_values_are_allowed() {
        assert_eq!(
            check(&map(&[("OMP_NUM_THREADS", "8"), ("NUMA_INTERLEAVE_NODES", "0,1")])),
            Ok(())
        );
        for (name, value) in [
            ("LD_PRELOAD", "x.so"),
            ("OMP_NUM_THREADS", "0"),
            ("OMP_NUM_THREADS", "8; rm"),
            ("OMP_NUM_THREADS", "+8"),
            ("NUMA_INTERLEAVE_NODES", "0,"),
            ("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:"),
            ("LD_PRELOAD", "libtcmalloc_minimal.so.4:/tmp/libomp.so.5"),
            ("LD_PRELOAD", "libomp.so.5:libomp.so.5"),
            ("LD_PRELOAD", "libomp.so.5:libtcmalloc_minimal.so.4"),
            ("LD_PRELOAD", "libtcmalloc_minimal.so.4:"),
            ("LD_PRELOAD", ""),
            ("GLIBC_TUNABLES", "glibc.malloc.check=3"),
            ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2"),
            ("OMP_PLACES", "cores"),
            ("OMP_PROC_BIND", "true"),
            ("OMP_WAIT_POLICY", "ACTIVE"),
            ("THP_MEM_ALLOC_ENABLE", "0"),
        ] {
            assert!(check(&map(&[(name, value)])).unwrap_err().contains(name), "{name}={value}");
        }
    }
}
