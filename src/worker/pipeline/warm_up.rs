//! The warm-up of a trial, and what its models are judged by.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use wan22_tune::workload::preprocess::{Batch, StageClock, StageError, StageOutput};
use wan22_tune::workload::{Sizes, Stage};

use super::Pipeline;
use crate::models::text_encoder::TextEncoder;
use crate::parts::Experts;

/// Latent frames of a clip that are compared with the reference's: the first ones see no others.
const COMPARED: i64 = 2;

/// What the models made of fixed inputs, for the first clip of the warm-up's batch.
#[derive(Default)]
pub struct WarmUp {
    /// The latents of [`Pipeline::picture`].
    pub encoded: Option<Tensor>,
    /// The first velocity of each expert, at the clip's noise.
    pub predicted: Option<Tensor>,
    /// What the text encoder makes of [`Pipeline::tokens`], as a picture of a single frame.
    pub embedded: Option<Tensor>,
    /// The first pictures of the clip's noise.
    pub decoded: Option<Tensor>,
}

impl Pipeline {
    /// Does each stage but those of `cold` once at a batch's shapes, which is all that libraries and
    /// allocators need to see before they are measured, on inputs that never change, so that
    /// `warmed_up` can be compared with the reference's.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub fn warm_up(
        &self,
        (batch, cold): (&Batch, &[Stage]),
        clock: &StageClock,
        warmed_up: &mut WarmUp,
    ) -> Result<StageOutput, StageError> {
        let _guard = tch::no_grad_guard();
        let runner = self.runner(batch, clock);
        let run = |stage, work: &dyn Fn() -> Result<Tensor>| {
            if cold.contains(&stage) { Ok(None) } else { runner(stage, work) }
        };
        let count = batch.clips.len() as i64;
        let prompts = run(Stage::Text, &|| self.warm_up_prompts(count))?;
        let picture = || self.picture().expand([count, -1, -1, -1, -1], false);
        let first = run(Stage::Encode, &|| self.encode(&picture()))?;
        let noise = self.noise(batch.clips.clone());
        let latent = run(Stage::Denoise, &|| self.predict(&self.parts.experts, &noise))?;
        let video = run(Stage::Decode, &|| self.decode(&noise))?;
        let one = |made: &Tensor| made.narrow(0, 0, 1).copy();
        warmed_up.encoded = first.as_ref().map(one);
        warmed_up.predicted =
            latent.as_ref().map(|latent| latent.narrow(1, 0, 1).flatten(0, 1).copy());
        warmed_up.embedded = prompts.as_ref().map(|prompts| as_video(&one(prompts)));
        warmed_up.decoded = video.as_ref().map(|video| one(&compared(video)));
        if cold.contains(&Stage::Decode) {
            return Ok(StageOutput::Nothing);
        }
        let predicted = latent.map(|latent| latent.get(0));
        let latents = [first.as_ref(), prompts.as_ref(), predicted.as_ref()];
        self.write(batch, clock, latents, video.as_ref())
    }

    /// The first velocity of each of `experts` that the job meets, at `noise`:
    /// `[experts, clips, z, latent frames, rows, columns]`.
    pub fn predict(&self, experts: &Experts, noise: &Tensor) -> Result<Tensor> {
        let count = noise.size()[0];
        let input = self.view(noise, None).of(noise);
        let met = self.architecture.sampling.experts(self.workload.sizes.steps);
        let predicted = met.into_iter().map(|(expert, step)| {
            let model = experts[expert].as_ref().context("the job lacks an expert")?;
            let time = self.timestep(step, count, self.workload.has(Stage::Encode));
            let prompt = self.prompt(count).narrow(0, 0, count);
            Ok(model.forward(&input, &time, &prompt, None)?.to_kind(Kind::Float))
        });
        let predicted: Vec<Tensor> = predicted.collect::<Result<_>>()?;
        Ok(Tensor::stack(&predicted, 0))
    }

    /// The embeddings of `count` times the fixed prompt.
    fn warm_up_prompts(&self, count: i64) -> Result<Tensor> {
        let encoder = self.parts.text.as_ref().context("the job has no text encoder")?;
        self.embeddings(encoder, &self.tokens(encoder).expand([count, -1], false))
    }

    /// A fixed prompt, `[1, text tokens]`.
    pub fn tokens(&self, encoder: &TextEncoder) -> Tensor {
        tch::manual_seed(self.seed as i64);
        self.random_tokens(encoder, 1)
    }

    /// Soft colours with an edge here and there, `[1, 3, 1, rows, columns]`.
    pub fn picture(&self) -> Tensor {
        let Sizes { window_width, window_height, .. } = self.workload.sizes;
        let line = |pixels: u32, waves: f64| {
            let places = Tensor::arange(i64::from(pixels), (Kind::Float, Device::Cpu));
            (places * (waves / f64::from(pixels))).sin()
        };
        let plane = |waves: f64| {
            let soft = line(window_height, waves).outer(&line(window_width, 2.0 * waves));
            let edges = line(window_height, 9.0 * waves).outer(&line(window_width, 7.0)).sign();
            (soft * 0.8 + edges * 0.2).view([1, 1, 1, window_height.into(), window_width.into()])
        };
        Tensor::cat(&[plane(5.0), plane(8.0), plane(13.0)], 1)
    }

    /// What of the first clip's noise is compared: the window's first frames.
    pub fn sample(&self) -> Tensor {
        let window = self.window(&self.noise(0..1));
        window.narrow(2, 0, window.size()[2].min(COMPARED))
    }
}

/// Embeddings `[clips, tokens, width]` in the shape of pictures, `[clips, 1, 1, tokens, width]`.
pub fn as_video(embeddings: &Tensor) -> Tensor {
    embeddings.unsqueeze(1).unsqueeze(1)
}

/// The pictures that [`COMPARED`] latent frames make.
fn compared(video: &Tensor) -> Tensor {
    video.narrow(2, 0, video.size()[2].min(1 + 4 * (COMPARED - 1)))
}
