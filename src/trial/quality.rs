//! Quality: how alike a trial's picture and the reference's are.

use serde::{Deserialize, Serialize};

/// How alike a trial's picture and the reference's are: the same latent decoded whole in float32
/// (or the same picture encoded), once per tune.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB, at most [`Quality::EQUAL_DB`], which equal pictures have.
    pub psnr_db: f64,
    /// Mean structural similarity, 1 for equal ones (Wang et al., "Image Quality Assessment: From
    /// Error Visibility to Structural Similarity", 2004), of each colour by itself.
    pub ssim: f64,
    /// The ratio where tiles were blended; `None` without tiles.
    pub seam_psnr_db: Option<f64>,
    /// Mean structural similarity there.
    #[serde(default)]
    pub seam_ssim: Option<f64>,
    /// Of the transformer's first velocity, at fixed noise: its power by that of the difference
    /// from float32's, in dB; `None` where the job does not denoise.
    #[serde(default)]
    pub prediction_db: Option<f64>,
    /// The same of the text encoder's output for fixed tokens; `None` where the job has none.
    #[serde(default)]
    pub embedding_db: Option<f64>,
}

impl Quality {
    /// The ratio of equal pictures, which has no other bound.
    pub const EQUAL_DB: f64 = 200.0;

    /// The lowest of the ratios.
    pub fn worst_db(&self) -> f64 {
        let others = [self.seam_psnr_db, self.prediction_db, self.embedding_db];
        others.into_iter().flatten().fold(self.psnr_db, f64::min)
    }
}
