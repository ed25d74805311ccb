//! `docker` and `podman`: an --env-file. Both keep quotes as they are, so there are none.

use super::preamble::numactl_flag;
use super::{Export, env};
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::program_environment;

pub(super) fn text(export: &Export<'_>, engine: &str) -> String {
    let launch = export.launch();
    let mut flags = "--env-file FILE".to_owned();
    if let Some(cpus) = launch.bound_cpus() {
        flags += &format!(" --cpuset-cpus {cpus}");
    }
    let mut notes = Vec::new();
    match launch.set_memory() {
        None | Some(MemoryPolicy::Default) => {}
        Some(MemoryPolicy::Bind(nodes)) => flags += &format!(" --cpuset-mems {nodes}"),
        Some(policy) => {
            flags += " --cap-add SYS_NICE";
            let flag = numactl_flag(launch).unwrap_or_default();
            notes.push(format!(
                "{engine} sets no memory policy. For {policy}, start the command in the"
            ));
            notes.push(format!(
                "container by `numactl {flag} COMMAND`; only --cap-add SYS_NICE allows it."
            ));
        }
    }
    notes.insert(0, format!("{engine} run {flags} IMAGE COMMAND"));
    notes.push(format!(
        "A program that reads its profile wants the file in the image, and {} with its path.",
        program_environment::PROFILE
    ));
    notes.extend(export.packages().map(|packages| format!("{packages} in the image.")));
    export.preamble(&notes) + env::lines(&export.environment()).as_str()
}
