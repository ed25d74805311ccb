//! Folders of weights that can't be run: refused before the first trial, in one line.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use harness::World;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";
const INDEX: &str = "transformer/diffusion_pytorch_model.safetensors.index.json";
const SHARD: &str = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors";

/// A copy of the goldens' tiny model, and the plan of a job that runs all of it.
struct Model(World);

impl Model {
    fn new() -> Self {
        let model = Self(World::new());
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wan");
        for part in ["transformer", "vae", "text_encoder", "scheduler"] {
            fs::create_dir_all(model.path(part)).unwrap();
            for file in fs::read_dir(goldens.join(part)).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), model.path(part).join(file.file_name())).unwrap();
            }
        }
        fs::copy(goldens.join("model_index.json"), model.path("model_index.json")).unwrap();
        model
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("model").join(name)
    }

    fn edit(&self, name: &str, key: &str, value: Value) {
        let mut config: Value =
            serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap();
        config[key] = value;
        fs::write(self.path(name), config.to_string()).unwrap();
    }

    /// Status and stderr of a dry run of a small job.
    fn plan(&self) -> (Option<i32>, String) {
        self.plan_of(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/jobs/pipeline.toml"))
    }

    fn plan_of(&self, job: &str) -> (Option<i32>, String) {
        let weights = self.path("");
        let weights = weights.to_str().unwrap();
        let run = self.0.tuner(&["--dry-run", "--workload", job, "--weights", weights]).run();
        (run.status, run.stderr)
    }

    /// A dry run says all of `words` in its one line.
    fn is_refused(&self, words: &[&str]) {
        let (status, error) = self.plan();
        assert_eq!(status, Some(2), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(error.len() < 900, "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in {error}"));
    }

    /// Writes a file again, each tensor as `edit` makes it.
    fn rewrite(&self, name: &str, edit: impl Fn(&str, Dtype) -> Option<(String, Dtype)>) {
        let bytes = fs::read(self.path(name)).unwrap();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let Some((name, dtype)) = edit(name, view.dtype()) else { continue };
            let size = view.shape().iter().product::<usize>() * dtype.bitsize() / 8;
            tensors.insert(name, (dtype, view.shape().to_vec(), vec![0_u8; size]));
        }
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(self.path(name), safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

/// What `change` does to a model is refused with all of `words`.
fn refused(change: impl Fn(&Model), words: &[&str]) {
    let model = Model::new();
    change(&model);
    model.is_refused(words);
}

#[test]
fn a_whole_folder_is_planned_with_and_without_what_may_be_there() {
    let model = Model::new();
    assert_eq!(model.plan(), (Some(0), String::new()));
    let config = fs::read(model.path("vae/config.json")).unwrap();
    fs::write(model.path("vae/config.json"), [b"\xef\xbb\xbf".to_vec(), config].concat()).unwrap();
    model.edit("transformer/config.json", "_class_name", Value::Null);
    model.edit("transformer/config.json", "quantization_config", Value::Null);
    fs::write(model.path("transformer/model.safetensors"), "a stray file").unwrap();
    // Links, as in a Hugging Face cache.
    fs::rename(model.path(VAE), model.path("blob")).unwrap();
    symlink("../blob", model.path(VAE)).unwrap();
    // A tensor in another shard than the index says.
    let shard = Path::new(SHARD).file_name().unwrap().to_str().unwrap();
    let index = fs::read_to_string(model.path(INDEX)).unwrap();
    let moved = index.replacen("00001-of-00003", "00002-of-00003", 1);
    assert!(moved != index && moved.contains(shard));
    fs::write(model.path(INDEX), moved).unwrap();
    assert_eq!(model.plan(), (Some(0), String::new()));
}

#[test]
fn another_familys_model_is_refused_by_its_class() {
    let named = |file: &str, key: &str, value: Value, words: &[&str]| {
        refused(|model| model.edit(file, key, value.clone()), words);
    };
    let (vae, transformer) = ("vae/config.json", "transformer/config.json");
    named(vae, "_class_name", json!("AutoencoderKLHunyuanVideo"), &[vae, "AutoencoderKLWan"]);
    named(transformer, "_class_name", json!("WanVACETransformer3DModel"), &["WanVACE", "give Wan"]);
    named("text_encoder/config.json", "architectures", json!(["T5EncoderModel"]), &["UMT5"]);
    let scheduler = "scheduler/scheduler_config.json";
    named(scheduler, "_class_name", json!("EulerDiscreteScheduler"), &["UniPC"]);
    let bits = json!({"quant_method": "bitsandbytes", "load_in_4bit": true});
    named(transformer, "quantization_config", bits, &["quantization_config", "bitsandbytes"]);
    let other = json!(["diffusers", "CogVideoXTransformer3DModel"]);
    named("model_index.json", "transformer", other, &["model_index.json", "CogVideoX"]);
}

#[test]
fn sizes_that_no_model_has_are_refused_by_key_and_value() {
    let cases = [
        ("vae/config.json", "num_res_blocks", json!(1_000_000_000)),
        ("vae/config.json", "base_dim", json!(1_u64 << 62)),
        ("vae/config.json", "z_dim", json!(1_u64 << 40)),
        ("vae/config.json", "scale_factor_spatial", json!(i64::MAX)),
        ("transformer/config.json", "num_layers", json!(1_000_000_000)),
        ("transformer/config.json", "ffn_dim", json!(i64::MAX)),
        ("transformer/config.json", "attention_head_dim", json!(1_u64 << 62)),
        ("text_encoder/config.json", "d_model", json!(1_u64 << 62)),
        ("text_encoder/config.json", "relative_attention_num_buckets", json!(i64::MAX)),
        ("text_encoder/config.json", "num_layers", json!(-1)),
        ("scheduler/scheduler_config.json", "flow_shift", json!(-1e300)),
        ("text_encoder/config.json", "vocab_size", json!("many")),
    ];
    for (file, key, value) in cases {
        refused(|model| model.edit(file, key, value.clone()), &[file, key]);
    }
    let wide = |model: &Model| model.edit("vae/config.json", "dim_mult", json!([1, 1_i64 << 61]));
    refused(wide, &["dim_mult"]);
    let long = |model: &Model| model.edit("vae/config.json", "dim_mult", json!(vec![1; 900]));
    refused(long, &["dim_mult"]);
}

#[test]
fn files_that_are_something_else_are_named_with_the_cure() {
    let written = |file: &'static str, text: &'static str| {
        move |model: &Model| fs::write(model.path(file), text).unwrap()
    };
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    for file in [VAE, TEXT, INDEX, SHARD, "vae/config.json", "model_index.json"] {
        refused(written(file, pointer), &[file, "git lfs pull"]);
        refused(written(file, "<!DOCTYPE html><html>"), &[file, "web page"]);
        refused(written(file, ""), &[file, "empty"]);
        refused(
            |model| {
                fs::remove_file(model.path(file)).unwrap();
                symlink("/dev/zero", model.path(file)).unwrap();
            },
            &[file, "not a regular file"],
        );
    }
    refused(written(VAE, "GGUF\x03\0\0\0"), &[VAE, "GGUF"]);
    refused(written("vae/config.json", "{"), &["vae/config.json", "no JSON"]);
    let renamed = |to: &'static str| {
        move |model: &Model| fs::rename(model.path(VAE), model.path(to)).unwrap()
    };
    refused(renamed("nowhere"), &["vae holds no weights"]);
    let variant = "diffusion_pytorch_model.fp16.safetensors";
    refused(renamed("vae/diffusion_pytorch_model.fp16.safetensors"), &[variant, "rename it"]);
    refused(renamed("vae/diffusion_pytorch_model.bin"), &["safe_serialization"]);
    refused(renamed("vae/Diffusion_pytorch_model.safetensors"), &["there is Diffusion"]);
    let dangling = |model: &Model| {
        fs::remove_file(model.path(VAE)).unwrap();
        symlink("nowhere", model.path(VAE)).unwrap();
    };
    refused(dangling, &[VAE, "leads nowhere"]);
    refused(|model| fs::remove_file(model.path(SHARD)).unwrap(), &["1 of 3 shards", "00002"]);
    let cut = |model: &Model| {
        let bytes = fs::read(model.path(SHARD)).unwrap();
        fs::write(model.path(SHARD), &bytes[..bytes.len() * 9 / 10]).unwrap();
    };
    refused(cut, &[SHARD, "not a whole safetensors file", "download it again"]);
}

#[test]
fn tensors_that_do_not_fit_are_counted_and_the_first_named() {
    let as_it_is = |name: &str, dtype| Some((name.to_owned(), dtype));
    for dtype in [Dtype::F8_E4M3, Dtype::F64] {
        let changed = |model: &Model| model.rewrite(VAE, |name, _| as_it_is(name, dtype));
        refused(changed, &["196 tensors are of type", &format!("{dtype:?}"), "BF16"]);
    }
    let prefixed = |prefix: &'static str| {
        move |model: &Model| {
            model.rewrite(VAE, |name, dtype| Some((format!("{prefix}{name}"), dtype)));
        }
    };
    refused(prefixed("first_stage_model."), &["missing (196)", "\"first_stage_model.\""]);
    refused(prefixed("my.vae."), &["surplus (196)", "196 names begin with \"my.vae.\""]);
    let lacking = |model: &Model| {
        model.rewrite(TEXT, |name, dtype| {
            let gone = name == "encoder.final_layer_norm.weight";
            if gone { None } else { as_it_is(name, dtype) }
        });
    };
    refused(lacking, &["missing (1): encoder.final_layer_norm.weight [40]"]);
    let more = |model: &Model| {
        model.rewrite(TEXT, |name, dtype| as_it_is(name, dtype));
        let stray = |name: &str, dtype| Some((name.replace("block.1.", "block.7."), dtype));
        model.rewrite(TEXT, stray);
    };
    refused(more, &["surplus (", "encoder.block.7.layer.0"]);
    let wider = |model: &Model| model.edit("vae/config.json", "base_dim", json!(8));
    refused(wider, &["misshapen (", "is [4, 12, 3, 3, 3], should be [8, 12, 3, 3, 3]"]);
}

#[test]
fn other_layouts_are_pointed_to_the_right_folder() {
    let model = Model::new();
    let cache = model.0.path().join("models--Wan-AI--Wan2.2");
    fs::create_dir_all(cache.join("snapshots/0123abc")).unwrap();
    let told = |folder: &Path| {
        let run =
            model.0.tuner(&["--dry-run", "--weights", folder.to_str().unwrap()]).run().exits(2);
        run.stderr
    };
    assert!(told(&cache).contains("snapshots/0123abc"), "{}", told(&cache));
    assert!(told(&model.path(VAE)).contains("is a file"), "{}", told(&model.path(VAE)));
    let original = model.path("original");
    fs::create_dir(&original).unwrap();
    fs::write(original.join("Wan2.2_VAE.pth"), "").unwrap();
    assert!(told(&original).contains("the original release"), "{}", told(&original));
}

#[test]
fn a_job_for_another_model_names_the_right_one() {
    let (status, error) = Model::new().plan_of("i2v-a14b");
    let cure = "the job is for i2v-a14b, and these are ti2v-5b's: --workload i2v or --workload t2v";
    assert!(status == Some(2) && error.contains(cure), "{error}");
}
