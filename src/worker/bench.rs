//! `wan22-worker bench`: times one model on demand, for `benches/models.py` to pair with Python.

use std::collections::BTreeMap;
use std::io::{BufRead, stdin};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::case::Case;
use crate::weights::Weights;

const SEED: u64 = 22;

/// Time one model with random weights, one call for each line on standard input.
///
/// The first line is JSON: {"case": a check's configuration, "inputs": {NAME: shape}}. Each further
/// line runs the model once and prints {"seconds": …}.
#[derive(Debug, Args)]
pub struct BenchArgs {}

impl BenchArgs {
    /// # Errors
    /// Where the first line is not such an object, or the model can't run.
    pub fn run(&self) -> Result<()> {
        let mut lines = stdin().lock().lines();
        let first = lines.next().context("a first line with the case is missing")??;
        let mut job: Value = serde_json::from_str(&first).context("the first line is no JSON")?;
        let shapes: BTreeMap<String, Vec<i64>> =
            serde_json::from_value(job["inputs"].take()).context("inputs: shapes by name")?;
        let case: Case = serde_json::from_value(job["case"].take()).context("case")?;
        let part = case.build(&Weights::random(SEED))?;
        tch::manual_seed(SEED as i64);
        let inputs = shapes.iter().map(|(name, shape)| Ok((name.as_str(), input(name, shape)?)));
        let inputs: BTreeMap<&str, Tensor> = inputs.collect::<Result<_>>()?;
        say(&json!({"ready": true}))?;
        for line in lines {
            line?;
            let start = Instant::now();
            let _output =
                part.run(|name| inputs.get(name).with_context(|| format!("inputs has no {name}")))?;
            say(&json!({"seconds": start.elapsed().as_secs_f64()}))?;
        }
        Ok(())
    }
}

fn input(name: &str, shape: &[i64]) -> Result<Tensor> {
    let options = (Kind::Float, Device::Cpu);
    Ok(match name {
        "hidden_states" | "encoder_hidden_states" | "z" => Tensor::randn(shape, options),
        "x" => Tensor::rand(shape, options) * 2.0 - 1.0,
        "timestep" => Tensor::full(shape, 500.0, options),
        "input_ids" => Tensor::randint(1000, shape, (Kind::Int64, Device::Cpu)),
        // The second half of each text is padding.
        "attention_mask" => {
            let mask = Tensor::ones(shape, (Kind::Int64, Device::Cpu));
            let tokens = shape.last().copied().unwrap_or(0);
            let _ = mask.narrow(-1, tokens / 2, tokens - tokens / 2).fill_(0);
            mask
        }
        _ => bail!("no model has an argument {name}"),
    })
}

fn say(message: &Value) -> Result<()> {
    wan22_tune::io::output::print_json(&format!("{message}\n"))
}
