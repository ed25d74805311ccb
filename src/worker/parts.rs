//! The parts of the models that a job needs, built as deep as it asks.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Architecture, VaeConfig};
use wan22_tune::settings::{MemoryFormat, Numerics, Precision};
use wan22_tune::workload::{Stage, Workload};

use crate::models::text_encoder::TextEncoder;
use crate::models::transformer::Transformer;
use crate::models::vae::{Decoder, Encoder, VaeOptions};
use crate::weights::Weights;

/// Rows of a random token embedding. The real one has 256384, which costs 4 GB and no time: a
/// token looks up one row.
const VOCABULARY: i64 = 4096;

/// Where the models' numbers come from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// Seeded random numbers.
    Random(u64),
    /// A folder in diffusers layout.
    Folder(&'a Path),
}

/// What a job's stages run on; `None` for what it has no stage for.
#[derive(Default)]
pub struct Parts {
    pub text: Option<TextEncoder>,
    pub encoder: Option<Encoder>,
    pub transformer: Option<Transformer>,
    pub decoder: Option<Decoder>,
    /// The addresses of the large weights.
    pub places: Vec<Range<usize>>,
}

impl Origin<'_> {
    /// The weights of one part.
    pub fn weights(self, part: &str) -> Result<Weights> {
        match self {
            Self::Random(seed) => Ok(Weights::random(seed)),
            Self::Folder(folder) => Weights::open(&folder.join(part)),
        }
    }
}

impl Parts {
    /// Builds the decoder on one thread and all others on another: filling memory takes longer
    /// than anything else here, and these are about half of it each.
    ///
    /// # Errors
    /// The models' own, with the part's name.
    pub fn build(
        architecture: &Architecture,
        workload: &Workload,
        numerics: Numerics,
        origin: Origin<'_>,
    ) -> Result<Self> {
        std::thread::scope(|scope| {
            let decoder = scope.spawn(|| {
                let has = workload.has(Stage::Decode);
                let built =
                    has.then(|| half(Decoder::new, architecture, numerics, origin)).transpose()?;
                anyhow::Ok(built.map_or((None, Vec::new()), |(one, places)| (Some(one), places)))
            });
            let others = scope.spawn(|| Self::others(architecture, workload, numerics, origin));
            let mut parts = joined(others.join())?;
            let (decoder, places) = joined(decoder.join())?;
            parts.decoder = decoder;
            parts.places.extend(places);
            Ok(parts)
        })
    }

    /// What the parts hold, as their own tensors say. Of what a job has no part of, and of what
    /// no tensor tells (the kernels), it is what was `asked` for.
    pub fn numerics(&self, asked: Numerics) -> Numerics {
        let text = self.text.as_ref().map(TextEncoder::kind);
        let model = self.transformer.as_ref().map(Transformer::kind).or(text);
        let kernel = self.decoder.as_ref().map(Decoder::kernel);
        let kernel = kernel.or_else(|| self.encoder.as_ref().map(Encoder::kernel));
        let is_half = |kind: Option<Kind>, asked: Precision, is_vae| {
            kind.unwrap_or_else(|| self::kind(asked, is_vae)) != Kind::Float
        };
        let vae = is_half(kernel.map(Tensor::kind), asked.precision, true);
        let precision = match (is_half(model, asked.precision, false), vae) {
            (false, false) => Precision::Fp32,
            (true, false) => Precision::Bf16,
            (_, true) => Precision::Bf16Vae,
        };
        let memory_format = match kernel {
            Some(kernel) if kernel.stride()[1] == 1 => MemoryFormat::ChannelsLast,
            Some(_) => MemoryFormat::Contiguous,
            None => asked.memory_format,
        };
        Numerics { precision, memory_format, ..asked }
    }

    fn others(
        architecture: &Architecture,
        workload: &Workload,
        numerics: Numerics,
        origin: Origin<'_>,
    ) -> Result<Self> {
        let mut parts = Self::default();
        let kind = kind(numerics.precision, false);
        if workload.has(Stage::Denoise) {
            let weights = origin.weights("transformer")?;
            let (config, layers) = (&architecture.transformer, workload.sizes.layers.into());
            let built = Transformer::new(&weights, config, layers, kind, Device::Cpu);
            parts.transformer = Some(built.context("transformer")?);
            parts.places.extend(weights.places());
        }
        if workload.has(Stage::Text) {
            let weights = origin.weights("text_encoder")?;
            let mut config = architecture.text_encoder.clone();
            if matches!(origin, Origin::Random(_)) {
                config.vocab_size = config.vocab_size.min(VOCABULARY);
            }
            let layers = workload.sizes.text_layers.into();
            let built = TextEncoder::new(&weights, &config, layers, kind, Device::Cpu);
            parts.text = Some(built.context("text_encoder")?);
            parts.places.extend(weights.places());
        }
        if workload.has(Stage::Encode) {
            let (encoder, places) = half(Encoder::new, architecture, numerics, origin)?;
            parts.encoder = Some(encoder);
            parts.places.extend(places);
        }
        Ok(parts)
    }
}

/// How a half of the VAE is built: `Encoder::new` or `Decoder::new`.
pub type BuildHalf<H> = fn(&Weights, &VaeConfig, VaeOptions, Kind, Device) -> Result<H>;

/// A half of the VAE, and where its large weights lie.
///
/// # Errors
/// The model's own.
pub fn half<H>(
    build: BuildHalf<H>,
    architecture: &Architecture,
    numerics: Numerics,
    origin: Origin<'_>,
) -> Result<(H, Vec<Range<usize>>)> {
    let weights = origin.weights("vae")?;
    let kind = kind(numerics.precision, true);
    let built = build(&weights, &architecture.vae, options(numerics), kind, Device::Cpu);
    Ok((built.context("vae")?, weights.places()))
}

fn kind(precision: Precision, is_vae: bool) -> Kind {
    match (precision, is_vae) {
        (Precision::Fp32, _) | (Precision::Bf16, true) => Kind::Float,
        _ => Kind::BFloat16,
    }
}

fn options(numerics: Numerics) -> VaeOptions {
    VaeOptions {
        backend: numerics.conv_backend,
        channels_last: numerics.memory_format == MemoryFormat::ChannelsLast,
    }
}

/// A panic goes on in this thread.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
