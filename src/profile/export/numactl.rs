//! `numactl`: a script that becomes a command by way of `env` and `numactl`.

use super::Export;
use super::preamble::{forgetting, numactl_flag, shell_word, shell_words};

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let mut notes = vec![if export.command.is_empty() {
        "Type `sh FILE COMMAND…`.".to_owned()
    } else {
        "Type `sh FILE`; more arguments are handed on.".to_owned()
    }];
    notes.push(
        "The kernel lets a container set a memory policy with --cap-add SYS_NICE only.".to_owned(),
    );
    if matches!(export.launch().memory, crate::knobs::memory::MemoryPolicy::WeightedInterleave(_)) {
        notes.push("Weighted interleaving takes numactl 2.0.18 and Linux 6.9.".to_owned());
    }
    notes.extend(export.packages());
    let set = export.host_environment()?;
    let mut words = vec!["exec env".to_owned()];
    words.extend(set.iter().map(|(name, value)| shell_word(&format!("{name}={value}"))));
    words.push(command(export));
    let (preamble, start) = (export.preamble(&notes), words.join(" \\\n    "));
    let test = export.library_test("exit")?;
    Ok(format!("#!/bin/sh\n{preamble}{test}{}{start} \"$@\"\n", forgetting(export)))
}

/// `numactl` with its flags and the command. `--all` looks beyond a mask that this process happens
/// to have, as `wan22-tune exec` does.
fn command(export: &Export<'_>) -> String {
    let launch = export.launch();
    let mut words = vec!["numactl".to_owned(), "--all".to_owned()];
    words.push(format!("--physcpubind={}", launch.cpus));
    words.extend(numactl_flag(&launch.memory));
    words.push("--".to_owned());
    words.extend_from_slice(export.command);
    shell_words(&words)
}
