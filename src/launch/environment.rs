//! The environment of a launched process: the caller's, without what would leak into a
//! measurement, and with what the settings ask for.

use std::collections::BTreeMap;
use std::ffi::OsString;

use strum::VariantArray;

use super::allocator::{GLIBC_KEEP, JEMALLOC_KEEP};
use super::{Allocator, OnednnIsa};

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
const ALLOWED: [(&str, Form); 12] = [
    ("OMP_NUM_THREADS", Form::Count),
    ("MKL_NUM_THREADS", Form::Count),
    ("NUMEXPR_NUM_THREADS", Form::Count),
    ("TORCH_NUM_THREADS", Form::Count),
    ("MALLOC_ARENA_MAX", Form::Count),
    ("NUMA_PREFERRED_NODE", Form::Index),
    ("NUMA_INTERLEAVE_NODES", Form::Indexes),
    ("PYTORCH_CUDA_ALLOC_CONF", Form::SplitSize),
    ("GLIBC_TUNABLES", Form::Exactly(GLIBC_KEEP)),
    ("MALLOC_CONF", Form::Exactly(JEMALLOC_KEEP)),
    ("LD_PRELOAD", Form::Allocator),
    ("ONEDNN_MAX_CPU_ISA", Form::Isa),
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
    /// The one value that this program writes.
    Exactly(&'static str),
    /// The library of an [`Allocator`], by name and never by path.
    Allocator,
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
            Self::Exactly(only) => value == only,
            Self::Allocator => Allocator::VARIANTS.iter().any(|a| a.library() == Some(value)),
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
            Self::Exactly(_) => "the value that this program writes",
            Self::Allocator => "the library of an allocator that this program knows",
            Self::Isa => "an instruction set that this program knows",
        }
    }
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
        ] {
            assert!(check(&map(&[(name, value)])).unwrap_err().contains(name), "{name}={value}");
        }
    }
}
