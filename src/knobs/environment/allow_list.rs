//! The environment of a launched process: the caller's, without what would leak into a
//! measurement, and with what the settings ask for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{LazyLock, OnceLock};

use regex_lite::Regex;

use super::form::{Form, Part, list_of};
use crate::knobs::libraries::omp_runtime;
use crate::knobs::memory::allocator;
use crate::knobs::{AsIs, KNOBS};
use crate::machine::SystemRoots;
use crate::machine::library;

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
    for (knob, Form { name, pattern, of_the_machine }) in forms {
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

/// The same where some knobs are left `as_is`: what the others may set, and what would overrule that.
pub fn not_inherited_beside(as_is: &AsIs) -> Vec<&'static str> {
    if as_is.is_empty() {
        return not_inherited().to_vec();
    }
    let is_set = |allowed: &&Allowed| allowed.parts.iter().any(|part| !as_is.contains(part.knob));
    let set = ALLOWED.iter().filter(is_set).map(|allowed| allowed.name);
    let overruling = OVERRULING.iter().filter(|(knob, _)| !as_is.contains(*knob));
    set.chain(overruling.flat_map(|(_, names)| *names)).collect()
}

/// Whether the variable's value follows from the machine and not from the candidate alone.
pub fn depends_on_the_machine(name: &str) -> bool {
    find(name).is_some_and(|allowed| allowed.of_the_machine)
}

/// libtorch's allocator on GPUs, by its old name and its new one. The caller's own are kept unless a
/// knob sets them: it is memory that they decide, and people set them for a reason.
pub const CUDA_ALLOCATOR: [&str; 2] = ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"];

/// Variables that decide the same as a knob, and would overrule what it sets.
const OVERRULING: [(&str, [&str; 2]); 3] = [
    ("affinity", ["KMP_AFFINITY", "GOMP_CPU_AFFINITY"]),
    ("omp_places", ["KMP_AFFINITY", "GOMP_CPU_AFFINITY"]),
    ("omp_wait", ["KMP_BLOCKTIME", "GOMP_SPINCOUNT"]),
];

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

/// glibc's own switches.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// The variable that names libraries to load before all others.
pub const PRELOAD: &str = "LD_PRELOAD";

/// The caller's variables that are handed on, and those of `settings` on top. What decides how
/// libraries run is handed on as far as it belongs to knobs that are left `as_is`.
pub fn build(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    settings: &BTreeMap<String, String>,
    as_is: &AsIs,
) -> Vec<(OsString, OsString)> {
    let mut built: Vec<(OsString, OsString)> = Vec::new();
    let mut set = settings.clone();
    for (name, value) in inherited {
        let text = name.to_string_lossy();
        if !decides(&text) || is_kept(&text, settings, as_is) {
            built.push((name, value));
        } else if let (false, Some(old)) = (as_is.is_empty(), value.to_str())
            && let Some(list) = merged(&text, old, settings.get(&*text), as_is)
        {
            set.insert(text.into_owned(), list);
        }
    }
    built.extend(set.into_iter().map(|(name, value)| (name.into(), value.into())));
    built
}

/// Whether a variable that decides how libraries run stays as the caller has it.
fn is_kept(name: &str, settings: &BTreeMap<String, String>, as_is: &AsIs) -> bool {
    if settings.contains_key(name) {
        return false;
    }
    if CUDA_ALLOCATOR.contains(&name) {
        return true;
    }
    let is_overruling =
        |(knob, names): &(&str, [&str; 2])| names.contains(&name) && !as_is.contains(*knob);
    let is_left = parts(name).iter().all(|part| as_is.contains(part.knob));
    !as_is.is_empty() && is_left && !OVERRULING.iter().any(is_overruling)
}

/// What several knobs set together: what `new` sets, and of the `old` list what no knob that is set
/// has to do with.
fn merged(name: &str, old: &str, new: Option<&String>, as_is: &AsIs) -> Option<String> {
    let is_library = name == PRELOAD;
    if !is_library && name != TUNABLES {
        return None;
    }
    let separators: &[char] = if is_library { &[':', ' '] } else { &[':'] };
    let key = |one: &str| one.split('=').next().unwrap_or_default().to_owned();
    let is_set =
        |one: &str| new.is_some_and(|new| new.split(':').any(|other| key(other) == key(one)));
    let is_other = |one: &&str| {
        let knob = if is_library { knob_of_library(one) } else { Some("allocator") };
        !one.is_empty()
            && !is_set(one)
            && knob.is_none_or(|knob| as_is.contains(knob) || !is_library)
    };
    let kept = old.split(separators).filter(is_other);
    let list: Vec<&str> = new.iter().flat_map(|new| new.split(':')).chain(kept).collect();
    (!list.is_empty()).then(|| list.join(":"))
}

/// The knob that decides which of such libraries is loaded.
fn knob_of_library(path: &str) -> Option<&'static str> {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file {
        _ if allocator::loaded([file].into_iter()) != allocator::GLIBC => Some("allocator"),
        _ if omp_runtime::is_runtime(file) => Some("omp_runtime"),
        _ if parts(PRELOAD).iter().any(|part| part.find(file) == Some(file)) => {
            Some("mkl_dispatch")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::memory::allocator::GLIBC_KEEP;
    use crate::knobs::memory::huge_pages::GLIBC_HUGE;

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
        let built = build(parent, &map(&[("OMP_NUM_THREADS", "8")]), &AsIs::new());
        let text: Vec<String> = built
            .iter()
            .map(|(n, v)| format!("{}={}", n.to_string_lossy(), v.to_string_lossy()))
            .collect();
        let kept = ["PATH=/bin", "TORCHELASTIC=kept", "TORCH_HOME=/models", "OMP_NUM_THREADS=8"];
        assert_eq!(text, kept);
    }

    #[test]
    fn what_is_left_as_it_is_is_the_callers() {
        let parent = map(&[
            ("OMP_NUM_THREADS", "3"),
            ("KMP_BLOCKTIME", "0"),
            ("KMP_AFFINITY", "compact"),
            ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=1:glibc.cpu.x=2"),
            ("LD_PRELOAD", "/opt/libmine.so /opt/libjemalloc.so.2"),
            ("MALLOC_CONF", "x:y"),
            ("PYTORCH_ALLOC_CONF", "expandable_segments:True"),
        ]);
        let inherited = || parent.iter().map(|(name, value)| (name.into(), value.into()));
        let built = |set: &[(&str, &str)], changed: &[&str]| {
            let mut as_is = crate::knobs::as_is::all();
            as_is.retain(|name| !changed.contains(&name.as_str()));
            let built = build(inherited(), &map(set), &as_is).into_iter();
            let text = |text: OsString| text.into_string().unwrap();
            built.map(|(n, v)| (text(n), text(v))).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(built(&[], &[]), parent);
        let changed =
            built(&[("LD_PRELOAD", "/usr/libtc/libtcmalloc_minimal.so.4")], &["allocator"]);
        assert_eq!(changed["LD_PRELOAD"], "/usr/libtc/libtcmalloc_minimal.so.4:/opt/libmine.so");
        assert_eq!(changed["OMP_NUM_THREADS"], "3");
        assert!(!changed.contains_key("MALLOC_CONF"), "it was for the other allocator");
        let changed = built(&[("GLIBC_TUNABLES", "glibc.malloc.mmap_max=0")], &["allocator"]);
        assert_eq!(changed["GLIBC_TUNABLES"], "glibc.malloc.mmap_max=0:glibc.cpu.x=2");
        assert_eq!(changed["LD_PRELOAD"], "/opt/libmine.so");
        let changed = built(&[("OMP_WAIT_POLICY", "active")], &["omp_wait", "omp_places"]);
        assert!(!changed.contains_key("KMP_BLOCKTIME") && !changed.contains_key("KMP_AFFINITY"));
        let conf = "PYTORCH_ALLOC_CONF";
        let others = build(inherited(), &map(&[]), &AsIs::new());
        assert_eq!(
            others,
            [(conf.into(), "expandable_segments:True".into())],
            "kept without as_is too"
        );
        let changed = built(&[(conf, "max_split_size_mb:128")], &["cuda_alloc"]);
        assert_eq!(changed[conf], "max_split_size_mb:128");
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
