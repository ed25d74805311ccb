//! What stands above every export: whose settings they are, and what the dialect can't say.

use super::Export;
use crate::knobs::allow_list;
use crate::knobs::allow_list::PRELOAD;
use crate::knobs::memory::MemoryPolicy;
use crate::launch::Launch;
use crate::machine::library;

impl Export<'_> {
    /// Lines that begin with `#`: what this is, and `notes`.
    pub(super) fn preamble(&self, notes: &[String]) -> String {
        let profile = self.profile;
        let proof = profile.evidence.as_ref().map_or("never measured".to_owned(), |evidence| {
            let (metric, gain) = (evidence.metric(), evidence.gain_percent);
            let words = [metric.better()[0], metric.noun()].join(" ");
            gain.map_or(evidence.verdict.clone(), |gain| format!("{gain:.1}% {words}"))
        });
        let what = format!("Settings for Wan 2.2 on {}: {proof}.", profile.machine.host);
        let by = format!(
            "Written by {} export from the profile of {}.",
            profile.tool, profile.timestamp
        );
        let lines = [what, by].into_iter().chain(notes.iter().cloned());
        lines.map(|line| format!("# {line}\n")).collect()
    }

    /// Which packages bring the libraries that are loaded before all others.
    pub(super) fn packages(&self) -> Option<String> {
        let list = self.launch().environment.get(PRELOAD)?;
        let packages: Vec<&str> = list.split(':').filter_map(library::package).collect();
        (!packages.is_empty())
            .then(|| format!("{PRELOAD} needs these Debian packages: {}", packages.join(" ")))
    }
}

/// `numactl`'s flag for the memory policy of a launch; `None` for the kernel's default, and where it
/// stays as it is.
pub fn numactl_flag(launch: &Launch) -> Option<String> {
    match launch.set_memory()? {
        MemoryPolicy::Default => None,
        MemoryPolicy::Bind(nodes) => Some(format!("--membind={nodes}")),
        MemoryPolicy::Preferred(nodes) if nodes.len() == 1 => Some(format!("--preferred={nodes}")),
        MemoryPolicy::Preferred(nodes) => Some(format!("--preferred-many={nodes}")),
        MemoryPolicy::Interleave(nodes) => Some(format!("--interleave={nodes}")),
        MemoryPolicy::WeightedInterleave(nodes) => Some(format!("--weighted-interleave={nodes}")),
    }
}

/// For a POSIX shell: unsets what a launched process does not inherit.
pub(super) fn forgetting(export: &Export<'_>) -> String {
    let beginnings = export.launch().not_inherited().join("|");
    if beginnings.is_empty() {
        return String::new();
    }
    let kept = allow_list::CUDA_ALLOCATOR.join("|");
    format!(
        "for wan22_name in $(env | sed -nE 's/^(({beginnings})[A-Za-z0-9_]*)=.*/\\1/p' | grep -vxE \
         '{kept}'); do\n    unset \"$wan22_name\"\ndone\nunset wan22_name\n"
    )
}
