//! Folders of weights: one file, or shards that an index lists.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Stored, disguise, header};
use crate::io::input;

/// The file names, without extension, under which diffusers and transformers save a model.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// A true index has some 100 kB.
const LARGEST_INDEX: u64 = 16 << 20;

/// How the names of files with weights end, in small letters.
const WEIGHTS: [&str; 8] =
    [".safetensors", ".bin", ".gguf", ".pt", ".pth", ".ckpt", ".msgpack", ".index.json"];

/// The tensors of the model that lies in `folder`.
///
/// # Errors
/// Names the file that is missing, cut, or something else, and what to do about it.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Stored>> {
    for stem in STEMS {
        let index = folder.join(format!("{stem}.safetensors.index.json"));
        if is_there(&index)? {
            return shards(folder, &index);
        }
        let single = folder.join(format!("{stem}.safetensors"));
        if is_there(&single)? {
            return header::read(&single).with_context(|| single.display().to_string());
        }
    }
    bail!(
        "{} holds no weights: {}expected {}.safetensors or {}.safetensors, or their \
         .safetensors.index.json with the shards beside it",
        folder.display(),
        instead(folder),
        STEMS[0],
        STEMS[1]
    )
}

fn is_there(path: &Path) -> Result<bool> {
    let place = || path.display().to_string();
    match std::fs::metadata(path) {
        Ok(data) => {
            ensure!(data.is_file(), "{} is not a regular file", place());
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            ensure!(
                path.symlink_metadata().is_err(),
                "{} is a link that leads nowhere: download it again",
                place()
            );
            Ok(false)
        }
        Err(error) => Err(error).with_context(place),
    }
}

/// What lies in the folder under other names, and how to use it.
fn instead(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().escape_debug().to_string());
    let is_weights = |name: &String| {
        let small = name.to_lowercase();
        WEIGHTS.iter().any(|end| small.ends_with(end))
    };
    let mut names: Vec<String> = names.filter(is_weights).collect();
    names.sort();
    let Some(first) = names.first() else { return String::new() };
    let others = match names.len() - 1 {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let cure = match first.to_lowercase() {
        small if small.ends_with(".safetensors") || small.ends_with(".index.json") => {
            "rename it, or save the model without a variant"
        }
        small if small.ends_with(".gguf") => "its numbers can't be read here",
        _ => "save the model with safe_serialization=True",
    };
    format!("there is {first}{others} ({cure}); ")
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// All tensors of all shards that the index names, as the reference reads them. Where two have
/// the same tensor it is that of the shard that the index gives for it.
fn shards(folder: &Path, path: &Path) -> Result<BTreeMap<String, Stored>> {
    let place = || path.display().to_string();
    let text = input::bytes(path, LARGEST_INDEX).with_context(place)?;
    if let Some(disguise) = disguise(&text[..text.len().min(512)]) {
        bail!("{} {disguise}", place());
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let index: Index = serde_json::from_slice(text)
        .with_context(|| format!("{} is not an index of shards", place()))?;
    let shards = names(&index, path)?;
    expect_all(&shards, folder, path)?;
    let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
    for shard in shards {
        let file = folder.join(shard);
        let read = header::read(&file).with_context(|| file.display().to_string());
        for (name, stored) in read? {
            let is_named = index.weight_map.get(&name).is_some_and(|named| named == shard);
            if is_named || !tensors.contains_key(&name) {
                tensors.insert(name, stored);
            }
        }
    }
    Ok(tensors)
}

/// Refuses a folder that lacks some of the `shards` that the index at `path` names.
fn expect_all(shards: &BTreeSet<&str>, folder: &Path, path: &Path) -> Result<()> {
    let missing = shards.iter().filter(|shard| !folder.join(shard).exists());
    let missing: Vec<&str> = missing.copied().collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let (lost, all) = (missing.len(), shards.len());
    bail!(
        "{lost} of {all} shards that {} names are missing (first: {first}); download the folder \
         again",
        path.display()
    )
}

/// Each shard once.
fn names<'a>(index: &'a Index, path: &Path) -> Result<BTreeSet<&'a str>> {
    for (name, shard) in &index.weight_map {
        let is_plain = Path::new(shard).file_name().is_some_and(|file| file == shard.as_str());
        ensure!(
            is_plain && !shard.chars().any(char::is_control),
            "{}: the shard {shard:?} of {name:?} is not a plain file name",
            path.display()
        );
    }
    let shards: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    ensure!(!shards.is_empty(), "{}: its weight_map names no shard", path.display());
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let error = format!("{:#}", read(folder.path()).unwrap_err());
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn what_is_there_instead_is_named() {
        let single = "diffusion_pytorch_model.safetensors";
        let index = "diffusion_pytorch_model.safetensors.index.json";
        let other = |name: &str, cure: &str| {
            let error = told(&[(name, "x"), ("README.md", "")]);
            assert!(error.contains(&format!("there is {name} ({cure}")), "{error}");
        };
        other("diffusion_pytorch_model.fp16.safetensors", "rename it");
        other("Diffusion_Pytorch_Model.safetensors", "rename it");
        other("diffusion_pytorch_model.bin", "save the model with safe_serialization=True");
        other("wan.gguf", "its numbers can't be read here");
        assert!(told(&[]).contains("holds no weights: expected diffusion_pytorch_model"));
        assert!(told(&[(single, "<html>")]).contains("web page"));
        assert!(told(&[(index, "version https://git-lfs.g")]).contains("git lfs pull"));
        assert!(told(&[(index, "{}")]).contains("is not an index of shards"));
        let up = r#"{"weight_map": {"a": "../b.safetensors"}}"#;
        assert!(told(&[(index, up)]).contains("not a plain file name"));
        let two = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let error = told(&[(index, two), ("1.safetensors", "")]);
        assert!(error.contains("1 of 2 shards") && error.contains("2.safetensors"), "{error}");
    }

    #[test]
    fn links_that_lead_nowhere_and_pipes_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let single = folder.path().join("model.safetensors");
        std::os::unix::fs::symlink("nowhere", &single).unwrap();
        let told = || format!("{:#}", read(folder.path()).unwrap_err());
        assert!(told().contains("leads nowhere"), "{}", told());
        std::fs::remove_file(&single).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&single).status().unwrap().success());
        assert!(told().contains("not a regular file"), "{}", told());
    }
}
