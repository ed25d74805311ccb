//! The environment of a launched process: the caller's, without what would leak into a
//! measurement, and with what the settings ask for.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex_lite::Regex;

use super::form::{Part, VariableForm, list_of};
use crate::knobs::KNOBS;
use crate::machine::{SystemRoots, library};

/// Names with these beginnings decide how OpenMP, MKL, libtorch or the allocator run. A parent
/// may have set them for itself (Dask and Ray export OMP_NUM_THREADS=1), so none is inherited.
const FAMILIES: [&str; 20] = [
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

/// A variable that a profile may set.
struct Allowed {
    name: &'static str,
    parts: Vec<Part>,
    of_the_machine: bool,
    form: String,
    /// Made when a value is checked: most launches check few.
    matcher: OnceLock<Regex>,
}

impl Allowed {
    fn is_match(&self, value: &str) -> bool {
        let whole = || Regex::new(&format!("^({})$", self.form)).expect("a valid pattern");
        // `$` of other readers also stands before a last line break.
        self.matcher.get_or_init(whole).is_match(value) && !value.ends_with('\n')
    }
}

/// What a profile may set, in the order of the knobs.
static ALLOWED: LazyLock<Vec<Allowed>> = LazyLock::new(|| {
    let forms = KNOBS.iter().flat_map(|(knob, one)| one.forms().into_iter().map(|f| (*knob, f)));
    let mut variables: Vec<(&str, bool, Vec<Part>)> = Vec::new();
    for (knob, VariableForm { name, pattern, of_the_machine }) in forms {
        let part = Part { knob, pattern };
        match variables.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., parts)) => parts.push(part),
            None => variables.push((name, of_the_machine, vec![part])),
        }
    }
    let allowed = |(name, of_the_machine, parts): (_, _, Vec<Part>)| {
        let (form, matcher) = (list_of(&parts), OnceLock::new());
        Allowed { name, parts, of_the_machine, form, matcher }
    };
    variables.into_iter().map(allowed).collect()
});

/// What each knob may put into the variable called `name`.
pub fn parts(name: &str) -> &'static [Part] {
    find(name).map_or(&[], |allowed| &allowed.parts)
}

fn find(name: &str) -> Option<&'static Allowed> {
    ALLOWED.iter().find(|allowed| allowed.name == name)
}

/// Every variable that a profile may set, with the form of its value as a regular expression.
pub fn allowed() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALLOWED.iter().map(|allowed| (allowed.name, allowed.form.as_str()))
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

/// The beginnings of the names that a launched process does not inherit: families, and whatever
/// else a profile may set.
pub fn not_inherited() -> &'static [&'static str] {
    static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let is_known = |name: &&str| !FAMILIES.iter().any(|family| name.starts_with(family));
        let others = ALLOWED.iter().map(|allowed| allowed.name).filter(is_known);
        FAMILIES.into_iter().chain(others).collect()
    });
    &ALL
}

/// Whether the variable's value follows from the machine and not from the candidate alone.
pub fn depends_on_the_machine(name: &str) -> bool {
    find(name).is_some_and(|allowed| allowed.of_the_machine)
}

/// libtorch's allocator on GPUs, by its old name and its new one. The caller's own are kept unless a
/// knob sets them: it is memory that they decide, and people set them for a reason.
pub const CUDA_ALLOCATOR: [&str; 2] = ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"];

/// Whether a variable decides how OpenMP, MKL, libtorch or the allocator run.
pub fn decides(name: &str) -> bool {
    !INHERITED.contains(&name) && not_inherited().iter().any(|prefix| name.starts_with(prefix))
}

/// Checks a variable against the allow-list.
///
/// # Errors
/// The name is not allowed, or the value has another form.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let allowed = find(name).ok_or("a profile may not set this variable")?;
    if allowed.is_match(value) {
        return Ok(());
    }
    Err(format!("`{value}` is not of the form {}", allowed.form))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::memory::allocator::GLIBC_KEEP;
    use crate::knobs::memory::huge_pages::GLIBC_HUGE;

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
