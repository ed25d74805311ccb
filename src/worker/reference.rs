//! The reference: fixed noise decoded, a fixed picture and a fixed prompt encoded and a first velocity
//! predicted, whole and in float32.
//!
//! Made once per tune, by the first trial that misses it, and kept in files for the others. A trial
//! that computes so itself has made it already, in its warm-up.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Kind, Tensor};
use wan22_tune::architecture::{Grid, Tiling};
use wan22_tune::knobs::{MatmulPrecision, Numerics};
use wan22_tune::runner::protocol::{
    DECODED, EMBEDDED, ENCODED, PREDICTED, REFERENCE_VIEW, TRIAL_VIEW, reference,
};
use wan22_tune::trial::Quality;
use wan22_tune::workload::preprocess::Frames;
use wan22_tune::workload::{Stage, Workload};

use crate::models::vae::{Decoder, Encoder};
use crate::native;
use crate::parts::{BuildSpec, Experts, Origin};
use crate::pipeline::{Pipeline, WarmUp, as_video};
use crate::quality::{self, Seams};

/// What is compared, and with what it is made.
pub struct ReferenceCheck<'a> {
    pub pipeline: &'a Pipeline,
    pub workload: &'a Workload,
    pub numerics: Numerics,
    pub origin: Origin<'a>,
    /// Where references are kept.
    pub folder: &'a Path,
}

/// One thing that is made twice.
struct ComparedTensor<'a> {
    what: &'static str,
    candidate: &'a Tensor,
    /// Whether the candidate's own models compute as the reference's do.
    is_plain: bool,
    tiling: Option<Tiling>,
    seams: Option<Seams>,
    /// What a reference's values span, against which the noise is measured.
    range: fn(&Tensor) -> f64,
}

/// What has been compared so far.
#[derive(Default)]
struct Differences {
    /// The worst quality of the pictures.
    worst: Option<Quality>,
    prediction_db: Option<f64>,
    embedding_db: Option<f64>,
    is_new: bool,
}

impl<'a> ComparedTensor<'a> {
    /// Numbers that are not a picture: their noise is measured against their power.
    fn of_numbers(what: &'static str, candidate: &'a Tensor, is_plain: bool) -> Self {
        Self { what, candidate, is_plain, tiling: None, seams: None, range: root_mean_square }
    }
}

impl ReferenceCheck<'_> {
    /// The worst of what was compared, and whether a reference had to be made; `None` for a job
    /// without models.
    ///
    /// # Errors
    /// The models' own; a reference that can't be written or read.
    pub fn run(&self, warmed_up: &WarmUp) -> Result<Option<(Quality, bool)>> {
        let _guard = tch::no_grad_guard();
        let mut findings = Differences::default();
        if let Some(candidate) = &warmed_up.decoded {
            self.show(candidate, TRIAL_VIEW)?;
            let subject = self.decoded(candidate)?;
            findings.add(self.compare(&subject, || self.decode())?);
        }
        if let Some(candidate) = &warmed_up.encoded {
            let subject = self.encoded(candidate)?;
            findings.add(self.compare(&subject, || self.encode())?);
        }
        if let Some(candidate) = &warmed_up.predicted {
            let subject =
                ComparedTensor::of_numbers(PREDICTED, candidate, self.numerics.is_plain());
            findings.prediction_db = findings.ratio(self.compare(&subject, || self.predict())?);
        }
        if let Some(candidate) = &warmed_up.embedded {
            let subject = ComparedTensor::of_numbers(EMBEDDED, candidate, self.numerics.is_plain());
            findings.embedding_db = findings.ratio(self.compare(&subject, || self.embed())?);
        }
        Ok(findings.quality().map(|quality| (quality, findings.is_new)))
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

    /// The quality of a subject, and whether its reference had to be made.
    fn compare(
        &self,
        subject: &ComparedTensor<'_>,
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<(Quality, bool)> {
        let path = self.folder.join(reference(subject.what, self.workload));
        let is_missing = !path.exists();
        if is_missing {
            let is_plain = subject.is_plain && subject.tiling.is_none();
            let made = if is_plain { subject.candidate.copy() } else { self.plainly(make)? };
            keep(&made, &path).with_context(|| path.display().to_string())?;
        }
        let kept = Tensor::read_safetensors(&path).with_context(|| path.display().to_string())?;
        let (_, reference) = kept.into_iter().next().context("the reference is empty")?;
        if is_missing && self.workload.has(Stage::Decode) && subject.what == DECODED {
            self.show(&reference, REFERENCE_VIEW)?;
        }
        let range = (subject.range)(&reference);
        let seams = subject.seams.as_ref();
        Ok((quality::compare(subject.candidate, &reference, range, seams)?, is_missing))
    }

    /// Runs `work` under float32's own products, whatever the candidate's are.
    fn plainly<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        native::set_float32_matmul_precision(MatmulPrecision::Highest);
        let result = work();
        native::set_float32_matmul_precision(self.numerics.matmul_precision);
        result
    }

    fn decoded<'a>(&self, candidate: &'a Tensor) -> Result<ComparedTensor<'a>> {
        let tiling = self.pipeline.tilings.decode;
        let vae = &self.pipeline.architecture.vae;
        let grid = tiling.map(|tiling| tiling.decoding(vae)).transpose()?;
        let seams = grid.map(|grid| seams(&grid, candidate, vae.patch()));
        let is_plain = self.numerics.vae_is_plain();
        Ok(ComparedTensor {
            what: DECODED,
            candidate,
            is_plain,
            tiling,
            seams,
            range: |_| PICTURE_RANGE,
        })
    }

    fn encoded<'a>(&self, candidate: &'a Tensor) -> Result<ComparedTensor<'a>> {
        let tiling = self.pipeline.tilings.encode;
        let vae = &self.pipeline.architecture.vae;
        let grid = tiling.map(|tiling| tiling.encoding(vae)).transpose()?;
        let seams = grid.map(|grid| seams(&grid, candidate, 1));
        let range = |reference: &Tensor| (reference.max() - reference.min()).double_value(&[]);
        let is_plain = self.numerics.vae_is_plain();
        Ok(ComparedTensor { what: ENCODED, candidate, is_plain, tiling, seams, range })
    }

    /// The pictures of the first clip's noise.
    fn decode(&self) -> Result<Tensor> {
        let sample = self.pipeline.sample();
        match self.pipeline.parts.decoder.as_ref().filter(|_| self.numerics.vae_is_plain()) {
            Some(own) => self.pipeline.video(own, &sample, None),
            None => self.pipeline.video(&self.plain().half(Decoder::new)?.0, &sample, None),
        }
    }

    /// The latents of the fixed picture.
    fn encode(&self) -> Result<Tensor> {
        let picture = self.pipeline.picture();
        match self.pipeline.parts.encoder.as_ref().filter(|_| self.numerics.vae_is_plain()) {
            Some(own) => self.pipeline.latents(own, &picture, None),
            None => self.pipeline.latents(&self.plain().half(Encoder::new)?.0, &picture, None),
        }
    }

    /// The experts' first velocities at the first clip's noise.
    fn predict(&self) -> Result<Tensor> {
        let mut experts = Experts::default();
        let met = self.pipeline.architecture.sampling.experts(self.workload.sizes.steps);
        for (number, _) in met {
            experts[number] = Some(self.plain().expert(number)?.0);
        }
        Ok(self.pipeline.predict(&experts, &self.pipeline.noise(0..1))?.flatten(0, 1))
    }

    /// The embeddings of the fixed prompt.
    fn embed(&self) -> Result<Tensor> {
        let (encoder, _) = self.plain().text_encoder()?;
        Ok(as_video(&self.pipeline.embeddings(&encoder, &self.pipeline.tokens(&encoder))?))
    }

    /// Models in float32, with libtorch's own choice of kernels.
    fn plain(&self) -> BuildSpec<'_> {
        BuildSpec {
            architecture: &self.pipeline.architecture,
            workload: self.workload,
            numerics: Numerics::default(),
            origin: self.origin,
        }
    }
}

impl Differences {
    fn add(&mut self, (quality, is_new): (Quality, bool)) {
        let is_worse = self.worst.is_none_or(|worst| quality.worst_db() < worst.worst_db());
        if is_worse {
            self.worst = Some(quality);
        }
        self.is_new |= is_new;
    }

    /// The ratio of what is not a picture.
    fn ratio(&mut self, (quality, is_new): (Quality, bool)) -> Option<f64> {
        self.is_new |= is_new;
        Some(quality.psnr_db)
    }

    /// The worst picture, and what stands beside it; where there is none, nothing is wrong with it.
    fn quality(&self) -> Option<Quality> {
        let Self { worst, prediction_db, embedding_db, .. } = *self;
        let none = Quality { psnr_db: Quality::EQUAL_DB, ssim: 1.0, ..Quality::default() };
        let worst = worst.or_else(|| prediction_db.or(embedding_db).map(|_| none));
        worst.map(|worst| Quality { prediction_db, embedding_db, ..worst })
    }
}

/// Values of a picture go from -1 to 1.
const PICTURE_RANGE: f64 = 2.0;

fn root_mean_square(values: &Tensor) -> f64 {
    values.to_kind(Kind::Double).square().mean(Kind::Double).sqrt().double_value(&[])
}

/// Writes it whole or not at all: the next trial must not read half of it.
fn keep(tensor: &Tensor, path: &Path) -> Result<()> {
    let part = path.with_extension("part");
    Tensor::write_safetensors(&[("reference", tensor)], &part)?;
    Ok(std::fs::rename(part, path)?)
}

/// Where `grid` blends, in pictures whose pixels are `patch` of the grid's.
fn seams(grid: &Grid, pictures: &Tensor, patch: i64) -> Seams {
    let size = pictures.size();
    let flags = |axis: usize| {
        let (crop, blend) = (grid.crop[axis] * patch, grid.blend[axis] * patch);
        let is_blended = |place: i64| place >= crop && place % crop < blend;
        (0..size[3 + axis]).map(is_blended).collect()
    };
    Seams { rows: flags(0), columns: flags(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use wan22_tune::architecture::VaeConfig;

    fn pictures(rows: i64, columns: i64) -> Tensor {
        Tensor::zeros([1, 3, 1, rows, columns], (Kind::Float, Device::Cpu))
    }

    /// Text and denoising alone make nothing to look at with which anything could be wrong.
    #[test]
    fn numbers_stand_beside_the_worst_picture() {
        let of = |psnr_db| (Quality { psnr_db, ..Quality::default() }, false);
        let mut findings = Differences::default();
        assert_eq!(findings.quality(), None);
        findings.prediction_db = findings.ratio(of(45.0));
        let numbers = findings.quality().unwrap();
        assert_eq!((numbers.psnr_db, numbers.worst_db()), (Quality::EQUAL_DB, 45.0));
        findings.add(of(70.0));
        findings.add(of(60.0));
        let both = findings.quality().unwrap();
        assert_eq!((both.psnr_db, both.prediction_db, both.worst_db()), (60.0, Some(45.0), 45.0));
    }

    #[test]
    fn seams_are_where_the_reference_blends() {
        // Tiles of 32 pixels every 16: the first 16 of each but the first are blended.
        let grid = Tiling::square(32, 16).decoding(&VaeConfig::wan22()).unwrap();
        let seams = seams(&grid, &pictures(64, 48), 2);
        assert_eq!(seams.rows.iter().filter(|blended| **blended).count(), 48);
        assert!(!seams.rows[15] && seams.rows[16] && seams.columns[47]);
        let grid = Tiling::square(64, 48).decoding(&VaeConfig::wan22()).unwrap();
        let rows = super::seams(&grid, &pictures(128, 128), 2).rows;
        let blended: Vec<usize> = (0..128).filter(|&row| rows[row]).collect();
        assert_eq!(blended, (48..64).chain(96..112).collect::<Vec<_>>());
    }
}
