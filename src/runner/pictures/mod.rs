//! Pictures of the user's own job: what a run made, beside what the baseline made at the same seed.

mod avi;
mod decode;
mod files;
mod reference;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};

use super::protocol::{self, TRIAL_REFERENCE_VIEW, TRIAL_VIEW};
use super::response::Response;
use crate::knobs::{Value, Values};
use crate::trial::{Outcome, Quality};
use crate::workload::Workload;
use crate::workload::custom::pictures::PictureJob;
pub use decode::{NO_FFMPEG, reads_videos};
pub use files::FilesBefore;
use reference::{FrameComparison, Recording, WorstFrame};

/// How the detail of a trial begins whose picture is the baseline's although it should not be.
const SAME: &str = "the picture is the baseline's, though";

/// Two clips of the same seed and settings are at least this much alike.
const SAME_SEED_DB: f64 = 20.0;

/// Pixels of the longer side of what is shown to people.
const VIEW_SIDE: u32 = 1024;

/// What the pictures of one trial are held to.
pub struct PictureCheck<'a> {
    /// Which pictures there are.
    pub job: &'a PictureJob,
    /// Where the job runs.
    pub folder: &'a Path,
    /// Where the baseline's pictures are kept.
    pub scratch: PathBuf,
    /// What is run.
    pub workload: &'a Workload,
    /// The candidate.
    pub values: &'a Values,
    /// The baseline.
    pub baseline: Values,
    /// The worst picture that it may make, dB.
    pub least_db: f64,
}

impl PictureCheck<'_> {
    /// The files that are there before a run; `None` where a worker hands its frames over.
    pub fn before(&self) -> Option<Result<FilesBefore<'_>, String>> {
        self.job.files.as_deref().map(|files| FilesBefore::now(files, self.folder))
    }

    /// Whether the baseline has to run before anything can be compared.
    pub fn lacks_reference(&self) -> bool {
        !self.reference().exists()
    }

    /// Whether the candidate is the baseline.
    pub fn is_of_baseline(&self) -> bool {
        *self.values == self.baseline
    }

    /// Whether another picture than the baseline's may come out.
    pub fn may_differ(&self) -> bool {
        !self.changed(|knob| self.job.may_change(knob)).is_empty()
    }

    /// Compares the `files` of a run, and fails the answer whose pictures are none or too bad.
    pub fn judge(&self, files: Result<Vec<PathBuf>, String>, answer: &mut Response) {
        let worst = match files.and_then(|files| self.worst(&files)) {
            Ok(worst) => worst,
            Err(problem) => return answer.fail(Outcome::WrongOutput, problem),
        };
        let equal = Quality { psnr_db: Quality::EQUAL_DB, ssim: 1.0, ..Quality::default() };
        let quality = worst.as_ref().map_or(equal, |worst| worst.quality);
        if answer.quality.is_none_or(|before| quality.psnr_db < before.psnr_db) {
            worst.iter().for_each(|worst| self.show(worst));
            answer.quality = Some(quality);
        }
        let frame = worst.map_or(1, |worst| worst.number);
        if let Some((outcome, problem)) = self.verdict(quality.psnr_db) {
            let psnr_db = quality.psnr_db;
            answer.fail(outcome, format!("PSNR {psnr_db:.1} dB in frame {frame} {problem}"));
        } else if quality.psnr_db == Quality::EQUAL_DB && answer.detail.is_empty() {
            let knobs = self.changed(|knob| self.job.is_to_change(knob));
            if !knobs.is_empty() {
                let knobs = knobs.join(", ");
                answer.detail = format!("{SAME} {knobs} changed");
            }
        } else if answer.detail.starts_with(SAME) {
            // Another repetition made another picture.
            answer.detail.clear();
        }
    }

    /// What is wrong with such a picture.
    fn verdict(&self, psnr_db: f64) -> Option<(Outcome, String)> {
        if self.is_of_baseline() {
            let problem = "against the baseline's own picture: nothing can be compared unless the same \
                           run makes the same picture; give the job a fixed seed";
            return (psnr_db < SAME_SEED_DB).then(|| (Outcome::WrongOutput, problem.to_owned()));
        }
        let least_db = self.least_db;
        (psnr_db < least_db).then(|| match self.may_differ() {
            true => {
                (Outcome::PoorQuality, format!("against the baseline's; it takes {least_db:.1}"))
            }
            false => {
                let problem = "against the baseline's although no knob that was set may change it";
                (Outcome::WrongOutput, problem.to_owned())
            }
        })
    }

    /// The worst frame of a run's files; `None` where they are now the reference.
    fn worst(&self, files: &[PathBuf]) -> Result<Option<WorstFrame>, String> {
        let path = self.reference();
        if path.exists() {
            let mut comparison = FrameComparison::open(&path)?;
            for file in files {
                decode::frames(file, &mut |frame| comparison.take(frame))?;
            }
            return comparison.end().map(Some);
        }
        let part = path.with_extension("part");
        let (mut recording, mut count) = (Recording::begin(&part)?, 0);
        for file in files {
            decode::frames(file, &mut |frame| {
                count += 1;
                recording.take(&frame)
            })?;
        }
        recording.end()?;
        if count == 0 {
            return Err("it made no frame at all".to_owned());
        }
        fs::rename(part, path)
            .map_err(|error| format!("keeping the baseline's pictures: {error}"))?;
        Ok(None)
    }

    fn reference(&self) -> PathBuf {
        self.scratch.join(protocol::reference("output", self.workload)).with_extension("rgb")
    }

    /// The knobs of a kind that are not as in the baseline.
    fn changed(&self, is_of_kind: impl Fn(&str) -> bool) -> Vec<&str> {
        let differs = |(name, value): &(&String, &Value)| self.baseline.get(*name) != Some(*value);
        let names = self.values.iter().filter(differs).map(|(name, _)| name.as_str());
        names.filter(|name| is_of_kind(name)).collect()
    }

    /// Writes the worst frame for people to look at; nothing depends on it.
    fn show(&self, worst: &WorstFrame) {
        for (picture, name) in worst.pair.iter().zip([TRIAL_REFERENCE_VIEW, TRIAL_VIEW]) {
            let (width, height) = picture.dimensions();
            let scale = f64::from(VIEW_SIDE) / f64::from(width.max(height));
            let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
            let path = self.scratch.join(name);
            let _ = match scale < 1.0 {
                true => resize(picture, side(width), side(height), FilterType::Triangle).save(path),
                false => picture.save(path),
            };
        }
    }
}
