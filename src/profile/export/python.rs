//! `python`: one file that applies the profile before `import torch`, or starts a program with it.

use std::fmt::Write;

use serde_json::Value;

use super::Export;
use crate::knobs::memory::MemoryPolicy;
use crate::knobs::{allow_list, program_environment};
use crate::machine::library;
use crate::profile::Profile;

/// The file with its data left out.
const TEMPLATE: &str = include_str!("template.py");

/// Where the data belongs.
const DATA: &str = "# The data: filled in by wan22-tune.\n";

pub(super) fn text(export: &Export<'_>) -> String {
    let profile = export.profile;
    let launch = export.launch();
    let policy = launch.set_memory().map(policy);
    let cpus: Option<Vec<u32>> = launch.bound_cpus().map(|cpus| cpus.iter().collect());
    let allowed: serde_json::Map<String, Value> =
        allow_list::allowed().map(|(name, form)| (name.to_owned(), form.into())).collect();
    let mut data = String::new();
    for (name, value) in [
        ("ENVIRONMENT", plain(&launch.environment)),
        ("CPUS", plain(&cpus)),
        ("MEMORY", plain(&policy)),
        ("AS_IS", plain(&profile.as_is())),
        ("SETTINGS", settings(profile)),
        ("KNOBS", plain(&profile.values())),
        ("HANDED", plain(&export.host_handed())),
        ("WORKERS", plain(&profile.workers)),
        ("ALLOWED", Value::Object(allowed)),
        ("NOT_INHERITED", plain(&launch.not_inherited())),
        ("KEPT", plain(&allow_list::CUDA_ALLOCATOR)),
        ("LIBRARY_FOLDERS", plain(&library::FOLDERS)),
    ] {
        let _ = writeln!(data, "{name} = {}", literal(&value, 0));
    }
    let preamble = export.preamble(&["Python 3.8 or newer; nothing else is needed.".to_owned()]);
    format!("#!/usr/bin/env python3\n{preamble}{}", TEMPLATE.replacen(DATA, &data, 1))
}

/// The optimal settings, and the strides that belong to their tiles.
fn settings(profile: &Profile) -> Value {
    let mut settings = plain(&profile.optimal_settings);
    for (name, stride) in program_environment::strides(&profile.candidate, profile.latent_ratio()) {
        settings[name] = plain(&[stride; 2]);
    }
    settings
}

fn plain(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a profile is plain data")
}

/// The kernel's number of a policy (`linux/mempolicy.h`), and its nodes.
fn policy(policy: &MemoryPolicy) -> (i32, Vec<u32>) {
    let nodes = policy.nodes().map(|nodes| nodes.iter().collect()).unwrap_or_default();
    (policy.mode(), nodes)
}

/// A value as Python writes it, its members on lines of their own at the outermost level.
fn literal(value: &Value, depth: usize) -> String {
    let within = |value: &Value| literal(value, depth + 1);
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        // JSON's escapes are Python's; what it leaves unescaped, Python reads as UTF-8.
        Value::String(_) => value.to_string(),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(within).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let indent = "    ".repeat(depth + 1);
            let member = |(key, value): (&String, &Value)| {
                format!("{indent}{}: {},\n", Value::String(key.clone()), within(value))
            };
            let members: String = members.iter().map(member).collect();
            format!("{{\n{members}{}}}", "    ".repeat(depth))
        }
    }
}
