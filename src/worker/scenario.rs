//! The scenario: a Wan 2.2 TI2V-5B image-to-video job, as far as the workload goes.
//!
//! It follows diffusers' `WanImageToVideoPipeline` with `expand_timesteps`: the picture becomes
//! the first latent frame and stays fixed while the others are denoised around it.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor};
use wan22_tune::preprocess::{Batch, Frames, NotFinite, StageClock, StageError};
use wan22_tune::settings::Settings;
use wan22_tune::workload::Stage;
use wan22_tune::workload::Workload;

use crate::models::scheduler::{Scheduler, SchedulerConfig, guide};
use crate::models::text_encoder::{TextEncoder, TextEncoderConfig};
use crate::models::transformer::{Transformer, TransformerConfig};
use crate::models::vae::{Decoder, Encoder, Tiling, VaeConfig, VaeOptions};
use crate::weights::Weights;

/// Precision of all weights and activations.
const KIND: Kind = Kind::Float;

/// Tokens of a prompt, padding included.
const TEXT_TOKENS: i64 = 512;

/// Tokens of a prompt that are words; a long prompt, as Wan's prompt extension writes them.
const WORDS: i64 = 200;

/// Entries of the token embedding. The real one has 256384, which costs 4 GB and no time: a
/// token looks up one row.
const VOCABULARY: i64 = 4096;

/// How much the prompt is followed: TI2V-5B's default.
const GUIDANCE: f64 = 5.0;

/// Pixels to a latent pixel, of VAE 2.2.
const RATIO: u32 = 16;

/// The models, built as deep as the workload asks, and the sizes they run at.
pub struct Scenario {
    workload: Workload,
    seed: u64,
    vae: VaeConfig,
    encoder: Encoder,
    transformer: Transformer,
    decoder: Decoder,
    text: Option<TextEncoder>,
    /// `[1, 512, 4096]`: stands in for every clip's prompt where there is no text encoder.
    prompt: Tensor,
    /// `[1, 512, 4096]`: what guidance leads away from. One for all clips, made once.
    negative: Tensor,
    encode_tiling: Option<Tiling>,
    decode_tiling: Option<Tiling>,
    places: Vec<Range<usize>>,
}

impl Scenario {
    /// Refuses a workload that can't be run.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    pub fn check(workload: &Workload) -> Result<()> {
        let Workload { name, clips, width, height, frames, layers, steps, text_layers } = workload;
        let depth = TransformerConfig::ti2v_5b().num_layers;
        let text_depth = TextEncoderConfig::umt5_xxl().num_layers;
        ensure!(name == "i2v", "workload.name is `{name}`: this worker knows i2v");
        for (key, pixels) in [("width", width), ("height", height)] {
            let fits = *pixels > 0 && pixels % 32 == 0;
            ensure!(fits, "workload.{key} is {pixels}: give a multiple of 32");
        }
        ensure!(frames % 4 == 1, "workload.frames is {frames}: give 1, 5, 9, …");
        ensure!(*clips > 0, "workload.clips is 0: give at least 1");
        ensure!(*steps > 0, "workload.steps is 0: give at least 1");
        ensure!(i64::from(*layers) <= depth, "workload.layers is {layers}: the model has {depth}");
        ensure!(
            i64::from(*text_layers) <= text_depth,
            "workload.text_layers is {text_layers}: the text encoder has {text_depth}"
        );
        Ok(())
    }

    /// Builds the models with random weights. Their pages are touched by threads that the calling
    /// one starts, under its memory policy, and that end here.
    ///
    /// # Errors
    /// The models' own.
    pub fn build(workload: &Workload, settings: &Settings, seed: u64) -> Result<Self> {
        let vae = VaeConfig::wan22();
        let Models { transformer, text, encoder, decoder, places } =
            Models::build(workload, &vae, seed)?;
        let (width, height) = (workload.width, workload.height);
        let tiled = |tile: u32| width > tile || height > tile;
        tch::manual_seed(seed as i64);
        let prompts = || prompts(text.as_ref(), 1);
        Ok(Self {
            encode_tiling: tiled(settings.tile_size).then(|| encode_tiling(settings.tile_size)),
            decode_tiling: tiled(settings.vae_tile_size)
                .then(|| decode_tiling(settings.vae_tile_size)),
            prompt: prompts()?,
            negative: prompts()?,
            workload: workload.clone(),
            seed,
            vae,
            encoder,
            transformer,
            decoder,
            text,
            places,
        })
    }

    /// The addresses of the large weights.
    pub fn places(&self) -> &[Range<usize>] {
        &self.places
    }

    /// Turns a batch of pictures into the frames of its clips.
    ///
    /// # Errors
    /// The stage that failed, with libtorch's own words.
    pub fn run(&self, batch: &Batch, clock: &StageClock) -> Result<Frames, StageError> {
        let _guard = tch::no_grad_guard();
        let subject = format!("clips {}..{}", batch.clips.start, batch.clips.end);
        let run = |stage, work: &dyn Fn() -> Result<Tensor>| clock.run(stage, &subject, work);
        let count = batch.clips.len() as i64;
        let noise = self.noise(batch);
        let prompts = match &self.text {
            Some(text) => run(Stage::Text, &|| prompts(Some(text), count))?,
            None => self.prompt.expand([count, -1, -1], false),
        };
        let first = run(Stage::Encode, &|| self.encode(&batch.planes, count))?;
        let latent = run(Stage::Denoise, &|| self.denoise(&noise, &first, &prompts))?;
        clock.run(Stage::Decode, &subject, || self.decode(&latent))
    }

    /// Normal noise, `[clips, 48, latent frames, height / 16, width / 16]`: the same for a clip in
    /// whatever batch it is.
    fn noise(&self, batch: &Batch) -> Tensor {
        let [frames, height, width] = self.latent_size();
        let clip = |clip: usize| {
            tch::manual_seed(self.seed.wrapping_add(clip as u64) as i64);
            Tensor::randn([1, self.vae.z_dim, frames, height, width], (Kind::Float, Device::Cpu))
        };
        let clips: Vec<Tensor> = batch.clips.clone().map(clip).collect();
        Tensor::cat(&clips, 0)
    }

    fn latent_size(&self) -> [i64; 3] {
        let Workload { frames, width, height, .. } = self.workload;
        [(frames - 1) / 4 + 1, height / RATIO, width / RATIO].map(i64::from)
    }

    /// The pictures as normalised latents of one frame.
    fn encode(&self, planes: &[f32], count: i64) -> Result<Tensor> {
        let (height, width) = (i64::from(self.workload.height), i64::from(self.workload.width));
        let pictures = Tensor::from_slice(planes).reshape([count, 3, 1, height, width]);
        let moments = self.encoder.encode(&pictures.to_kind(KIND), self.encode_tiling.as_ref())?;
        // The pipeline takes the distribution's mode, its mean.
        let mean = moments.narrow(1, 0, self.vae.z_dim).to_kind(Kind::Float);
        self.vae.normalise(&mean)
    }

    fn denoise(&self, noise: &Tensor, first: &Tensor, prompts: &Tensor) -> Result<Tensor> {
        let mut scheduler =
            Scheduler::new(&SchedulerConfig::default(), self.workload.steps as usize)?;
        let steps = scheduler.timesteps().to_vec();
        let negative = self.negative.expand_as(prompts);
        let mut latent = noise.shallow_clone();
        for step in steps {
            let input = with_first(&latent, first);
            let time = self.timestep(step, noise.size()[0]);
            let conditioned = self.transformer.forward(&input, &time, prompts)?;
            let unconditioned = self.transformer.forward(&input, &time, &negative)?;
            latent = scheduler.step(&guide(&conditioned, &unconditioned, GUIDANCE), &latent)?;
        }
        NotFinite::check(&values(&latent)?)?;
        Ok(with_first(&latent, first))
    }

    /// `[clips, tokens]`: 0 for the tokens of the first latent frame, `step` for all others.
    fn timestep(&self, step: i64, count: i64) -> Tensor {
        let [frames, height, width] = self.latent_size();
        let each = height * width / 4;
        let time = Tensor::full([count, frames * each], step, (Kind::Int64, Device::Cpu));
        _ = time.narrow(1, 0, each).fill_(0);
        time
    }

    fn decode(&self, latent: &Tensor) -> Result<Frames> {
        let latent = self.vae.denormalise(latent)?.to_kind(KIND);
        let video = self.decoder.decode(&latent, self.decode_tiling.as_ref())?;
        Ok(Frames {
            per_clip: self.workload.frames as usize,
            width: self.workload.width,
            height: self.workload.height,
            planes: values(&video.transpose(1, 2))?,
        })
    }
}

/// All models, and where their large weights lie.
struct Models {
    transformer: Transformer,
    text: Option<TextEncoder>,
    encoder: Encoder,
    decoder: Decoder,
    places: Vec<Range<usize>>,
}

impl Models {
    /// Builds the decoder on one thread and all others on another: filling memory takes longer
    /// than anything else here, and these are about half of it each.
    fn build(workload: &Workload, vae: &VaeConfig, seed: u64) -> Result<Self> {
        let options = VaeOptions::default();
        let (layers, text_layers) = (workload.layers.into(), i64::from(workload.text_layers));
        std::thread::scope(|scope| {
            let decoder = scope.spawn(|| {
                let weights = Weights::random(seed);
                let decoder = Decoder::new(&weights, vae, options, KIND, Device::Cpu)?;
                anyhow::Ok((decoder, weights.places()))
            });
            let others = scope.spawn(|| {
                let weights = Weights::random(seed);
                let config = TransformerConfig::ti2v_5b();
                let transformer = Transformer::new(&weights, &config, layers, KIND, Device::Cpu)?;
                let config =
                    TextEncoderConfig { vocab_size: VOCABULARY, ..TextEncoderConfig::umt5_xxl() };
                let text = (text_layers > 0)
                    .then(|| TextEncoder::new(&weights, &config, text_layers, KIND, Device::Cpu))
                    .transpose()?;
                let encoder = Encoder::new(&weights, vae, options, KIND, Device::Cpu)?;
                anyhow::Ok((transformer, text, encoder, weights.places()))
            });
            let (transformer, text, encoder, mut places) = joined(others.join())?;
            let (decoder, more) = joined(decoder.join())?;
            places.extend(more);
            Ok(Self { transformer, text, encoder, decoder, places })
        })
    }
}

/// A panic goes on in this thread.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Prompt embeddings, `[count, 512, 4096]`; zero after the last word, as the pipeline has them.
fn prompts(text: Option<&TextEncoder>, count: i64) -> Result<Tensor> {
    let options = (Kind::Int64, Device::Cpu);
    let words = Tensor::arange(TEXT_TOKENS, options).lt(WORDS).to_kind(Kind::Int64);
    let mask = words.unsqueeze(0).expand([count, -1], false);
    let embeddings = match text {
        Some(text) => {
            let ids = Tensor::randint(VOCABULARY, [count, TEXT_TOKENS], options) * &mask;
            text.forward(&ids, Some(&mask))?
        }
        None => {
            let width = TextEncoderConfig::umt5_xxl().d_model;
            Tensor::randn([count, TEXT_TOKENS, width], (KIND, Device::Cpu))
        }
    };
    Ok(embeddings * mask.unsqueeze(-1).to_kind(KIND))
}

/// All values, in the order of the tensor's axes.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).context("a tensor's values")
}

/// The first latent frame replaced by the picture's.
fn with_first(latent: &Tensor, first: &Tensor) -> Tensor {
    let frames = latent.size()[2];
    Tensor::cat(&[first.shallow_clone(), latent.narrow(2, 1, frames - 1)], 2)
}

/// Tiles of whole latent pixels, a quarter of each overlapping the next as in the reference.
fn tile_and_stride(side: u32) -> [i64; 2] {
    let whole = |pixels: u32| i64::from((pixels / RATIO).max(1) * RATIO);
    [whole(side), whole(whole(side) as u32 / 4 * 3)]
}

/// Encoder tiles of `side` pixels. [`Tiling`] counts an encoder's in pairs of pixels, as the
/// reference does.
fn encode_tiling(side: u32) -> Tiling {
    let [tile, stride] = tile_and_stride(side);
    Tiling::square(tile / 2, stride / 2)
}

/// Decoder tiles of `side` pixels.
fn decode_tiling(side: u32) -> Tiling {
    let [tile, stride] = tile_and_stride(side);
    Tiling::square(tile, stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_whole_latent_pixels_with_a_quarter_of_overlap() {
        assert_eq!(tile_and_stride(256), [256, 192]);
        assert_eq!(tile_and_stride(100), [96, 64]);
        assert_eq!(tile_and_stride(16), [16, 16]);
        assert_eq!(tile_and_stride(1), [16, 16]);
    }

    #[test]
    fn the_picture_replaces_the_first_latent_frame() {
        let latent = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 1, 3, 1, 1]);
        let first = Tensor::from_slice(&[9.0_f32]).view([1, 1, 1, 1, 1]);
        let whole = with_first(&latent, &first).view(-1);
        assert_eq!(Vec::<f32>::try_from(&whole).unwrap(), [9.0, 2.0, 3.0]);
    }
}
