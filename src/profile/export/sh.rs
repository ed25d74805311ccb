//! `sh`: a file for a POSIX shell to source.

use super::Export;
use super::preamble::{forgetting, numactl_flag};
use crate::io::shell;

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let launch = export.launch();
    let bound = launch.bound_cpus().map(|cpus| format!(", and bound to CPUs {cpus}"));
    let bound = bound.unwrap_or_default();
    let mut notes = vec![format!(
        "Type `. FILE`: this shell, and what it starts, then has the settings{bound}."
    )];
    if let Some(flag) = numactl_flag(launch) {
        notes.push("A shell can't set its own memory policy:".to_owned());
        notes.push(format!("start commands by `numactl {flag} COMMAND` for {}.", launch.memory));
        notes.push("In a container that takes --cap-add SYS_NICE.".to_owned());
    }
    notes.extend(export.packages());
    let mut text = export.preamble(&notes) + export.library_test("return")?.as_str();
    text += forgetting(export).as_str();
    for (name, value) in export.host_environment()? {
        text.push_str(&format!("export {name}={}\n", shell::text(&[value])));
    }
    let bind = launch.bound_cpus().map(|cpus| {
        format!(
            "taskset -cp {cpus} $$ >/dev/null || echo 'wan22-tune: this shell is not bound to CPUs \
             {cpus}' >&2\n"
        )
    });
    Ok(text + bind.unwrap_or_default().as_str())
}
