//! Rungs: slices of a job, each larger than the one before, up to the whole job.
//!
//! A slice keeps the job's shape: the transformer's tokens see as many keys as in the job, the VAE
//! decodes the first latent frame and later ones, prompts have all their tokens. What is too large is
//! cut in number (blocks, steps, tokens, pixels), and [`super::Projection`] knows the numbers. Trials
//! on a lower rung stand for those on a higher one, as in successive halving (Jamieson and Talwalkar
//! 2016).

use super::{Sizes, Stage, Workload};
use crate::architecture::Architecture;

/// Pixels and pictures that a rung has at the most.
struct Rung {
    /// What the transformer works on: width, height, pictures.
    clip: [u32; 3],
    /// What the VAE works on.
    window: [u32; 3],
}

/// From the smallest at which kernels work as in a whole job on a machine of two cores: products of
/// 100 tokens and more are bound by arithmetic, not by reading weights.
const RUNGS: [Rung; 8] = [
    Rung { clip: [256, 256, 5], window: [64, 64, 5] },
    Rung { clip: [256, 256, 13], window: [96, 96, 5] },
    Rung { clip: [384, 384, 13], window: [128, 128, 5] },
    Rung { clip: [512, 512, 13], window: [192, 192, 5] },
    Rung { clip: [512, 512, 29], window: [256, 256, 5] },
    Rung { clip: [640, 640, 37], window: [384, 384, 9] },
    Rung { clip: [832, 832, 81], window: [512, 512, 9] },
    Rung { clip: [1280, 1280, 81], window: [768, 768, 17] },
];

/// Clips that a slice makes at the most: the largest batch of the built-in spaces.
const MOST_CLIPS: u32 = 8;

/// Side of the VAE's window from which its time grows with the window: below, reading its weights is a
/// part that a larger one does not repeat (`docs/fidelity.md`).
const LEAST_WINDOW: u32 = 128;

/// Whole pictures of up to this many times a window's pixels take its place: how fast a kernel is and
/// which memory it gives back goes by a tensor's size.
const NEARLY_WHOLE: u32 = 2;

/// With less of the job's arithmetic than this the VAE gets a smaller window all the same, and needs
/// no warm-up in a search.
const SMALL: f64 = 0.1;

/// With less of the job's arithmetic than this the text encoder can't decide anything: it gets a small
/// slice, and no warm-up in a search.
const NEGLIGIBLE: f64 = 0.005;

/// Tokens of a prompt where the text encoder is [`NEGLIGIBLE`].
const FEW_TOKENS: u32 = 64;

/// The parts of a whole job's arithmetic, of 1.
struct Shares {
    text: f64,
    vae: f64,
}

impl Shares {
    fn of(full: &Workload, parts: &Architecture) -> Self {
        let costs = full.costs(parts, None);
        let total: f64 = costs.values().map(|cost| cost.flops).sum();
        let share = |stage| costs.get(&stage).map_or(0.0, |cost| cost.flops / total.max(1.0));
        Self { text: share(Stage::Text), vae: share(Stage::Encode) + share(Stage::Decode) }
    }
}

impl Workload {
    /// The models' stages that hardly count in the whole job, so that a search need not know how
    /// they do once they are warm.
    pub fn small_stages(&self, parts: &Architecture) -> Vec<Stage> {
        let Shares { text, vae } = Shares::of(&self.whole(), parts);
        let is_small = |stage: &Stage| match stage {
            Stage::Text => text < NEGLIGIBLE,
            Stage::Encode | Stage::Decode => vae < SMALL,
            _ => false,
        };
        self.stages.iter().copied().filter(is_small).collect()
    }
}

/// The slices of `full`, a whole job, from the smallest; the last is the job.
pub fn rungs(full: &Workload, parts: &Architecture) -> Vec<Sizes> {
    let job = &full.sizes;
    let Shares { text, vae } = Shares::of(full, parts);
    let counts = text >= NEGLIGIBLE;
    let text_tokens = if counts { job.text_tokens } else { FEW_TOKENS.min(job.text_tokens) };
    let least_window = if vae >= SMALL { LEAST_WINDOW } else { 0 };
    let window = |[width, height, frames]: [u32; 3]| {
        let pixels = width.max(least_window) * height.max(least_window);
        let is_near = vae >= SMALL && job.width * job.height <= NEARLY_WHOLE * pixels;
        let side = if is_near { u32::MAX } else { least_window };
        [width.max(side), height.max(side), frames]
    };
    let slice = |rung: &Rung| {
        let [width, height, frames] = least(rung.clip, [job.width, job.height, job.frames]);
        let [window_width, window_height, window_frames] =
            least(window(rung.window), [job.width, job.height, job.frames]);
        Sizes {
            clips: job.clips.min(MOST_CLIPS),
            width,
            height,
            frames,
            window_width: window_width.min(width),
            window_height: window_height.min(height),
            window_frames: window_frames.min(frames),
            layers: 1,
            steps: 1,
            text_layers: job.text_layers.min(1),
            text_tokens,
            ..job.clone()
        }
    };
    let mut rungs: Vec<Sizes> = RUNGS.iter().map(slice).collect();
    rungs.push(job.clone());
    let work = |sizes: &Sizes| {
        let slice = Workload { sizes: sizes.clone(), job: Some(job.clone()), ..full.clone() };
        slice.work(parts)
    };
    let mut most = 0.0;
    rungs.retain(|sizes| {
        let work = work(sizes);
        let rises = work > most;
        most = work.max(most);
        rises
    });
    rungs
}

fn least(one: [u32; 3], other: [u32; 3]) -> [u32; 3] {
    [0, 1, 2].map(|axis| one[axis].min(other[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WorkloadFile;

    fn job(clip: &str) -> WorkloadFile {
        let stages = r#"["read", "preprocess", "pack", "text", "encode", "denoise", "decode"]"#;
        WorkloadFile::parse(&format!(
            "schema = 1\nname = 'job'\nwhy = ''\nmodel = 'ti2v-5b'\nstages = {stages}\n[job]\n{clip}"
        ))
        .unwrap()
    }

    #[test]
    fn rungs_rise_to_the_whole_job_and_keep_its_shape() {
        let file = job("width = 1280\nheight = 704\nframes = 121\nsteps = 50\nlayers = 30");
        let parts = file.full().model.architecture();
        let rungs: Vec<Workload> = (0..file.size_count()).map(|n| file.size(n)).collect();
        let work = |job: &Workload| job.work(&parts);
        assert!(rungs.windows(2).all(|pair| work(&pair[0]) < work(&pair[1])));
        let whole = rungs.last().unwrap();
        assert!(!whole.is_slice() && whole.sizes == file.full().sizes);
        // 31 latent frames of 22 x 40 tokens; a slice's own tokens attend to all of them.
        assert!(rungs.iter().all(|rung| rung.keys(&parts) == 31 * 22 * 40));
        assert_eq!((rungs[0].tokens(&parts), rungs[0].window(&parts)), (2 * 8 * 8, [2, 4, 4]));
    }

    /// 96% of a long job is denoising; of a short one with few steps the text encoder is a quarter.
    #[test]
    fn a_prompt_is_cut_only_where_the_text_encoder_decides_nothing() {
        let tokens = |clip| job(clip).size(0).sizes.text_tokens;
        assert_eq!(tokens("width = 1280\nheight = 704\nframes = 121\nsteps = 50\nlayers = 30"), 64);
        assert_eq!(tokens("width = 224\nheight = 128\nframes = 5\nsteps = 4\nlayers = 2"), 512);
    }

    /// With 50 steps denoising is all that counts; with 4 the VAE is the half.
    #[test]
    fn what_hardly_counts_is_told_from_what_does() {
        let small = |clip| {
            let workload = job(clip).size(0);
            workload.small_stages(&workload.model.architecture())
        };
        let long = "width = 1280\nheight = 704\nframes = 121\nsteps = 50\nlayers = 30";
        assert_eq!(small(long), [Stage::Text, Stage::Encode, Stage::Decode]);
        assert_eq!(small("width = 224\nheight = 128\nframes = 5\nsteps = 4\nlayers = 2"), []);
    }

    #[test]
    fn a_job_that_is_smaller_than_a_rung_is_that_rung() {
        let file =
            job("width = 224\nheight = 128\nframes = 5\nsteps = 1\nlayers = 1\ntext_layers = 1");
        let sizes: Vec<[u32; 3]> = (0..file.size_count())
            .map(|n| file.size(n).sizes)
            .map(|s| [s.window_width, s.window_height, s.window_frames])
            .collect();
        assert_eq!(sizes, [[224, 128, 5]]);
        assert_eq!(file.size(0).sizes.width, 224);
    }

    /// 448 x 128 pixels are 3.5 times those of the smallest window, and 1.6 times those of 192 x 192.
    #[test]
    fn a_picture_that_is_little_more_than_a_window_is_measured_whole() {
        let file =
            job("width = 448\nheight = 128\nframes = 5\nsteps = 4\nlayers = 2\ntext_layers = 1");
        let widths: Vec<u32> =
            (0..file.size_count()).map(|n| file.size(n).sizes.window_width).collect();
        assert_eq!(widths, [128, 128, 448, 448]);
    }
}
