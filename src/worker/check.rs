//! `wan22-worker check`: runs one model on given inputs and compares with expected outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::json;
use tch::{Kind, Tensor};
use wan22_tune::io::input;
use wan22_tune::io::output as terminal;

use crate::case::Case;
use crate::weights::Weights;

/// A case has some lines.
const LARGEST_CONFIG: u64 = 1 << 20;

/// Run one model and compare its outputs with expected ones.
///
/// Prints {"outputs": {NAME: {"max_abs": …, "rel_l2": …, "shape": […]}}}: the largest absolute
/// difference, the norm of the difference by the expected norm, and the computed shape. Exits with
/// 1 where a shape differs.
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// JSON: {"model": "WanTransformer3DModel" | "AutoencoderKLWan" | "UMT5EncoderModel",
    /// "op": "forward" | "encode" | "decode" | "encode_tiled" | "decode_tiled",
    /// "dtype": "float32" | "bfloat16" | "float16", "config": {the reference's own field names},
    /// "tiling": {tile_sample_min_height, tile_sample_min_width, tile_sample_stride_height,
    /// tile_sample_stride_width}}
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The model's tensors under the names that diffusers and transformers give them: a safetensors
    /// file, or a folder as they save it
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// A safetensors file with in.NAME for each argument (hidden_states, timestep,
    /// encoder_hidden_states and, where the model has an image_dim, encoder_hidden_states_image;
    /// x; z; input_ids, attention_mask) and out.NAME for each expected
    /// output (sample; moments for an encode; last_hidden_state)
    #[arg(long, value_name = "FILE")]
    io: PathBuf,
}

impl ParityArgs {
    /// # Errors
    /// Where a file can't be read, doesn't fit the configuration, or an output's shape differs.
    pub fn run(&self) -> Result<()> {
        let text = input::text(&self.config, LARGEST_CONFIG)
            .with_context(|| format!("cannot read {}", self.config.display()))?;
        let case: Case = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a check's configuration", self.config.display()))?;
        pass_over(&self.config, case.unknown());
        let tensors = Io::read(&self.io)?;
        let weights = Weights::open(&self.weights)?;
        let part = case.build(&weights)?;
        let (name, output) = caught(|| part.run(|name| tensors.input(name)))?;
        tensors.compare(name, &output)
    }
}

/// What `call` returns, or libtorch's complaint where it panics: shapes that only a configuration
/// at odds with itself has.
fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    std::panic::set_hook(hook);
    outcome.unwrap_or_else(|payload| {
        let said = payload.downcast_ref::<String>().map_or("no reason given", String::as_str);
        Err(anyhow!("libtorch refused: {}", said.lines().next().unwrap_or(said)))
    })
}

/// The inputs and expected outputs of one file.
struct Io {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

/// Every argument and output that a model of this program has.
const INPUTS: [&str; 8] = [
    "in.hidden_states",
    "in.timestep",
    "in.encoder_hidden_states",
    "in.encoder_hidden_states_image",
    "in.x",
    "in.z",
    "in.input_ids",
    "in.attention_mask",
];
const OUTPUTS: [&str; 3] = ["out.sample", "out.moments", "out.last_hidden_state"];

/// Says that `names` in `path` mean nothing here: spelt wrong, or somebody's notes.
fn pass_over<'a>(path: &Path, names: impl Iterator<Item = &'a str>) {
    for name in names {
        terminal::say(&format!(
            "warning: {}: {name} means nothing here and is passed over",
            path.display()
        ));
    }
}

impl Io {
    fn read(path: &Path) -> Result<Self> {
        // libtorch would wait for a pipe.
        input::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let tensors = Tensor::read_safetensors(path)
            .map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        let unknown = |name: &&str| !INPUTS.contains(name) && !OUTPUTS.contains(name);
        let unknown: Vec<&str> = tensors.keys().map(String::as_str).filter(unknown).collect();
        if let Some(name) = unknown.iter().find(|name| name.starts_with("out.")) {
            bail!(
                "{} expects {name}, which no model makes; they make {}",
                path.display(),
                OUTPUTS.join(", ")
            );
        }
        pass_over(path, unknown.into_iter());
        Ok(Self { path: path.to_owned(), tensors })
    }

    fn input(&self, name: &str) -> Result<&Tensor> {
        let key = format!("in.{name}");
        self.tensors.get(&key).with_context(|| format!("{} has no {key}", self.path.display()))
    }

    /// Prints how far `output` is from what the file expects.
    fn compare(&self, name: &str, output: &Tensor) -> Result<()> {
        let key = format!("out.{name}");
        let expected = self
            .tensors
            .get(&key)
            .with_context(|| format!("{} has no {key}", self.path.display()))?;
        let (shape, wanted) = (output.size(), expected.size());
        let fits = shape == wanted;
        let [max_abs, rel_l2] = if fits { distance(output, expected).map(Some) } else { [None; 2] };
        let found =
            json!({"outputs": {name: {"max_abs": max_abs, "rel_l2": rel_l2, "shape": shape}}});
        terminal::print_json(&format!("{found}\n"))?;
        ensure!(fits, "{name} is {shape:?}, expected {wanted:?}");
        ensure!(
            rel_l2.is_some_and(f64::is_finite),
            "{name} can't be compared: it or what is expected has values that are no numbers"
        );
        Ok(())
    }
}

/// The largest absolute difference, and the difference's norm by the expected norm.
fn distance(output: &Tensor, expected: &Tensor) -> [f64; 2] {
    let (output, expected) = (output.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let difference = output - &expected;
    let norm = difference.norm().double_value(&[]);
    let scale = expected.norm().double_value(&[]);
    let relative = if norm == 0.0 { 0.0 } else { norm / scale };
    [difference.abs().max().double_value(&[]), relative]
}
