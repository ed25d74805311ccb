//! Pipeline: a Wan 2.2 job, stage by stage, as far as the workload goes.
//!
//! With a picture it follows diffusers' `WanImageToVideoPipeline`: with TI2V-5B the picture becomes
//! the first latent frame and stays fixed while the others are denoised around it
//! (`expand_timesteps`), with I2V-A14B its latents and a mask stand beside the noise. Without one it
//! is `WanPipeline`. Where the workload's window is smaller than the picture, the VAE encodes and
//! decodes the middle of it, and the transformer still works on all.

mod condition;
mod heap;
mod warm_up;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Architecture, Tiling};
use wan22_tune::knobs::Settings;
use wan22_tune::workload::preprocess::{
    Batch, Frames, NotFinite, Numbers, StageClock, StageError, StageOutput,
};
use wan22_tune::workload::{Projection, Sizes, Stage, Tilings, Workload};

use crate::models::scheduler::{Scheduler, SchedulerConfig, guide};
use crate::models::text_encoder::TextEncoder;
use crate::models::vae::{Decoder, Encoder, denormalise, normalise};
use crate::parts::{BuildSpec, Models, Origin};
use crate::usage;
use condition::ImageConditioning;
use heap::Heap;

pub use warm_up::{WarmUp, as_video};

/// The models, built as deep as the workload asks, and the sizes they run at.
pub struct Pipeline {
    pub architecture: Architecture,
    pub parts: Models,
    pub tilings: Tilings,
    workload: Workload,
    seed: u64,
    /// `[1, context tokens, text width]`: stands in for every clip's prompt where none is encoded.
    prompt: Tensor,
    /// `[1, context tokens, text width]`: what guidance leads away from. One for all clips, made
    /// once.
    negative: Tensor,
    /// Of a slice.
    heap: Option<Heap>,
    /// Peak resident memory by stage, while it is being watched.
    peaks: Option<RefCell<BTreeMap<String, u64>>>,
    /// From what runs to the whole job.
    pub projection: Projection,
}

/// The models' sizes: the workload's own, or those of the user's weights.
///
/// # Errors
/// The folder's own, and the key of a workload that these models can't run.
pub fn architecture(workload: &Workload, weights: Option<&Path>) -> Result<Architecture> {
    let architecture = match weights {
        Some(folder) => {
            Architecture::open(folder, &workload.models(), workload.model).context("weights")?
        }
        None => workload.model.architecture(),
    };
    workload.check(&architecture).map_err(|problem| anyhow!("workload.{problem}"))?;
    Ok(architecture)
}

impl Pipeline {
    /// Builds the models. Their pages are touched by threads that the calling one starts, under
    /// its memory policy, and that end here.
    pub fn build(
        architecture: Architecture,
        workload: &Workload,
        settings: &Settings,
        origin: Origin<'_>,
        seed: u64,
    ) -> Result<Self> {
        let numerics = settings.numerics;
        let blueprint = BuildSpec { architecture: &architecture, workload, numerics, origin };
        let parts = blueprint.build()?;
        tch::manual_seed(seed as i64);
        let (tokens, width) =
            (workload.sizes.context_tokens.into(), architecture.transformer.text_dim);
        let prompt = || Tensor::randn([1, tokens, width], (Kind::Float, Device::Cpu));
        Ok(Self {
            tilings: Tilings::new(&architecture, workload, settings),
            projection: Projection::of(workload, &architecture, settings),
            heap: Heap::of(workload, &architecture, settings),
            prompt: prompt(),
            negative: prompt(),
            peaks: Some(RefCell::default()),
            workload: workload.clone(),
            seed,
            architecture,
            parts,
        })
    }

    /// Does what the job does with a batch of pictures.
    ///
    /// # Errors
    /// The stage that failed, with libtorch's own words.
    pub fn run(&self, batch: &Batch, clock: &StageClock) -> Result<StageOutput, StageError> {
        let _guard = tch::no_grad_guard();
        let run = self.runner(batch, clock);
        let count = batch.clips.len() as i64;
        let prompts = run(Stage::Text, &|| self.prompts(count))?;
        let first = run(Stage::Encode, &|| self.encode(&self.pictures(&batch.planes, count)))?;
        let noise = self.noise(batch.clips.clone());
        let latent = run(Stage::Denoise, &|| {
            let all = prompts.as_ref().map_or_else(|| self.prompt(count), Tensor::shallow_clone);
            self.denoise(&noise, first.as_ref(), &all)
        })?;
        let video = run(Stage::Decode, &|| self.decode(latent.as_ref().unwrap_or(&noise)))?;
        let own = prompts.map(|all| all.narrow(0, 0, count));
        let latents = [first.as_ref(), own.as_ref(), latent.as_ref()];
        self.write(batch, clock, latents, video.as_ref())
    }

    /// What does a stage's work, where the job has the stage.
    fn runner<'a>(
        &'a self,
        batch: &Batch,
        clock: &'a StageClock,
    ) -> impl Fn(Stage, &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>, StageError> + 'a
    {
        let subject = format!("clips {}..{}", batch.clips.start, batch.clips.end);
        move |stage, work| {
            let has = self.workload.has(stage);
            self.heap.iter().for_each(|heap| heap.begin(stage));
            has.then(|| clock.run(stage, &subject, || self.watched(stage, work))).transpose()
        }
    }

    /// What is to be written of what a batch's stages made.
    fn write(
        &self,
        batch: &Batch,
        clock: &StageClock,
        latents: [Option<&Tensor>; 3],
        video: Option<&Tensor>,
    ) -> Result<StageOutput, StageError> {
        let (stage, subject) = match video {
            Some(_) => (Stage::Decode, "frames"),
            None if self.workload.has(Stage::Write) => (Stage::Write, "latents"),
            None => return Ok(StageOutput::Nothing),
        };
        clock.run(stage, subject, || match video {
            Some(video) => self.frames(video),
            None => kept(latents, batch.clips.len() as i64),
        })
    }

    /// Does `work`, and notes the most memory that was resident meanwhile, if that is being watched.
    fn watched<T>(&self, stage: Stage, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(peaks) = &self.peaks else { return work() };
        usage::forget_peak();
        let result = work();
        let peak = usage::peak_rss_bytes()?;
        raise(&mut peaks.borrow_mut(), stage.to_string(), peak);
        result
    }

    /// Notes what was resident in each stage, if that is being watched.
    pub fn note_peaks(&self, resident: BTreeMap<String, u64>) {
        let Some(peaks) = &self.peaks else { return };
        let mut peaks = peaks.borrow_mut();
        resident.into_iter().for_each(|(stage, bytes)| raise(&mut peaks, stage, bytes));
    }

    /// The peaks of all stages so far; they are not watched any more.
    pub fn take_peaks(&mut self) -> BTreeMap<String, u64> {
        self.peaks.take().map(RefCell::into_inner).unwrap_or_default()
    }

    /// Normal noise, `[clips, z, latent frames, rows, columns]`: the same for a clip in whatever
    /// batch it is.
    pub fn noise(&self, clips: Range<usize>) -> Tensor {
        let [frames, height, width] = self.workload.latent(&self.architecture);
        let clip = |clip: usize| {
            tch::manual_seed(self.seed.wrapping_add(clip as u64) as i64);
            let size = [1, self.architecture.vae.z_dim, frames, height, width];
            Tensor::randn(size, (Kind::Float, Device::Cpu))
        };
        let clips: Vec<Tensor> = clips.map(clip).collect();
        Tensor::cat(&clips, 0)
    }

    /// The prompts of every clip where none is encoded, as [`Self::prompts`] has them.
    fn prompt(&self, count: i64) -> Tensor {
        let own = [&self.prompt, &self.negative].map(|one| one.expand([count, -1, -1], false));
        Tensor::cat(&own[..self.workload.prompts() as usize], 0)
    }

    /// Prompt embeddings, `[count, context tokens, width]`, and after them as many of what guidance
    /// leads away from; zero after the last token, as the pipeline has them.
    fn prompts(&self, count: i64) -> Result<Tensor> {
        let encoder = self.parts.text.as_ref().context("the job has no text encoder")?;
        let one = |_| self.embeddings(encoder, &self.random_tokens(encoder, count));
        let all: Vec<Tensor> = (0..self.workload.prompts()).map(one).collect::<Result<_>>()?;
        Ok(Tensor::cat(&all, 0))
    }

    /// Prompts of any tokens, `[count, text tokens]`.
    fn random_tokens(&self, encoder: &TextEncoder, count: i64) -> Tensor {
        let size = [count, self.workload.sizes.text_tokens.into()];
        Tensor::randint(encoder.vocabulary(), size, (Kind::Int64, Device::Cpu))
    }

    /// The embeddings of prompts `[count, text tokens]`.
    pub fn embeddings(&self, encoder: &TextEncoder, ids: &Tensor) -> Result<Tensor> {
        let embeddings = encoder.forward(ids, None)?.to_kind(Kind::Float);
        let zeros = i64::from(self.workload.sizes.context_tokens) - ids.size()[1];
        Ok(embeddings.constant_pad_nd([0, 0, 0, zeros]))
    }

    /// The middle of each of a batch's pictures, `[count, 3, 1, rows, columns]`.
    fn pictures(&self, planes: &[f32], count: i64) -> Tensor {
        let Sizes { window_width, window_height, .. } = self.workload.sizes;
        let Sizes { width, height, .. } = self.workload.whole().sizes;
        let [height, width] = [height, width].map(i64::from);
        let pictures = Tensor::from_slice(planes).reshape([count, 3, 1, height, width]);
        middle(&pictures, [window_height, window_width].map(i64::from))
    }

    fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        let encoder = self.parts.encoder.as_ref().context("the job has no encoder")?;
        self.latents(encoder, pictures, self.tilings.encode.as_ref())
    }

    /// The normalised latents of pictures `[clips, 3, 1, rows, columns]`: of a single frame, or
    /// of the video that begins with the picture and is grey after it, where the transformer takes
    /// that for a condition.
    pub fn latents(
        &self,
        encoder: &Encoder,
        pictures: &Tensor,
        tiling: Option<&Tiling>,
    ) -> Result<Tensor> {
        let after = i64::from(self.workload.encoded_frames(&self.architecture)) - 1;
        let video = pictures.constant_pad_nd([0, 0, 0, 0, 0, after]);
        let moments = encoder.encode(&video, tiling)?;
        // The pipeline takes the distribution's mode, its mean.
        let mean = moments.narrow(1, 0, self.architecture.vae.z_dim).to_kind(Kind::Float);
        normalise(&self.architecture.vae, &mean)
    }

    fn denoise(&self, noise: &Tensor, first: Option<&Tensor>, prompts: &Tensor) -> Result<Tensor> {
        let sampling = &self.architecture.sampling;
        let config = SchedulerConfig { flow_shift: sampling.flow_shift, ..Default::default() };
        let mut scheduler = Scheduler::new(&config, self.workload.sizes.steps as usize)?;
        let steps = scheduler.timesteps().to_vec();
        let count = noise.size()[0];
        let negative = self.workload.sizes.guidance.then(|| prompts.narrow(0, count, count));
        let prompts = prompts.narrow(0, 0, count);
        let view = self.view(noise, first);
        let mut latent = noise.shallow_clone();
        for step in steps {
            let expert = sampling.expert(step);
            let model = self.parts.experts[expert].as_ref().context("the job lacks an expert")?;
            let input = view.of(&latent);
            let time = self.timestep(step, count, first.is_some());
            let mut velocity = model.forward(&input, &time, &prompts, None)?;
            if let Some(negative) = &negative {
                let unconditioned = model.forward(&input, &time, negative, None)?;
                velocity = guide(&velocity, &unconditioned, sampling.guidance[expert]);
            }
            latent = scheduler.step(&velocity, &latent)?;
        }
        NotFinite::check(&values(&latent)?)?;
        Ok(match view {
            ImageConditioning::FirstFrame(_) => view.of(&latent),
            ImageConditioning::Condition(_) => latent,
        })
    }

    /// How the transformer sees the picture's latents, if there are any.
    fn view<'a>(&self, noise: &Tensor, first: Option<&'a Tensor>) -> ImageConditioning<'a> {
        if self.architecture.takes_condition() {
            ImageConditioning::condition(&noise.size(), first)
        } else {
            ImageConditioning::FirstFrame(first)
        }
    }

    /// `[clips]`, or `[clips, tokens]` where tokens have timesteps of their own: 0 for those of a
    /// picture, `step` for all others.
    fn timestep(&self, step: i64, count: i64, has_first: bool) -> Tensor {
        let options = (Kind::Int64, Device::Cpu);
        if !self.architecture.expands_timesteps() {
            return Tensor::full([count], step, options);
        }
        let [frames, height, width] = self.workload.latent(&self.architecture);
        let [frames, rows, columns] = self.architecture.transformer.grid(frames, height, width);
        let time = Tensor::full([count, frames * rows * columns], step, options);
        if has_first {
            _ = time.narrow(1, 0, rows * columns).fill_(0);
        }
        time
    }

    fn decode(&self, latent: &Tensor) -> Result<Tensor> {
        let decoder = self.parts.decoder.as_ref().context("the job has no decoder")?;
        self.video(decoder, &self.window(latent), self.tilings.decode.as_ref())
    }

    /// The part of a latent that the VAE decodes.
    fn window(&self, latent: &Tensor) -> Tensor {
        let [frames, height, width] = self.workload.window(&self.architecture);
        middle(&latent.narrow(2, 0, frames), [height, width])
    }

    fn frames(&self, video: &Tensor) -> Result<StageOutput> {
        let Sizes { window_width, window_height, window_frames, .. } = self.workload.sizes;
        Ok(StageOutput::Frames(Frames {
            per_clip: window_frames as usize,
            width: window_width,
            height: window_height,
            planes: values(&video.transpose(1, 2))?,
        }))
    }

    /// The pictures `[clips, 3, frames, rows, columns]` of a normalised latent.
    ///
    /// # Errors
    /// The decoder's own.
    pub fn video(
        &self,
        decoder: &Decoder,
        latent: &Tensor,
        tiling: Option<&Tiling>,
    ) -> Result<Tensor> {
        decoder.decode(&denormalise(&self.architecture.vae, latent)?, tiling)
    }
}

/// Notes `bytes` for `stage` where less is known.
fn raise(peaks: &mut BTreeMap<String, u64>, stage: String, bytes: u64) {
    let known = peaks.entry(stage).or_default();
    *known = bytes.max(*known);
}

/// The middle `[rows, columns]` of the last two axes, which have `ratio` of one more or less.
fn middle(x: &Tensor, [rows, columns]: [i64; 2]) -> Tensor {
    let size = x.size();
    let (height, width) = (size[size.len() - 2], size[size.len() - 1]);
    x.narrow(-2, (height - rows) / 2, rows).narrow(-1, (width - columns) / 2, columns)
}

/// All values of what a job keeps that makes no pictures, clip by clip.
fn kept(tensors: [Option<&Tensor>; 3], count: i64) -> Result<StageOutput> {
    let flat: Vec<Tensor> =
        tensors.into_iter().flatten().map(|tensor| tensor.reshape([count, -1])).collect();
    let all = Tensor::cat(&flat, 1);
    Ok(StageOutput::Numbers(Numbers { per_clip: all.size()[1] as usize, values: values(&all)? }))
}

/// All values, in the order of the tensor's axes.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let flat = tensor.to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&flat).context("a tensor's values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_goes_clip_by_clip() {
        let clips = |values: &[f32]| Tensor::from_slice(values).view([2, 1, -1]);
        let made = kept([Some(&clips(&[1.0, 2.0])), None, Some(&clips(&[3.0, 4.0, 5.0, 6.0]))], 2);
        let values = vec![1.0, 3.0, 4.0, 2.0, 5.0, 6.0];
        assert_eq!(made.unwrap(), StageOutput::Numbers(Numbers { per_clip: 3, values }));
    }
}
