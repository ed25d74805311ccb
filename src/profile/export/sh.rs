//! `sh`: a file for a POSIX shell to source.

use super::Export;
use super::preamble::{forgetting, numactl_flag, shell_word};

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let launch = export.launch();
    let mut notes = vec![format!(
        "Type `. FILE`: this shell, and what it starts, is then bound to CPUs {}.",
        launch.cpus
    )];
    if let Some(flag) = numactl_flag(&launch.memory) {
        notes.push("A shell can't set its own memory policy:".to_owned());
        notes.push(format!("start commands by `numactl {flag} COMMAND` for {}.", launch.memory));
        notes.push("In a container that takes --cap-add SYS_NICE.".to_owned());
    }
    notes.extend(export.packages());
    let mut text = export.preamble(&notes) + export.library_test("return")?.as_str();
    text += forgetting(export).as_str();
    for (name, value) in export.host_environment()? {
        text.push_str(&format!("export {name}={}\n", shell_word(&value)));
    }
    text.push_str(&format!(
        "taskset -cp {} $$ >/dev/null || echo 'wan22-tune: this shell is not bound to CPUs {0}' >&2\n",
        launch.cpus
    ));
    Ok(text)
}
