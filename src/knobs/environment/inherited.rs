//! Inherited: what a launched process has from its caller, beside what settings ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::allow_list::{CUDA_ALLOCATOR, PRELOAD, allowed, decides, not_inherited, parts};
use crate::knobs::AsIs;
use crate::knobs::libraries::omp_runtime;
use crate::knobs::memory::allocator;

/// Variables that decide the same as a knob, and would overrule what it sets.
const OVERRULING: [(&str, [&str; 2]); 3] = [
    ("affinity", ["KMP_AFFINITY", "GOMP_CPU_AFFINITY"]),
    ("omp_places", ["KMP_AFFINITY", "GOMP_CPU_AFFINITY"]),
    ("omp_wait", ["KMP_BLOCKTIME", "GOMP_SPINCOUNT"]),
];

/// glibc's own switches.
const TUNABLES: &str = "GLIBC_TUNABLES";

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

/// The beginnings of the names that a launched process does not inherit where some knobs are left
/// `as_is`: what the others may set, and what would overrule that.
pub fn not_inherited_beside(as_is: &AsIs) -> Vec<&'static str> {
    if as_is.is_empty() {
        return not_inherited().to_vec();
    }
    unset_beside(as_is).into_iter().collect()
}

/// The same by whole names. libtorch's allocator on GPUs stays the caller's unless a knob sets it.
pub fn unset_beside(as_is: &AsIs) -> BTreeSet<&'static str> {
    let is_set = |name: &&str| parts(name).iter().any(|part| !as_is.contains(part.knob));
    let set = allowed().map(|(name, _)| name).filter(is_set);
    let set = set.filter(|name| !CUDA_ALLOCATOR.contains(name));
    let overruling = OVERRULING.iter().filter(|(knob, _)| !as_is.contains(*knob));
    set.chain(overruling.flat_map(|(_, names)| *names)).collect()
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
}
