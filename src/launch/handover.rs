//! Handover: how a command learns the values of knobs that only it can apply.
//!
//! Threads, places, memory and allocator are set from outside; a tile or a batch is not. Whatever
//! is launched finds the path of its profile in one variable, and each knob's value in another.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::environment;
use crate::space::Value;

/// The variable with the profile's path, unless another is asked for.
pub const PROFILE: &str = "WAN22_PROFILE";

/// Knobs that nothing outside a program can set for it: it is told them, and reads them or not.
pub const HANDED: [&str; 11] = [
    "inter_op_threads",
    "io_workers",
    "preprocess_workers",
    "batch_workers",
    "tile_size",
    "vae_tile_size",
    "batch_size",
    "precision",
    "matmul_precision",
    "conv_backend",
    "memory_format",
];

/// The variable that holds a knob's value: `WAN22_TILE_SIZE` for `tile_size`.
pub fn variable(knob: &str) -> String {
    format!("WAN22_{}", knob.to_ascii_uppercase())
}

/// The variables that hand over `candidate`, whose names are those of knobs.
pub fn variables(candidate: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    candidate.iter().map(|(knob, value)| (variable(knob), value.to_string())).collect()
}

/// The profile's path as a command finds it, whatever its working folder.
///
/// # Errors
/// The working folder is gone, so that the path has no absolute form.
pub fn path(profile: &Path) -> Result<String> {
    let path = std::path::absolute(profile).context("the profile's path")?;
    let path = path.into_os_string().into_string();
    path.map_err(|path| anyhow::anyhow!("{}: not UTF-8", path.display()))
}

/// A name for the variable with the profile's path.
///
/// # Errors
/// It is no name, or one that the launch itself or the dynamic linker reads.
pub fn profile_name(name: &str) -> Result<String, String> {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("`{name}` is no name: type letters, digits and _, such as {PROFILE}"));
    }
    let is_taken = ["PATH", "HOME"].contains(&name) || name.starts_with("LD_");
    if is_taken || environment::decides(name) {
        return Err(format!("`{name}` means something else: type another, such as {PROFILE}"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_and_the_profile_are_handed_over() {
        let candidate = [
            ("tile_size".to_owned(), Value::Number(512)),
            ("precision".to_owned(), Value::Word("bf16-vae".to_owned())),
        ];
        let handed = variables(&candidate.into());
        let text: Vec<String> = handed.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(text, ["WAN22_PRECISION=bf16-vae", "WAN22_TILE_SIZE=512"]);
        assert_eq!(path(Path::new("/a/profile.json")).unwrap(), "/a/profile.json");
    }

    #[test]
    fn the_profiles_variable_has_a_name_of_its_own() {
        for name in ["WAN22_PROFILE", "_x1", "my_profile"] {
            assert_eq!(profile_name(name), Ok(name.to_owned()));
        }
        for name in ["", "1X", "A B", "A=B", "Ä", "PATH", "LD_PRELOAD", "OMP_NUM_THREADS"] {
            assert!(profile_name(name).unwrap_err().contains("WAN22_PROFILE"), "{name}");
        }
    }
}
