//! `systemd`: a drop-in for a service, or a whole unit around a command.

use super::Export;
use super::libraries::places;
use crate::knobs::memory::MemoryPolicy;

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let mut notes = vec![if export.command.is_empty() {
        "A drop-in: /etc/systemd/system/SERVICE.service.d/wan22.conf, then systemctl daemon-reload."
            .to_owned()
    } else {
        "A unit: /etc/systemd/system/NAME.service, then systemctl daemon-reload.".to_owned()
    }];
    let launch = export.launch();
    let cpus = launch.bound_cpus().map(|cpus| format!("CPUAffinity=\nCPUAffinity={cpus}\n"));
    let policy = launch.set_memory().map(|memory| policy(memory, &mut notes));
    notes.extend(export.packages());
    let mut text = export.preamble(&notes);
    text += &unit(export)?;
    text += "[Service]\n";
    text.extend(cpus.into_iter().chain(policy));
    let set = export.host_environment()?;
    let unset = launch.unset().into_iter().filter(|name| !set.contains_key(*name));
    let unset: Vec<&str> = unset.collect();
    if !unset.is_empty() {
        text += &format!("UnsetEnvironment={}\n", unset.join(" "));
    }
    for (name, value) in &set {
        text += &format!("Environment={}\n", quoted(&format!("{name}={value}")));
    }
    if !export.command.is_empty() {
        text += &format!("ExecStart={}\n", command(export.command)?);
    }
    Ok(text)
}

/// The unit's own section: what the service is, and the libraries without which it must not start.
fn unit(export: &Export<'_>) -> Result<String, String> {
    let mut lines = String::new();
    if !export.command.is_empty() {
        lines += "Description=Wan 2.2\n";
    }
    let (here, others): (Vec<String>, Vec<String>) =
        export.libraries()?.into_iter().partition(|file| file.contains('/'));
    for file in here {
        lines += &format!("AssertPathExists={}\n", file.replace('%', "%%"));
    }
    // systemd takes one list of which one has to hold: of several libraries, for the first.
    for place in others.first().map(|name| places(name)).unwrap_or_default() {
        lines += &format!("AssertPathExists=|{place}\n");
    }
    Ok(if lines.is_empty() { lines } else { format!("[Unit]\n{lines}\n") })
}

/// The memory policy's lines; what systemd has no word for is told of in `notes`.
fn policy(policy: &MemoryPolicy, notes: &mut Vec<String>) -> String {
    let (word, nodes) = match policy {
        MemoryPolicy::Default => return "NUMAPolicy=default\n".to_owned(),
        MemoryPolicy::Bind(nodes) => ("bind", nodes),
        MemoryPolicy::Preferred(nodes) if nodes.len() == 1 => ("preferred", nodes),
        MemoryPolicy::Interleave(nodes) => ("interleave", nodes),
        MemoryPolicy::Preferred(_) | MemoryPolicy::WeightedInterleave(_) => {
            notes.push(format!(
                "systemd can't set the memory policy {policy}: start the command by"
            ));
            notes.push("`wan22-tune exec --profile FILE -- COMMAND` instead.".to_owned());
            return String::new();
        }
    };
    format!("NUMAPolicy={word}\nNUMAMask={nodes}\n")
}

/// A word in systemd's own double quotes; `%` would begin a specifier.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

fn command(words: &[String]) -> Result<String, String> {
    let program = &words[0];
    if program.contains('/') && !program.starts_with('/') {
        return Err(format!("{program}: systemd wants a program's absolute path, or a bare name"));
    }
    if let Some(word) = words.iter().find(|word| word.chars().any(char::is_control)) {
        return Err(format!("{word:?}: a unit's command can't hold control characters"));
    }
    let escaped = words.iter().map(|word| quoted(&word.replace('$', "$$")));
    Ok(escaped.collect::<Vec<_>>().join(" "))
}
