//! `env`: lines of NAME=value.

use super::Export;
use super::preamble::numactl_flag;

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let launch = export.launch();
    let mut notes = vec![
        "For systemd's EnvironmentFile= and `env $(grep -v '^#' FILE) COMMAND`. An environment"
            .to_owned(),
        match launch.bound_cpus() {
            Some(cpus) => {
                format!("binds nothing: start the command under `taskset -c {cpus}`.")
            }
            None => "binds nothing, and the CPUs stay as they are.".to_owned(),
        },
    ];
    if let Some(flag) = numactl_flag(launch) {
        notes.push(format!("The memory policy {} needs `numactl {flag}`.", launch.memory));
    }
    notes.extend(export.packages());
    let lines = lines(&export.host_environment()?);
    Ok(export.preamble(&notes) + lines.as_str())
}

/// The lines themselves. Nothing is quoted: readers of such files differ in what quotes mean, and
/// nothing on the allow-list needs them.
pub(super) fn lines(environment: &std::collections::BTreeMap<String, String>) -> String {
    environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}
