//! Quality: how far a candidate's picture is from the reference's.
//!
//! Tiles and precision change the picture, and a fast ugly one must not win. The reference is the
//! same latent decoded whole in float32.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// From the darkest to the brightest value, -1 to 1.
const RANGE: f64 = 2.0;

/// Side of SSIM's window and deviation of its weights, as its authors chose them.
const WINDOW: (i64, f64) = (11, 1.5);

/// How alike two videos are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB; infinite for equal ones.
    pub psnr_db: f64,
    /// Mean structural similarity, 1 for equal ones (Wang et al., "Image Quality Assessment: From
    /// Error Visibility to Structural Similarity", 2004), of each colour by itself.
    pub ssim: f64,
}

impl Quality {
    /// Compares videos `[clips, 3, frames, height, width]` of values from -1 to 1.
    ///
    /// # Errors
    /// Other shapes, or different ones.
    pub fn of(candidate: &Tensor, reference: &Tensor) -> Result<Self> {
        let (size, wanted) = (candidate.size(), reference.size());
        ensure!(
            size == wanted && size.len() == 5,
            "a picture is {size:?}, the reference {wanted:?}"
        );
        let (x, y) = (planes(candidate), planes(reference));
        let error = (&x - &y).square().mean(Kind::Double).double_value(&[]);
        Ok(Self { psnr_db: 10.0 * (RANGE * RANGE / error).log10(), ssim: ssim(&x, &y) })
    }
}

/// Each colour of each frame as a picture of one channel, `[pictures, 1, height, width]`.
fn planes(video: &Tensor) -> Tensor {
    let size = video.size();
    video.to_kind(Kind::Float).reshape([-1, 1, size[3], size[4]])
}

fn ssim(x: &Tensor, y: &Tensor) -> f64 {
    let window = window(x.size()[2].min(x.size()[3]));
    let local =
        |values: &Tensor| values.conv2d(&window, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let (mean_x, mean_y) = (local(x), local(y));
    let variance_x = local(&x.square()) - mean_x.square();
    let variance_y = local(&y.square()) - mean_y.square();
    let covariance = local(&(x * y)) - &mean_x * &mean_y;
    let [c1, c2] = [0.01 * RANGE, 0.03 * RANGE].map(|c| c * c);
    let over = (&mean_x * &mean_y * 2.0 + c1) * (covariance * 2.0 + c2);
    let under = (mean_x.square() + mean_y.square() + c1) * (variance_x + variance_y + c2);
    (over / under).mean(Kind::Double).double_value(&[])
}

/// Gaussian weights that sum to 1, `[1, 1, side, side]`; small pictures get a small window.
fn window(shortest: i64) -> Tensor {
    let (side, deviation) = WINDOW;
    let side = side.min(shortest);
    let place = |i| (i as f64 - (side - 1) as f64 / 2.0) / deviation;
    let weights: Vec<f32> = (0..side).map(|i| (-0.5 * place(i) * place(i)).exp() as f32).collect();
    let line = Tensor::from_slice(&weights);
    let square = line.outer(&line);
    (&square / square.sum(Kind::Float)).view([1, 1, side, side])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn video(value: f64) -> Tensor {
        Tensor::full([1, 3, 2, 16, 16], value, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn equal_pictures_are_perfect() {
        let equal = Quality::of(&video(0.3), &video(0.3)).unwrap();
        assert_eq!(equal.psnr_db, f64::INFINITY);
        assert!((equal.ssim - 1.0).abs() < 1e-5, "{equal:?}");
    }

    #[test]
    fn a_flat_difference_is_as_the_formulas_say() {
        let quality = Quality::of(&video(0.5), &video(0.3)).unwrap();
        // 10 log10(2² / 0.2²) = 20 dB; no variance leaves (2·0.5·0.3 + c1) / (0.5² + 0.3² + c1)
        // with c1 = 0.02².
        assert!((quality.psnr_db - 20.0).abs() < 1e-3, "{quality:?}");
        assert!((quality.ssim - 0.3004 / 0.3404).abs() < 1e-4, "{quality:?}");
    }

    #[test]
    fn opposite_structure_is_negative() {
        tch::manual_seed(1);
        let noise = Tensor::rand([1, 3, 1, 32, 32], (Kind::Float, Device::Cpu)) - 0.5;
        // Of equal brightness, so that structure alone differs.
        let quality = Quality::of(&(0.5 - &noise), &(0.5 + &noise)).unwrap();
        assert!(quality.ssim < -0.8, "{quality:?}");
        assert!(Quality::of(&noise, &video(0.0)).is_err());
    }
}
