//! Configurations: a part's `config.json`, read only where it is that of a Wan model as it is.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{EXPERTS, SCHEDULER, TEXT_ENCODER, VAE};
use crate::architecture::checkpoint::disguise;
use crate::io::input;

/// A true one has some 2 kB.
const LARGEST: u64 = 1 << 20;

/// The class that a part has to be, as diffusers and transformers name it.
const CLASSES: [(&str, &str); 5] = [
    (VAE, "AutoencoderKLWan"),
    (EXPERTS[0], "WanTransformer3DModel"),
    (EXPERTS[1], "WanTransformer3DModel"),
    (TEXT_ENCODER, "UMT5EncoderModel"),
    (SCHEDULER, "UniPCMultistepScheduler"),
];

/// Keys under which configurations say that the weights are no plain numbers.
const QUANTIZED: [&str; 3] = ["quantization_config", "compression_config", "quantization"];

/// What to give instead of another model.
const WAN: &str = "give Wan 2.2's own, as in Wan-AI/Wan2.2-TI2V-5B-Diffusers";

/// Where nothing is said of a folder's layout.
const LAYOUT: &str = "give a folder in diffusers layout, with vae/ and, where the job denoises \
                          or reads prompts, transformer/ and text_encoder/";

/// A part's configuration.
///
/// # Errors
/// Names the file and what is wrong with it: it is missing, no JSON, another model's, of quantized
/// weights, or has a value of another kind.
pub fn part<T: DeserializeOwned>(folder: &Path, part: &str) -> Result<T> {
    let path = folder.join(part).join("config.json");
    let place = || place(folder, part);
    let missing = || format!("{}: {}", place(), layout(folder));
    let bytes = std::fs::metadata(&path).map_err(anyhow::Error::from);
    let bytes = bytes.with_context(missing).and_then(|_| read(&path))?;
    let value = object(&bytes).with_context(place)?;
    is_of(part, &value).with_context(place)?;
    serde_path_to_error::deserialize(value).with_context(place)
}

/// The name of a part's configuration.
pub fn place(folder: &Path, part: &str) -> String {
    folder.join(part).join("config.json").display().to_string()
}

/// The JSON object of a file that needn't be there.
///
/// # Errors
/// As [`part`].
pub fn optional(path: &Path) -> Result<Value> {
    if path.symlink_metadata().is_err() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    object(&read(path)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    input::bytes(path, LARGEST).with_context(|| path.display().to_string())
}

fn object(bytes: &[u8]) -> Result<Value> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(disguise) = disguise(bytes) {
        bail!("{disguise}");
    }
    let value: Value = serde_json::from_slice(bytes).context("is no JSON")?;
    ensure!(value.is_object(), "is no JSON object: download it again");
    Ok(value)
}

/// Whether a configuration is that of the class that `part` has to be, or doesn't say.
///
/// # Errors
/// Names the key, its value and the class.
pub fn is_of(part: &str, config: &Value) -> Result<()> {
    let wanted = CLASSES.iter().find(|(name, _)| *name == part).map(|(_, class)| *class);
    let Some(wanted) = wanted else { return Ok(()) };
    for key in ["_class_name", "architectures"] {
        let Some(found) = config.get(key).filter(|value| !value.is_null()) else { continue };
        let is_wanted = match found {
            Value::Array(classes) => classes.iter().any(|class| class == wanted),
            class => class == wanted,
        };
        ensure!(is_wanted, "{key} is {found}, and only {wanted} can be run: {WAN}");
    }
    let kind = config.get("model_type").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| part == TEXT_ENCODER && *kind != "umt5") {
        bail!("model_type is {kind:?}, and only \"umt5\" can be run: {WAN}");
    }
    is_plain(config)
}

/// Whether the weights are numbers as they are.
fn is_plain(config: &Value) -> Result<()> {
    let quantized = QUANTIZED.iter().find(|key| config.get(key).is_some_and(|v| !v.is_null()));
    let Some(key) = quantized else { return Ok(()) };
    let how = ["quant_method", "quant_type", "format"];
    let how = how.iter().find_map(|name| config[key].get(name)?.as_str());
    bail!(
        "{key} ({}): quantized weights can't be run; give the model in float32, float16 or \
         bfloat16",
        how.unwrap_or("of some kind")
    )
}

/// Whether `model_index.json` names the classes that the `parts` have to be, or none.
///
/// # Errors
/// Names the part, its class and the one that it has to be.
pub fn is_index_of(parts: &[&str], index: &Value) -> Result<()> {
    for part in parts {
        // ["diffusers", "AutoencoderKLWan"]
        let class = index.get(part).and_then(|class| class.get(1)?.as_str());
        let wanted = CLASSES.iter().find(|(name, _)| name == part);
        if let (Some(class), Some((_, wanted))) = (class, wanted) {
            ensure!(class == *wanted, "{part} is {class:?}, and only {wanted} can be run: {WAN}");
        }
    }
    Ok(())
}

/// How to give a folder in the right layout, by what `folder` is instead.
fn layout(folder: &Path) -> String {
    if folder.is_file() {
        return format!("{} is a file; {LAYOUT}", folder.display());
    }
    let snapshots = folder.join("snapshots");
    if let Ok(entries) = std::fs::read_dir(&snapshots) {
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        let found = found.first().unwrap_or(&snapshots);
        return format!("this is a Hugging Face cache; give {}", found.display());
    }
    let has = |names: &[&str]| names.iter().any(|name| folder.join(name).exists());
    if has(&["Wan2.2_VAE.pth", "Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth"]) {
        return format!("this is the original release; {WAN}");
    }
    LAYOUT.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(part: &str, config: &Value) -> String {
        let error = is_of(part, config).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn another_familys_configuration_is_refused_by_its_class() {
        let others = [
            (VAE, "AutoencoderKLHunyuanVideo"),
            (VAE, "AutoencoderKL"),
            (EXPERTS[0], "HunyuanVideoTransformer3DModel"),
            (EXPERTS[0], "WanVACETransformer3DModel"),
            (EXPERTS[1], "WanAnimateTransformer3DModel"),
            (EXPERTS[0], "LTXVideoTransformer3DModel"),
            (EXPERTS[0], "WanModel"),
            (SCHEDULER, "DDIMScheduler"),
        ];
        for (part, class) in others {
            let error = refused(part, &json!({"_class_name": class}));
            assert!(error.contains(class) && error.contains("can be run"), "{error}");
        }
        for class in ["T5EncoderModel", "LlamaModel", "CLIPTextModel", "UMT5Model"] {
            let error = refused(TEXT_ENCODER, &json!({"architectures": [class]}));
            assert!(error.contains(class) && error.contains("UMT5EncoderModel"), "{error}");
        }
        let error = refused(TEXT_ENCODER, &json!({"model_type": "t5"}));
        assert!(error.contains("\"t5\"") && error.contains("umt5"), "{error}");
    }

    #[test]
    fn quantized_weights_are_refused_and_absent_keys_are_not() {
        let config = json!({"quantization_config": {"quant_method": "bitsandbytes"}});
        assert!(refused(VAE, &config).contains("quantization_config (bitsandbytes)"));
        let plain = json!({"_class_name": null, "quantization_config": null, "z_dim": 16});
        for (part, class) in CLASSES {
            is_of(part, &plain).unwrap();
            is_of(part, &json!({"_class_name": class, "architectures": [class]})).unwrap();
        }
        let index = json!({"vae": ["diffusers", "AutoencoderKL"], "text_encoder": [null, null]});
        is_index_of(&[TEXT_ENCODER, EXPERTS[0]], &index).unwrap();
        assert!(is_index_of(&[VAE], &index).unwrap_err().to_string().contains("AutoencoderKL"));
    }

    #[test]
    fn a_byte_order_mark_is_read_and_a_pointer_named() {
        assert_eq!(object(b"\xef\xbb\xbf{\"a\": 1}").unwrap(), json!({"a": 1}));
        let told = |bytes: &[u8]| format!("{:#}", object(bytes).unwrap_err());
        assert!(told(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
        assert!(told(b"<!doctype html>").contains("web page"));
        assert!(told(b"[1]").contains("no JSON object"));
    }
}
