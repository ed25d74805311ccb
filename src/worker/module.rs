//! A trial of a TorchScript module of the user's own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tch::{CModule, Device, IValue, Kind as Number, Tensor};
use wan22_tune::knobs::{MatmulPrecision, Numerics};
use wan22_tune::launch::Effect;
use wan22_tune::runner::protocol::{Job, Message};
use wan22_tune::trial::{Outcome, Sample};
use wan22_tune::workload::custom::module::{Input, Inputs, ModuleJob, TensorKind};
use wan22_tune::workload::preprocess::Pools;

use crate::job::{Failure, apply, effect, repeat, say};
use crate::native;
use crate::usage::{self, ResourceUsage};

/// A repetition calls the module until this is over: one call may take a moment only.
const REPETITION_S: f64 = 1.0;

/// The most calls of a repetition.
const MOST_CALLS: f64 = 10_000.0;

/// How far the outputs may be from the reference's, relative to its norm: by rounding, where no
/// knob that was set may change them.
const NEUTRAL: f64 = 1e-3;

/// The same where one may: 30 dB.
const POOR: f64 = 0.0316;

/// Where a job's references lie.
const REFERENCE: &str = "module.safetensors";

/// Does a job with `module` instead of the pipeline.
pub fn do_job(job: &Job, module: &ModuleJob) -> Result<(), Failure> {
    let mut trial = Trial::set_up(job, module)?;
    let reference = trial.reference()?;
    // Of several the shortest: a machine that does something else in one must not leave a single call.
    let mut call_s = f64::INFINITY;
    for _ in 0..=job.warmup {
        let begun = Instant::now();
        trial.call()?;
        call_s = call_s.min(begun.elapsed().as_secs_f64().max(1e-9));
    }
    let calls = (REPETITION_S / call_s).clamp(1.0, MOST_CALLS) as u32;
    let effect = Box::new(trial.effect());
    repeat(job, effect, || trial.repeat(calls))?;
    let peak_rss_bytes = usage::peak_rss_bytes()?;
    trial.compare(&reference)?;
    let (trial, stage_rss_bytes) = (job.trial, [].into());
    let (quality, peak) = (None, None);
    Ok(say(&Message::Done {
        trial,
        peak_rss_bytes,
        peak_device_bytes: None,
        stage_rss_bytes,
        quality,
        pictures: None,
        peak,
    })?)
}

/// Everything that lives as long as the trial.
struct Trial<'a> {
    job: &'a Job,
    _pools: Pools,
    module: CModule,
    inputs: Vec<IValue>,
}

impl<'a> Trial<'a> {
    fn set_up(job: &'a Job, module: &ModuleJob) -> Result<Self, Failure> {
        // The pools are idle here, but part of the settings, and of what is read back.
        let (pools, loaded) = apply(&job.settings, || load(&module.file))?;
        let inputs = inputs(&module.inputs, job.seed)?;
        Ok(Self { job, _pools: pools, module: loaded, inputs })
    }

    fn call(&self) -> Result<IValue> {
        let _guard = tch::no_grad_guard();
        let output = self.module.forward_is(&self.inputs);
        output.map_err(|error| anyhow!("the module: {}", core(&error.to_string())))
    }

    fn repeat(&self, calls: u32) -> Result<Sample> {
        let before = ResourceUsage::now()?;
        let begun = Instant::now();
        for _ in 0..calls {
            self.call()?;
        }
        let wall_s = begun.elapsed().as_secs_f64();
        let usage = before.until_now(wall_s)?;
        Ok(Sample { seconds: wall_s / f64::from(calls), ..usage })
    }

    /// The outputs at libtorch's own precision, of this tune's first trial; empty where the module
    /// does not give the same twice.
    fn reference(&mut self) -> Result<Vec<Tensor>> {
        let path = self.job.references.join(REFERENCE);
        if path.exists() {
            return read(&path);
        }
        native::set_float32_matmul_precision(MatmulPrecision::Highest);
        let (first, second) = (tensors(self.call()?)?, tensors(self.call()?)?);
        native::set_float32_matmul_precision(self.job.settings.numerics.matmul_precision);
        let kept = if distance(&first, &second)? <= NEUTRAL { first } else { Vec::new() };
        if kept.is_empty() {
            let unsteady = "the module's outputs differ from call to call: they are not compared";
            wan22_tune::io::output::say(unsteady);
        }
        write(&path, &kept)?;
        Ok(kept)
    }

    /// Fails outputs that are too far from the reference's.
    fn compare(&self, reference: &[Tensor]) -> Result<(), Failure> {
        if reference.is_empty() {
            return Ok(());
        }
        let distance = distance(reference, &tensors(self.call()?)?)?;
        let (outcome, most) = match self.job.settings.numerics.is_neutral() {
            true => (Outcome::WrongOutput, NEUTRAL),
            false => (Outcome::PoorQuality, POOR),
        };
        // Not a number is never near.
        if distance <= most {
            return Ok(());
        }
        let error = anyhow!("outputs are {distance:.2e} of their norm off; it may be {most:.2e}");
        Err(Failure { outcome, error })
    }

    fn effect(&self) -> Effect {
        let matmul_precision = native::float32_matmul_precision();
        let numerics =
            |matmul_precision| Numerics { matmul_precision, ..self.job.settings.numerics };
        Effect { numerics: matmul_precision.map(numerics), ..effect() }
    }
}

fn load(file: &str) -> Result<CModule> {
    let loaded = CModule::load_on_device(file, Device::Cpu);
    let mut module = loaded.map_err(|error| {
        let words = core(&error.to_string());
        anyhow!("{file} can't be loaded (torch.jit.save writes such files): {words}")
    })?;
    module.set_eval();
    Ok(module)
}

/// The core of what libtorch says, without its stack traces: the interpreter puts the module's code
/// before the error itself.
fn core(error: &str) -> String {
    let is_error =
        |line: &&str| line.split(' ').next().is_some_and(|word| word.ends_with("Error:"));
    let lines: Vec<&str> = error.lines().collect();
    let begin = lines.iter().rposition(is_error).unwrap_or(0);
    let said = lines[begin..].iter().take_while(|line| !line.starts_with("Exception raised"));
    let words: Vec<&str> = said.flat_map(|line| line.split_whitespace()).collect();
    words.join(" ").chars().take(400).collect()
}

fn inputs(description: &str, seed: u64) -> Result<Vec<IValue>> {
    let parsed = Inputs::parse(description).map_err(|problem| anyhow!("inputs: {problem}"))?;
    let tensors = match parsed {
        Inputs::File(file) => read(Path::new(&file)).with_context(|| format!("inputs {file}"))?,
        Inputs::Random(inputs) => {
            tch::manual_seed(seed as i64);
            inputs.iter().map(random).collect()
        }
    };
    ensure!(!tensors.is_empty(), "inputs {description}: no tensors");
    Ok(tensors.into_iter().map(IValue::Tensor).collect())
}

fn random(input: &Input) -> Tensor {
    let floats = |kind| Tensor::randn(&input.shape, (Number::Float, Device::Cpu)).to_kind(kind);
    // Small, so that they may be places in a table.
    let counts = |kind| Tensor::randint(2, &input.shape, (kind, Device::Cpu));
    match input.kind {
        TensorKind::F32 => floats(Number::Float),
        TensorKind::F16 => floats(Number::Half),
        TensorKind::BF16 => floats(Number::BFloat16),
        TensorKind::F64 => floats(Number::Double),
        TensorKind::I64 => counts(Number::Int64),
        TensorKind::I32 => counts(Number::Int),
        TensorKind::Bool => counts(Number::Bool),
    }
}

/// All tensors of an output, in order.
fn tensors(output: IValue) -> Result<Vec<Tensor>> {
    Ok(match output {
        IValue::Tensor(tensor) => vec![tensor],
        IValue::TensorList(list) => list,
        IValue::Tuple(values) | IValue::GenericList(values) => {
            let nested = values.into_iter().map(tensors).collect::<Result<Vec<_>>>()?;
            nested.into_iter().flatten().collect()
        }
        IValue::GenericDict(pairs) => {
            let values = pairs.into_iter().map(|(_, value)| tensors(value));
            values.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
        }
        IValue::None | IValue::Bool(_) | IValue::Int(_) | IValue::Double(_) => Vec::new(),
        other => bail!("an output that is no tensor: {other:?}"),
    })
}

/// The norm of the difference over the reference's, of all tensors together.
fn distance(reference: &[Tensor], candidate: &[Tensor]) -> Result<f64> {
    let shapes = |all: &[Tensor]| all.iter().map(Tensor::size).collect::<Vec<_>>();
    let (wanted, got) = (shapes(reference), shapes(candidate));
    ensure!(wanted == got, "outputs of shapes {got:?}, the reference's are {wanted:?}");
    let double = |tensor: &Tensor| tensor.to_kind(Number::Double);
    let square = |tensor: Tensor| tensor.square().sum(Number::Double).double_value(&[]);
    let pairs = reference.iter().zip(candidate);
    let off: f64 = pairs.map(|(a, b)| square(double(a) - double(b))).sum();
    let norm: f64 = reference.iter().map(|a| square(double(a))).sum();
    Ok((off / norm.max(f64::MIN_POSITIVE)).sqrt())
}

fn name(number: usize) -> String {
    format!("{number:04}")
}

/// The tensors of a file, in the order of their names.
fn read(path: &Path) -> Result<Vec<Tensor>> {
    let read = Tensor::read_safetensors(path);
    let mut named = read.map_err(|error| anyhow!("{}: {error}", path.display()))?;
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(named.into_iter().map(|(_, tensor)| tensor).collect())
}

/// Written beside and renamed, so that what exists is whole.
fn write(path: &Path, tensors: &[Tensor]) -> Result<()> {
    let part = PathBuf::from(format!("{}.part", path.display()));
    let named: Vec<(String, Tensor)> = tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| (name(number), tensor.contiguous()))
        .collect();
    Tensor::write_safetensors(&named, &part)?;
    std::fs::rename(&part, path).with_context(|| path.display().to_string())
}
