//! The environment of a launched process: the caller's, without what would leak into a
//! measurement, and with what the settings ask for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::LazyLock;

use regex_lite::Regex;
use strum::VariantArray;

use super::allocator::Allocator;
use super::allocator::{GLIBC_KEEP, JEMALLOC_KEEP};
use super::huge_pages::GLIBC_HUGE;
use super::isa::OnednnIsa;
use super::mkl::MklDispatch;
use super::openmp::OmpRuntime;
use crate::machine::SystemRoots;
use crate::machine::library;
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

/// Names that begin so and only say where files lie.
const INHERITED: [&str; 2] = ["TORCH_HOME", "TORCH_EXTENSIONS_DIR"];

/// What a profile may set, each name with the form of its value: a regular expression that Rust,
/// Python and `grep -E` read alike, so that there is one list for all that writes or reads profiles.
static ALLOWED: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    const COUNT: &str = "[1-9][0-9]{0,4}";
    const INDEX: &str = "(0|[1-9][0-9]{0,4})";
    let allocator = one_of(Allocator::VARIANTS.iter().filter_map(|allocator| allocator.library()));
    let openmp = one_of(OmpRuntime::VARIANTS.iter().filter_map(|runtime| runtime.library()));
    let mkl = one_of(MklDispatch::VARIANTS.iter().filter_map(|dispatch| dispatch.library()));
    let (keep, huge) = (one_of([GLIBC_KEEP]), one_of([GLIBC_HUGE]));
    let interval = format!("{INDEX}:{COUNT}");
    let place = format!("\\{{{interval}(,{interval})*\\}}");
    vec![
        ("OMP_NUM_THREADS", COUNT.to_owned()),
        ("MKL_NUM_THREADS", COUNT.to_owned()),
        ("NUMEXPR_NUM_THREADS", COUNT.to_owned()),
        ("TORCH_NUM_THREADS", COUNT.to_owned()),
        ("MALLOC_ARENA_MAX", COUNT.to_owned()),
        ("NUMA_PREFERRED_NODE", INDEX.to_owned()),
        ("NUMA_INTERLEAVE_NODES", format!("{INDEX}(,{INDEX})*")),
        ("PYTORCH_CUDA_ALLOC_CONF", format!("max_split_size_mb:{COUNT}")),
        ("GLIBC_TUNABLES", format!("{keep}(:{huge})?|{huge}")),
        ("MALLOC_CONF", one_of([JEMALLOC_KEEP])),
        // By name and never by path: which file that is, the launch finds out.
        ("LD_PRELOAD", format!("{allocator}(:{openmp})?(:{mkl})?|{openmp}(:{mkl})?|{mkl}")),
        ("ONEDNN_MAX_CPU_ISA", one_of(OnednnIsa::VARIANTS.iter().filter_map(|isa| isa.value()))),
        ("OMP_PLACES", format!("{place}(,{place})*")),
        ("OMP_PROC_BIND", one_of(["close", "spread"])),
        ("OMP_WAIT_POLICY", one_of(["active", "passive"])),
        ("THP_MEM_ALLOC_ENABLE", one_of(["1"])),
    ]
});

static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let whole = |form: &str| Regex::new(&format!("^({form})$")).expect("a form is a valid pattern");
    ALLOWED.iter().map(|(_, form)| whole(form)).collect()
});

/// A pattern of these texts and no other.
fn one_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(regex_lite::escape).collect();
    format!("({})", texts.join("|"))
}

/// Every variable that a profile may set, with the form of its value as a regular expression.
pub fn allowed() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALLOWED.iter().map(|(name, form)| (*name, form.as_str()))
}

/// The allow-list as a JSON schema.
pub fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let member = |(name, form): (&str, &str)| {
        let form = serde_json::json!({"type": "string", "pattern": format!("^({form})$")});
        (name.to_owned(), form)
    };
    let members: serde_json::Map<String, serde_json::Value> = allowed().map(member).collect();
    schemars::json_schema!({
        "type": "object",
        "properties": members,
        "additionalProperties": false,
    })
}

/// The beginnings of the names that a launched process does not inherit.
pub fn not_inherited() -> &'static [&'static str] {
    &NOT_INHERITED
}

/// Whether the variable's value follows from the machine and not from the candidate alone.
pub fn depends_on_the_machine(name: &str) -> bool {
    name.starts_with("NUMA_") || [CUDA_ALLOCATOR, "OMP_PLACES", "OMP_PROC_BIND"].contains(&name)
}

/// libtorch's allocator on GPUs: its value follows from the GPU, for which a launch does not look.
pub const CUDA_ALLOCATOR: &str = "PYTORCH_CUDA_ALLOC_CONF";

/// Whether a variable decides how OpenMP, MKL, libtorch or the allocator run.
pub fn decides(name: &str) -> bool {
    !INHERITED.contains(&name) && NOT_INHERITED.iter().any(|prefix| name.starts_with(prefix))
}

/// Checks a variable against the allow-list.
///
/// # Errors
/// The name is not allowed, or the value has another form.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let Some(position) = ALLOWED.iter().position(|(allowed, _)| *allowed == name) else {
        return Err("a profile may not set this variable".to_owned());
    };
    // `$` of other readers also stands before a last line break.
    if FORMS[position].is_match(value) && !value.ends_with('\n') {
        return Ok(());
    }
    Err(format!("`{value}` is not of the form {}", ALLOWED[position].1))
}

/// The variables as a process gets them: libraries are the system's own files.
///
/// # Errors
/// The library that is missing, or that somebody else could have put there.
pub fn resolved(settings: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut resolved = settings.clone();
    if let Some(libraries) = resolved.get_mut(PRELOAD) {
        let file =
            |name: &str| library::find(name, &SystemRoots::live()).map_err(|e| e.to_string());
        *libraries = libraries.split(':').map(file).collect::<Result<Vec<_>, _>>()?.join(":");
    }
    Ok(resolved)
}

/// The variable that names libraries to load before all others.
pub const PRELOAD: &str = "LD_PRELOAD";

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
            ("TORCH_HOME", "/models"),
        ]);
        let parent = parent.iter().map(|(name, value)| (name.into(), value.into()));
        let built = build(parent, &map(&[("OMP_NUM_THREADS", "8")]));
        let text: Vec<String> = built
            .iter()
            .map(|(n, v)| format!("{}={}", n.to_string_lossy(), v.to_string_lossy()))
            .collect();
        let kept = ["PATH=/bin", "TORCHELASTIC=kept", "TORCH_HOME=/models", "OMP_NUM_THREADS=8"];
        assert_eq!(text, kept);
    }

    #[test]
    fn what_knobs_write_together_is_allowed() {
        let both = format!("{GLIBC_KEEP}:{GLIBC_HUGE}");
        for (name, value) in [
            ("LD_PRELOAD", "libjemalloc.so.2"),
            ("LD_PRELOAD", "libomp.so.5"),
            ("LD_PRELOAD", "libtcmalloc_minimal.so.4:libiomp5.so"),
            ("LD_PRELOAD", "libtcmalloc_minimal.so.4:libiomp5.so:libwan22-mkl.so"),
            ("LD_PRELOAD", "libomp.so.5:libwan22-mkl.so"),
            ("LD_PRELOAD", "libwan22-mkl.so"),
            ("GLIBC_TUNABLES", GLIBC_HUGE),
            ("GLIBC_TUNABLES", both.as_str()),
            ("OMP_PLACES", "{0:1,64:1},{1:1,65:1}"),
            ("OMP_PROC_BIND", "spread"),
            ("OMP_WAIT_POLICY", "passive"),
            ("THP_MEM_ALLOC_ENABLE", "1"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn only_known_names_with_well_formed_values_are_allowed() {
        for (name, value) in [
            ("OMP_NUM_THREADS", "8"),
            ("NUMA_INTERLEAVE_NODES", "0,1"),
            ("LD_PRELOAD", "libjemalloc.so.2"),
            ("GLIBC_TUNABLES", GLIBC_KEEP),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
        for (name, value) in [
            ("LD_LIBRARY_PATH", "/tmp"),
            ("LD_PRELOAD", "x.so"),
            ("LD_PRELOAD", "./libjemalloc.so.2"),
            ("LD_PRELOAD", "/tmp/libwan22-mkl.so"),
            ("LD_PRELOAD", "libwan22-mkl.so:libomp.so.5"),
            ("LD_PRELOAD", "libjemallocXso.2"),
            ("OMP_NUM_THREADS", "0"),
            ("OMP_NUM_THREADS", "8; rm"),
            ("OMP_NUM_THREADS", "8\n"),
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
            assert!(check(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn whatever_a_profile_may_set_is_not_inherited() {
        assert!(allowed().all(|(name, _)| decides(name)));
    }
}
