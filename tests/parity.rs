//! The models against the reference: `wan22-worker check` on the committed goldens of
//! `scripts/goldens.py`, and what it says of weights and inputs that don't fit.
#![cfg(feature = "torch")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// Largest relative L2 differences: of float32 with AVX2 and without, and of bfloat16.
const FLOAT32: f64 = 1e-5;
const FLOAT32_ANYWHERE: f64 = 5e-4;
const BFLOAT16_TRANSFORMER: f64 = 2e-2;
const BFLOAT16_TEXT: f64 = 5e-2;
const BFLOAT16_VAE: f64 = 1e-1;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// One golden: its weights, configuration and tensors.
struct Golden {
    name: String,
    weights: PathBuf,
    config: Value,
    io: PathBuf,
}

impl Golden {
    fn new(name: &str) -> Self {
        let model = name.split('.').next().unwrap_or(name);
        let folder = match model {
            "vae21" => "vae21",
            "vae22" => "wan/vae",
            "transformer" => "wan/transformer",
            "text_encoder" => "wan/text_encoder",
            other => panic!("no weights for golden {other}"),
        };
        let cases = goldens().join("cases");
        let config =
            fs::read(cases.join(format!("{name}.json"))).expect("a golden has a configuration");
        Self {
            name: name.to_owned(),
            weights: goldens().join(folder),
            config: serde_json::from_slice(&config).expect("a golden's configuration is JSON"),
            io: cases.join(format!("{name}.safetensors")),
        }
    }

    fn check(&self) -> Output {
        check(&self.config, &self.weights, &self.io)
    }

    fn difference(&self) -> f64 {
        self.difference_with(&[])
    }

    /// The relative L2 difference of the golden's only output.
    fn difference_with(&self, environment: &[(&str, &str)]) -> f64 {
        let output = check_with(&self.config, &self.weights, &self.io, environment);
        assert!(output.status.success(), "{}: {}", self.name, stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("check prints JSON");
        let outputs = report["outputs"].as_object().expect("outputs by name");
        assert_eq!(outputs.len(), 1, "{report}");
        outputs.values().next().and_then(|output| output["rel_l2"].as_f64()).expect("a number")
    }
}

fn check(config: &Value, weights: &Path, io: &Path) -> Output {
    check_with(config, weights, io, &[])
}

fn check_with(config: &Value, weights: &Path, io: &Path, environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("case.json");
    fs::write(&file, config.to_string()).expect("the temporary folder is writable");
    Command::new(env!("CARGO_BIN_EXE_wan22-worker"))
        .arg("check")
        .args([Path::new("--config"), &file])
        .args([Path::new("--weights"), weights])
        .args([Path::new("--io"), io])
        // Tests run side by side: pools that spin for each other's cores take minutes.
        .env("OMP_NUM_THREADS", "1")
        .envs(environment.iter().copied())
        .output()
        .expect("wan22-worker starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every golden of these models.
fn all(models: &[&str]) -> Vec<Golden> {
    let mut names: Vec<String> = fs::read_dir(goldens().join("cases"))
        .expect("the goldens are committed")
        .filter_map(|entry| entry.expect("readable").file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .filter(|name| models.iter().any(|model| name.starts_with(&format!("{model}."))))
        .collect();
    names.sort();
    names.iter().map(|name| Golden::new(name)).collect()
}

fn assert_near(models: &[&str], dtype: &str, tolerance: f64, at_least: usize) {
    let goldens = all(models);
    assert!(goldens.len() >= at_least, "only {} goldens of {models:?}", goldens.len());
    for mut golden in goldens {
        golden.config["dtype"] = json!(dtype);
        let difference = golden.difference();
        assert!(
            difference <= tolerance,
            "{} in {dtype}: {difference:e} > {tolerance:e}",
            golden.name
        );
    }
}

fn float32() -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return FLOAT32;
    }
    FLOAT32_ANYWHERE
}

#[test]
fn the_transformer_is_the_references() {
    assert_near(&["transformer"], "float32", float32(), 4);
    assert_near(&["transformer"], "bfloat16", BFLOAT16_TRANSFORMER, 4);
}

#[test]
fn the_text_encoder_is_the_references() {
    assert_near(&["text_encoder"], "float32", float32(), 2);
    assert_near(&["text_encoder"], "bfloat16", BFLOAT16_TEXT, 2);
}

#[test]
fn the_vaes_are_the_references() {
    assert_near(&["vae21", "vae22"], "float32", float32(), 15);
    assert_near(&["vae21", "vae22"], "bfloat16", BFLOAT16_VAE, 15);
}

/// The bound holds for any CPU only if it holds for ATen's own kernels without AVX.
#[test]
fn the_portable_kernels_stay_within_their_bound() {
    for golden in all(&["transformer", "text_encoder", "vae21", "vae22"]) {
        let difference = golden.difference_with(&[("ATEN_CPU_CAPABILITY", "default")]);
        assert!(difference <= FLOAT32_ANYWHERE, "{}: {difference:e}", golden.name);
    }
}

/// A decode needs the decoder alone, and says so of what it lacks only.
#[test]
fn a_decode_does_without_the_encoder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let golden = Golden::new("vae21.decode");
    let half = folder.path().join("half.safetensors");
    rewrite(&golden.weights.join("diffusion_pytorch_model.safetensors"), &half, |name, shape| {
        let needed = name.starts_with("decoder.") || name.starts_with("post_quant_conv.");
        needed.then_some((name.to_owned(), shape))
    });
    let output = check(&golden.config, &half, &golden.io);
    assert!(output.status.success(), "{}", stderr(&output));

    let output = check(&Golden::new("vae21.encode").config, &half, &Golden::new("vae21.encode").io);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("missing") && error.contains("encoder.conv_in.weight"), "{error}");
    assert!(!error.contains("decoder."), "{error}");
}

#[test]
fn missing_surplus_and_misshapen_tensors_are_all_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let golden = Golden::new("text_encoder.bare");
    let broken = folder.path().join("broken.safetensors");
    rewrite(&golden.weights.join("model.safetensors"), &broken, |name, shape| match name {
        "encoder.final_layer_norm.weight" => Some(("encoder.last_norm.weight".to_owned(), shape)),
        "encoder.block.1.layer.1.DenseReluDense.wo.weight" => {
            Some((name.to_owned(), shape.into_iter().rev().collect()))
        }
        _ => Some((name.to_owned(), shape)),
    });
    let output = check(&golden.config, &broken, &golden.io);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    let parts: Vec<&str> = ["missing (1):", "misshapen (1):", "surplus (1):"]
        .iter()
        .map(|heading| {
            error.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading} in {error}"))
        })
        .collect();
    assert!(parts[0].trim_start().starts_with("encoder.final_layer_norm.weight [40]"), "{error}");
    let wo = "encoder.block.1.layer.1.DenseReluDense.wo.weight is [64, 40], should be [40, 64]";
    assert!(parts[1].trim_start().starts_with(wo), "{error}");
    assert!(parts[2].trim_start().starts_with("encoder.last_norm.weight"), "{error}");
}

/// float16 and float32 files hold the same weights as the bfloat16 ones they were made from.
#[test]
fn stored_kinds_are_cast() {
    let golden = Golden::new("text_encoder.bare");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wide = folder.path().join("wide.safetensors");
    let bytes = fs::read(golden.weights.join("model.safetensors")).expect("a golden");
    let stored = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let floats: Vec<(String, Vec<usize>, Vec<u8>)> = stored
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            // A bfloat16 is the upper half of a float32.
            let data = view.data().chunks(2).flat_map(|half| [0, 0, half[0], half[1]]).collect();
            (name, view.shape().to_vec(), data)
        })
        .collect();
    let views = floats.iter().map(|(name, shape, data)| {
        (
            name,
            TensorView::new(safetensors::Dtype::F32, shape.clone(), data).expect("whole tensors"),
        )
    });
    safetensors::serialize_to_file(views, None, &wide).expect("writable");
    let output = check(&golden.config, &wide, &golden.io);
    let narrow = golden.check();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, narrow.stdout);
}

#[test]
fn an_output_of_another_shape_fails_and_shows_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let golden = Golden::new("text_encoder.bare");
    let io = folder.path().join("io.safetensors");
    rewrite(&golden.io, &io, |name, shape| {
        let shape = if name == "out.last_hidden_state" { vec![1, 40, 9] } else { shape };
        Some((name.to_owned(), shape))
    });
    let output = check(&golden.config, &golden.weights, &io);
    let report: Value = serde_json::from_slice(&output.stdout).expect("check prints JSON");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["outputs"]["last_hidden_state"]["shape"], json!([1, 9, 40]));
    assert!(stderr(&output).contains("expected [1, 40, 9]"), "{}", stderr(&output));
}

#[test]
fn what_no_model_can_be_is_refused_by_name() {
    let refused = |name: &str, change: &dyn Fn(&mut Value), told: &[&str]| {
        let mut golden = Golden::new(name);
        change(&mut golden.config);
        let output = golden.check();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {error}", golden.config);
        for word in told {
            assert!(error.contains(word), "{}: {word:?} is not in {error}", golden.config);
        }
        assert!(!error.contains("panicked"), "{error}");
    };
    let transformer = "transformer.per-item";
    refused(transformer, &|case| case["model"] = json!("Wan"), &["Wan", "WanTransformer3DModel"]);
    refused(
        transformer,
        &|case| case["op"] = json!("encode"),
        &["WanTransformer3DModel", "Encode"],
    );
    refused(transformer, &|case| case["dtype"] = json!("int8"), &["int8", "bfloat16"]);
    refused(
        transformer,
        &|case| case["config"]["image_dim"] = json!(1280),
        &["missing", "image_embedder"],
    );
    refused(
        transformer,
        &|case| case["config"]["attention_head_dim"] = json!(15),
        &["attention_head_dim"],
    );
    refused(
        transformer,
        &|case| case["config"]["in_channels"] = json!(7),
        &["misshapen", "patch_embedding.weight"],
    );
    refused(
        transformer,
        &|case| case["config"]["rope_max_seq_len"] = json!(5),
        &["rope_max_seq_len", "6"],
    );
    let vae = "vae22.decode";
    refused(vae, &|case| case["op"] = json!(null), &["op is missing"]);
    refused(vae, &|case| case["config"]["dim_mult"] = json!([]), &["dim_mult"]);
    refused(
        vae,
        &|case| case["config"]["temperal_downsample"] = json!([true]),
        &["temperal_downsample"],
    );
    refused(vae, &|case| case["config"]["z_dim"] = json!(-1), &["z_dim", "-1"]);
    let text = "text_encoder.bare";
    refused(
        text,
        &|case| case["config"]["feed_forward_proj"] = json!("gated-bell"),
        &["gated-bell"],
    );
    refused(text, &|case| case["config"]["vocab_size"] = json!("many"), &["many"]);
    let tiled = "vae21.decode_tiled";
    refused(
        tiled,
        &|case| case["tiling"]["tile_sample_stride_height"] = json!(4),
        &["tiling", "8 pixels"],
    );
    refused(tiled, &|case| case["tiling"]["tile_size"] = json!(4), &["tile_size"]);
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let mut text = Golden::new("text_encoder.bare");
    text.io = Golden::new("vae21.decode").io;
    assert!(stderr(&text.check()).contains("no in.input_ids"));
    let mut encode = Golden::new("vae22.encode");
    encode.io = Golden::new("vae21.encode.odd-size").io;
    let error = stderr(&encode.check());
    assert!(error.contains("19 x 13") && error.contains("patch_size 2"), "{error}");
    let mut decode = Golden::new("vae21.decode");
    decode.weights = goldens().join("cases");
    let error = stderr(&decode.check());
    assert!(error.contains("cases holds no weights") && error.contains("index.json"), "{error}");
}

/// Copies a safetensors file, renaming, reshaping or leaving out tensors as `edit` says.
fn rewrite(
    from: &Path,
    to: &Path,
    edit: impl Fn(&str, Vec<usize>) -> Option<(String, Vec<usize>)>,
) {
    let bytes = fs::read(from).expect("a golden");
    let stored = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensors: Vec<_> = stored
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| {
            let (name, shape) = edit(&name, view.shape().to_vec())?;
            Some((
                name,
                TensorView::new(view.dtype(), shape, view.data()).expect("as many elements"),
            ))
        })
        .collect();
    safetensors::serialize_to_file(tensors, None, to).expect("the temporary folder is writable");
}
