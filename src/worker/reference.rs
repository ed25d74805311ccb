//! The reference: a fixed latent decoded, and a fixed picture encoded, whole and in float32.
//!
//! Made once a tune, by the first trial that misses it, and kept in a file for the others.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::{Grid, Tiling};
use wan22_tune::measure::wire::{REFERENCE_VIEW, TRIAL_VIEW};
use wan22_tune::preprocess::Frames;
use wan22_tune::settings::{MatmulPrecision, Numerics};
use wan22_tune::trial::Quality;
use wan22_tune::workload::{Sizes, Stage, Workload};

use crate::models::vae::{Decoder, Encoder};
use crate::native;
use crate::parts::{self, BuildHalf, Origin};
use crate::quality::{self, Seams};
use crate::scenario::Scenario;

/// Without tiles a corner of the window tells as much about rounding as the whole, in less time.
const SIDE: i64 = 32;

/// Values of a picture go from -1 to 1.
const PICTURE_RANGE: f64 = 2.0;

/// What is compared, and with what it is made.
pub struct Comparison<'a> {
    pub scenario: &'a Scenario,
    pub workload: &'a Workload,
    pub numerics: Numerics,
    pub origin: Origin<'a>,
    pub seed: u64,
    /// Where references are kept.
    pub folder: &'a Path,
}

/// One thing that is made twice.
struct Subject {
    file: String,
    candidate: Tensor,
    seams: Option<Seams>,
    range: Option<f64>,
}

impl Comparison<'_> {
    /// The worst of what was compared, and whether a reference had to be made; `None` for a job
    /// without a VAE.
    ///
    /// # Errors
    /// The models' own; a reference that can't be written or read.
    pub fn run(&self) -> Result<Option<(Quality, bool)>> {
        let _guard = tch::no_grad_guard();
        let mut worst: Option<Quality> = None;
        let mut is_new = false;
        if self.workload.has(Stage::Decode) {
            let latent = self.latent();
            let subject = self.decode_subject(&latent)?;
            self.show(&subject.candidate, TRIAL_VIEW)?;
            let made = |plain| {
                let pictures = self.decoded(&latent, plain)?;
                self.show(&pictures, REFERENCE_VIEW)?;
                Ok(pictures)
            };
            let (quality, made) = self.compare(subject, made)?;
            (worst, is_new) = (Some(quality), made);
        }
        let tiled = self.scenario.tilings.encode.is_some();
        if self.workload.has(Stage::Encode) && (tiled || worst.is_none()) {
            let picture = self.picture();
            let made = |plain| self.encoded(&picture, plain);
            let (quality, made) = self.compare(self.encode_subject(&picture)?, made)?;
            let is_worse = worst.is_none_or(|worst| quality.worst_db() < worst.worst_db());
            worst = if is_worse { Some(quality) } else { worst };
            is_new |= made;
        }
        Ok(worst.map(|worst| (worst, is_new)))
    }

    /// Writes the first frame of `pictures` for people to look at.
    fn show(&self, pictures: &Tensor, name: &str) -> Result<()> {
        let frame = pictures.narrow(0, 0, 1).narrow(2, 0, 1).to_kind(Kind::Float);
        let planes = Vec::try_from(&frame.contiguous().view(-1)).context("a picture's values")?;
        let [height, width] = [3, 4].map(|axis| pictures.size()[axis] as u32);
        let png = Frames { per_clip: 1, width, height, planes }.png(0)?;
        let path = self.folder.join(name);
        std::fs::write(&path, png).with_context(|| path.display().to_string())
    }

    fn compare(
        &self,
        subject: Subject,
        make: impl FnOnce(bool) -> Result<Tensor>,
    ) -> Result<(Quality, bool)> {
        let Subject { file, candidate, seams, range } = subject;
        let path = self.folder.join(file);
        let is_missing = !path.exists();
        if is_missing {
            let reference = self.plainly(|| make(true))?;
            keep(&reference, &path).with_context(|| path.display().to_string())?;
        }
        let kept = Tensor::read_safetensors(&path).with_context(|| path.display().to_string())?;
        let (_, reference) = kept.into_iter().next().context("the reference is empty")?;
        let span = || (reference.max() - reference.min()).double_value(&[]);
        let range = range.unwrap_or_else(span);
        let quality = quality::compare(&candidate, &reference, range, seams.as_ref())?;
        Ok((quality, is_missing))
    }

    /// Runs `work` under float32's own products, whatever the candidate's are.
    fn plainly<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        native::set_float32_matmul_precision(MatmulPrecision::Highest);
        let result = work();
        native::set_float32_matmul_precision(self.numerics.matmul_precision);
        result
    }

    fn decode_subject(&self, latent: &Tensor) -> Result<Subject> {
        let candidate = self.decoded(latent, false)?;
        let tiling = self.scenario.tilings.decode;
        let vae = &self.scenario.architecture.vae;
        let grid = tiling.map(|tiling| tiling.decoding(vae)).transpose()?;
        let size = candidate.size();
        let seams = grid.map(|grid| seams(&grid, [size[3], size[4]], vae.patch()));
        let file = name("decoded", &size);
        Ok(Subject { file, candidate, seams, range: Some(PICTURE_RANGE) })
    }

    fn encode_subject(&self, picture: &Tensor) -> Result<Subject> {
        let candidate = self.encoded(picture, false)?;
        let tiling = self.scenario.tilings.encode;
        let grid =
            tiling.map(|tiling| tiling.encoding(&self.scenario.architecture.vae)).transpose()?;
        let size = candidate.size();
        let seams = grid.map(|grid| seams(&grid, [size[3], size[4]], 1));
        Ok(Subject { file: name("encoded", &size), candidate, seams, range: None })
    }

    /// The latent's pictures; plainly as [`Comparison::made`] says.
    fn decoded(&self, latent: &Tensor, plain: bool) -> Result<Tensor> {
        let own = self.scenario.parts.decoder.as_ref().context("the job has no decoder")?;
        let run = |decoder: &Decoder, tiling: Option<&Tiling>| {
            self.scenario.pictures(decoder, latent, tiling)
        };
        self.made(plain, (own, Decoder::new), self.scenario.tilings.decode.as_ref(), run)
    }

    /// The picture's latents; plainly as [`Comparison::made`] says.
    fn encoded(&self, picture: &Tensor, plain: bool) -> Result<Tensor> {
        let own = self.scenario.parts.encoder.as_ref().context("the job has no encoder")?;
        let run = |encoder: &Encoder, tiling: Option<&Tiling>| {
            self.scenario.latents(encoder, picture, tiling)
        };
        self.made(plain, (own, Encoder::new), self.scenario.tilings.encode.as_ref(), run)
    }

    /// What a half of the VAE makes: the trial's own, or plainly: whole, in float32, by libtorch's
    /// own choice of kernels.
    fn made<H>(
        &self,
        plain: bool,
        (own, build): (&H, BuildHalf<H>),
        tiling: Option<&Tiling>,
        run: impl Fn(&H, Option<&Tiling>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if !plain {
            return run(own, tiling);
        }
        if self.numerics == Numerics::default() {
            return run(own, None);
        }
        let architecture = &self.scenario.architecture;
        let (half, _) = parts::half(build, architecture, Numerics::default(), self.origin)?;
        run(&half, None)
    }

    /// Normal noise; of the whole window where it is decoded in tiles.
    fn latent(&self) -> Tensor {
        let architecture = &self.scenario.architecture;
        let [frames, height, width] = self.workload.window(architecture);
        let most = match self.scenario.tilings.decode {
            Some(_) => i64::MAX,
            None => (SIDE / architecture.vae.ratio()).max(1),
        };
        tch::manual_seed(self.seed as i64);
        let size = [1, architecture.vae.z_dim, frames.min(2), height.min(most), width.min(most)];
        Tensor::randn(size, (Kind::Float, Device::Cpu))
    }

    /// Soft colours with an edge here and there, `[1, 3, 1, rows, columns]`.
    fn picture(&self) -> Tensor {
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
}

fn name(what: &str, size: &[i64]) -> String {
    format!("reference-{what}-{}x{}x{}.safetensors", size[2], size[3], size[4])
}

/// Writes it whole or not at all: the next trial must not read half of it.
fn keep(tensor: &Tensor, path: &Path) -> Result<()> {
    let part = path.with_extension("part");
    Tensor::write_safetensors(&[("reference", tensor)], &part)?;
    Ok(std::fs::rename(part, path)?)
}

/// Where `grid` blends, in a picture of `[rows, columns]` whose pixels are `patch` of the grid's.
fn seams(grid: &Grid, size: [i64; 2], patch: i64) -> Seams {
    let flags = |axis: usize| {
        let (crop, blend) = (grid.crop[axis] * patch, grid.blend[axis] * patch);
        let is_blended = |place: i64| place >= crop && place % crop < blend;
        (0..size[axis]).map(is_blended).collect()
    };
    Seams { rows: flags(0), columns: flags(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wan22_tune::architecture::VaeConfig;

    #[test]
    fn seams_are_where_the_reference_blends() {
        // Tiles of 32 pixels every 16: the first 16 of each but the first are blended.
        let grid = Tiling::square(32, 16).decoding(&VaeConfig::wan22()).unwrap();
        let seams = seams(&grid, [64, 48], 2);
        assert_eq!(seams.rows.iter().filter(|blended| **blended).count(), 48);
        assert!(!seams.rows[15] && seams.rows[16] && seams.columns[47]);
        let grid = Tiling::square(64, 48).decoding(&VaeConfig::wan22()).unwrap();
        let rows = super::seams(&grid, [128, 128], 2).rows;
        let blended: Vec<usize> = (0..128).filter(|&row| rows[row]).collect();
        assert_eq!(blended, (48..64).chain(96..112).collect::<Vec<_>>());
    }
}
