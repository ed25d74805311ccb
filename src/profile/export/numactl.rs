//! `numactl`: a script that becomes a command by way of `env` and `numactl`.

use super::Export;
use super::preamble::{forgetting, numactl_flag};
use crate::io::shell;
use crate::knobs::memory::MemoryPolicy;

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let mut notes = vec![if export.command.is_empty() {
        "Type `sh FILE COMMAND…`.".to_owned()
    } else {
        "Type `sh FILE`; more arguments are handed on.".to_owned()
    }];
    notes.push(
        "The kernel lets a container set a memory policy with --cap-add SYS_NICE only.".to_owned(),
    );
    if matches!(export.launch().set_memory(), Some(MemoryPolicy::WeightedInterleave(_))) {
        notes.push("Weighted interleaving takes numactl 2.0.18 and Linux 6.9.".to_owned());
    }
    notes.extend(export.packages());
    let set = export.host_environment()?;
    let mut words = vec!["exec env".to_owned()];
    words.extend(set.iter().map(|(name, value)| shell::text(&[format!("{name}={value}")])));
    words.push(command(export));
    let (preamble, start) = (export.preamble(&notes), words.join(" \\\n    "));
    let test = export.library_test("exit")?;
    Ok(format!("#!/bin/sh\n{preamble}{test}{}{start} \"$@\"\n", forgetting(export)))
}

/// `numactl` with its flags, where there are any, and the command. `--all` looks beyond a mask that this process happens
/// to have, as `wan22-tune exec` does.
fn command(export: &Export<'_>) -> String {
    let launch = export.launch();
    let cpus = launch.bound_cpus().map(|cpus| format!("--physcpubind={cpus}"));
    let flags: Vec<String> = cpus.into_iter().chain(numactl_flag(launch)).collect();
    let mut words = Vec::new();
    if !flags.is_empty() {
        words.extend(["numactl".to_owned(), "--all".to_owned()]);
        words.extend(flags);
        words.push("--".to_owned());
    }
    words.extend_from_slice(export.command);
    shell::text(&words)
}
