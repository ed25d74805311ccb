//! `k8s`: a pod, as YAML. Texts are written as JSON strings, which YAML reads as they are.

use super::Export;
use super::preamble::numactl_flag;
use crate::knobs::program_environment;
use crate::machine::CpuSet;

pub(super) fn text(export: &Export<'_>) -> String {
    let launch = export.launch();
    let cpus = launch.bound_cpus();
    let mut notes = cpus.map(about_cpus).unwrap_or_default();
    let policy = numactl_flag(launch);
    if let Some(flag) = &policy {
        notes.push(format!(
            "The memory policy {} is set by `numactl {flag} COMMAND`",
            launch.memory
        ));
        notes.push(
            "in the image, which the capability SYS_NICE (docker: --cap-add SYS_NICE) allows."
                .to_owned(),
        );
    }
    notes.push(format!(
        "A program that reads its profile wants the file in the image, and {} with its path.",
        program_environment::PROFILE
    ));
    notes.extend(export.packages().map(|packages| format!("{packages} in the image.")));
    let mut text = export.preamble(&notes);
    text += "apiVersion: v1\nkind: Pod\nmetadata:\n  name: wan22\nspec:\n  containers:\n    - name: wan22\n      image: IMAGE\n";
    let words: Vec<String> =
        policy.iter().flat_map(|flag| ["numactl".to_owned(), flag.clone()]).collect();
    if !export.command.is_empty() {
        let words = words.iter().chain(export.command).map(|word| string(word));
        text += &format!("      command: [{}]\n", words.collect::<Vec<_>>().join(", "));
    }
    text += "      env:\n";
    for (name, value) in &export.environment() {
        text += &format!("        - name: {name}\n          value: {}\n", string(value));
    }
    if let Some(count) = cpus.map(CpuSet::len) {
        text += &format!(
            "      resources:\n        requests:\n          cpu: \"{count}\"\n        limits:\n          cpu: \"{count}\"\n"
        );
    }
    if policy.is_some() {
        text += "      securityContext:\n        capabilities:\n          add: [\"SYS_NICE\"]\n";
    }
    text
}

fn about_cpus(cpus: &CpuSet) -> Vec<String> {
    let count = cpus.len();
    vec![
        format!(
            "Kubernetes does not let a pod choose its CPUs: {count} whole ones of its own come from the"
        ),
        "kubelet's static CPU manager, which also wants memory requests equal to the limits; set"
            .to_owned(),
        format!("both. The tune ran on CPUs {cpus}."),
    ]
}

/// A text as YAML; Kubernetes itself reads `$(NAME)` in commands and values, and `$$` as a dollar.
pub fn string(text: &str) -> String {
    serde_json::to_string(&text.replace('$', "$$")).expect("a text is plain data")
}
