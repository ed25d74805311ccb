//! The parts of the models that a job needs, built as deep as it asks.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Architecture, EXPERTS, TEXT_ENCODER, VAE, VaeConfig};
use wan22_tune::knobs::{MemoryFormat, Numerics, Precision};
use wan22_tune::workload::{Stage, VOCABULARY, Workload};

use crate::models::text_encoder::TextEncoder;
use crate::models::transformer::Transformer;
use crate::models::vae::{Decoder, Encoder, VaeOptions};
use crate::weights::Weights;

/// Where the models' numbers come from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// Seeded random numbers.
    Random(u64),
    /// A folder in diffusers layout.
    Folder(&'a Path),
}

/// The transformer that denoises at high noise, and the one at low noise where there are two.
pub type Experts = [Option<Transformer>; 2];

/// What a job's stages run on; `None` for what it has no stage for.
#[derive(Default)]
pub struct Models {
    pub text: Option<TextEncoder>,
    pub encoder: Option<Encoder>,
    pub experts: Experts,
    pub decoder: Option<Decoder>,
    /// The addresses of the large weights.
    pub places: Vec<Range<usize>>,
}

impl Origin<'_> {
    /// The weights of one part.
    pub fn weights(self, part: &str) -> Result<Weights> {
        match self {
            // Two experts are as unlike as any two models.
            Self::Random(seed) => {
                Ok(Weights::random(seed.wrapping_add(u64::from(part == EXPERTS[1]))))
            }
            Self::Folder(folder) => Weights::open(&folder.join(part)),
        }
    }
}

/// Of what, and as what, parts are built.
#[derive(Clone, Copy)]
pub struct BuildSpec<'a> {
    pub architecture: &'a Architecture,
    pub workload: &'a Workload,
    pub numerics: Numerics,
    pub origin: Origin<'a>,
}

/// How a half of the VAE is built: `Encoder::new` or `Decoder::new`.
pub type BuildHalf<H> = fn(&Weights, &VaeConfig, VaeOptions, Kind, Device) -> Result<H>;

/// A model, and where its large weights lie.
type Built<M> = (M, Vec<Range<usize>>);

impl BuildSpec<'_> {
    /// Builds the decoder and the second expert on one thread and all others on another: filling
    /// memory takes longer than anything else here, and these are about half of it each.
    ///
    /// # Errors
    /// The models' own, with the part's name.
    pub fn build(self) -> Result<Models> {
        let (late, early) = std::thread::scope(|scope| {
            let late = scope.spawn(move || self.late());
            let early = scope.spawn(move || self.early());
            (joined(late.join()), joined(early.join()))
        });
        let (late, mut parts) = (late?, early?);
        let [_, second] = late.experts;
        (parts.decoder, parts.experts[1]) = (late.decoder, second);
        parts.places.extend(late.places);
        Ok(parts)
    }

    fn late(self) -> Result<Models> {
        let mut parts = Models::default();
        let has = self.workload.has(Stage::Decode);
        parts.decoder = parts.place(has.then(|| self.half(Decoder::new)))?;
        parts.experts[1] = parts.place(self.meets(1).then(|| self.expert(1)))?;
        Ok(parts)
    }

    fn early(self) -> Result<Models> {
        let mut parts = Models::default();
        let has = |stage| self.workload.has(stage);
        parts.experts[0] = parts.place(self.meets(0).then(|| self.expert(0)))?;
        parts.text = parts.place(has(Stage::Text).then(|| self.text_encoder()))?;
        parts.encoder = parts.place(has(Stage::Encode).then(|| self.half(Encoder::new)))?;
        Ok(parts)
    }

    /// Whether the job denoises, and meets an expert meanwhile.
    fn meets(self, number: usize) -> bool {
        let met = self.architecture.sampling.experts(self.workload.sizes.steps);
        self.workload.has(Stage::Denoise) && met.iter().any(|&(expert, _)| expert == number)
    }

    /// An expert as deep as the job asks.
    pub fn expert(self, number: usize) -> Result<Built<Transformer>> {
        let weights = self.origin.weights(EXPERTS[number])?;
        let (config, layers) = (&self.architecture.transformer, self.workload.sizes.layers.into());
        let kind = kind(self.numerics.precision, Stage::Denoise);
        let built = Transformer::new(&weights, config, layers, kind, Device::Cpu);
        let built = built.context(EXPERTS[number])?.among(self.workload.keys(self.architecture));
        Ok((built, weights.places()))
    }

    /// The text encoder as deep as the job asks.
    pub fn text_encoder(self) -> Result<Built<TextEncoder>> {
        let weights = self.origin.weights(TEXT_ENCODER)?;
        let mut config = self.architecture.text_encoder.clone();
        if matches!(self.origin, Origin::Random(_)) {
            config.vocab_size = config.vocab_size.min(VOCABULARY);
        }
        let (layers, kind) =
            (self.workload.sizes.text_layers.into(), kind(self.numerics.precision, Stage::Text));
        let built = TextEncoder::new(&weights, &config, layers, kind, Device::Cpu);
        Ok((built.context(TEXT_ENCODER)?, weights.places()))
    }

    /// A half of the VAE.
    pub fn half<H>(self, build: BuildHalf<H>) -> Result<Built<H>> {
        let weights = self.origin.weights(VAE)?;
        let (kind, options) =
            (kind(self.numerics.precision, Stage::Decode), options(self.numerics));
        let built = build(&weights, &self.architecture.vae, options, kind, Device::Cpu);
        Ok((built.context(VAE)?, weights.places()))
    }
}

impl Models {
    /// Notes where a part lies.
    fn place<M>(&mut self, built: Option<Result<Built<M>>>) -> Result<Option<M>> {
        let Some((model, places)) = built.transpose()? else { return Ok(None) };
        self.places.extend(places);
        Ok(Some(model))
    }

    /// What the parts hold, as their own tensors say. Of what a job has no part of, and of what
    /// no tensor tells (the kernels), it is what was `asked` for.
    pub fn numerics(&self, asked: Numerics) -> Numerics {
        let text = self.text.as_ref().map(TextEncoder::kind);
        let model = self.experts.iter().flatten().map(Transformer::kind).next().or(text);
        let kernel = self.decoder.as_ref().map(Decoder::kernel);
        let kernel = kernel.or_else(|| self.encoder.as_ref().map(Encoder::kernel));
        let is_half = |kind: Option<Kind>, stage| {
            kind.unwrap_or_else(|| self::kind(asked.precision, stage)) != Kind::Float
        };
        let vae = is_half(kernel.map(Tensor::kind), Stage::Decode);
        let precision = match (is_half(model, Stage::Denoise), vae) {
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
}

/// The kind of numbers in the models of `stage`.
fn kind(precision: Precision, stage: Stage) -> Kind {
    let plain = Precision::Fp32.bytes_in(stage);
    if precision.bytes_in(stage) < plain { Kind::BFloat16 } else { Kind::Float }
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
