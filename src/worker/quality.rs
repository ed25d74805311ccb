//! How far a candidate's picture is from the reference's.
//!
//! Tiles and precision change the picture, and a fast ugly one must not win.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};
use wan22_tune::trial::Quality;

/// Side of SSIM's window and deviation of its weights, as its authors chose them.
const WINDOW: (i64, f64) = (11, 1.5);

/// Compares videos or latents `[clips, channels, frames, rows, columns]`, whose values span `range`;
/// `seams` are the rows and columns of the strips in which tiles were blended.
///
/// # Errors
/// Other shapes, or different ones.
pub fn compare(
    candidate: &Tensor,
    reference: &Tensor,
    range: f64,
    seams: Option<&Seams>,
) -> Result<Quality> {
    let (size, wanted) = (candidate.size(), reference.size());
    ensure!(size == wanted && size.len() == 5, "a picture is {size:?}, the reference {wanted:?}");
    let (x, y) = (planes(candidate), planes(reference));
    let (squares, similarity) = ((&x - &y).square(), similarity(&x, &y, range));
    let mean = |values: &Tensor| values.mean(Kind::Double).double_value(&[]);
    Ok(Quality {
        psnr_db: psnr(mean(&squares), range),
        ssim: mean(&similarity),
        seam_psnr_db: seams.map(|seams| psnr(seams.mean(&squares), range)),
        seam_ssim: seams.map(|seams| seams.mean(&similarity)),
        ..Quality::default()
    })
}

fn psnr(mean_square: f64, range: f64) -> f64 {
    (10.0 * (range * range / mean_square).log10()).min(Quality::EQUAL_DB)
}

/// Rows and columns in which a tile was blended with the one before.
pub struct Seams {
    pub rows: Vec<bool>,
    pub columns: Vec<bool>,
}

impl Seams {
    /// Mean over the seams of the values of pictures, `[pictures, 1, rows, columns]`; values of the
    /// middle only where windows around each pixel leave out a margin.
    fn mean(&self, values: &Tensor) -> f64 {
        let line = |flags: &[bool], count: i64| {
            let flags = Tensor::from_slice(flags);
            let margin = flags.numel() as i64 - count;
            flags.narrow(0, margin / 2, count)
        };
        let size = values.size();
        let (rows, columns) = (line(&self.rows, size[2]), line(&self.columns, size[3]));
        let mask = rows.unsqueeze(1).logical_or(&columns.unsqueeze(0));
        let count = mask.sum(Kind::Double).double_value(&[]).max(1.0);
        let mask = mask.to_kind(Kind::Float).to_device(Device::Cpu);
        let pictures = values.size()[0] as f64;
        (values * mask).sum(Kind::Double).double_value(&[]) / (count * pictures)
    }
}

/// Each colour of each frame as a picture of one channel, `[pictures, 1, height, width]`.
fn planes(video: &Tensor) -> Tensor {
    let size = video.size();
    video.to_kind(Kind::Float).reshape([-1, 1, size[3], size[4]])
}

/// Structural similarity around each pixel that has a whole window around it.
fn similarity(x: &Tensor, y: &Tensor, range: f64) -> Tensor {
    let window = window(x.size()[2].min(x.size()[3]));
    let local =
        |values: &Tensor| values.conv2d(&window, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let (mean_x, mean_y) = (local(x), local(y));
    let variance_x = local(&x.square()) - mean_x.square();
    let variance_y = local(&y.square()) - mean_y.square();
    let covariance = local(&(x * y)) - &mean_x * &mean_y;
    let [c1, c2] = [0.01 * range, 0.03 * range].map(|c| c * c);
    let over = (&mean_x * &mean_y * 2.0 + c1) * (covariance * 2.0 + c2);
    let under = (mean_x.square() + mean_y.square() + c1) * (variance_x + variance_y + c2);
    over / under
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
        let equal = compare(&video(0.3), &video(0.3), 2.0, None).unwrap();
        assert_eq!(equal.psnr_db, Quality::EQUAL_DB);
        assert!((equal.ssim - 1.0).abs() < 1e-5, "{equal:?}");
    }

    #[test]
    fn a_flat_difference_is_as_the_formulas_say() {
        let quality = compare(&video(0.5), &video(0.3), 2.0, None).unwrap();
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
        let quality = compare(&(0.5 - &noise), &(0.5 + &noise), 2.0, None).unwrap();
        assert!(quality.ssim < -0.8, "{quality:?}");
        assert!(compare(&noise, &video(0.0), 2.0, None).is_err());
    }

    #[test]
    fn a_fault_at_a_seam_is_seen_there() {
        let spoilt = video(0.3);
        _ = spoilt.narrow(3, 4, 1).fill_(0.5);
        let flags = |at: Option<usize>| (0..16).map(|place| Some(place) == at).collect();
        let seams = Seams { rows: flags(Some(4)), columns: flags(None) };
        let quality = compare(&spoilt, &video(0.3), 2.0, Some(&seams)).unwrap();
        // One row of 16 is off by 0.2: 20 dB there, 10 log10(16) more over the whole.
        assert!((quality.seam_psnr_db.unwrap() - 20.0).abs() < 1e-3, "{quality:?}");
        assert!((quality.psnr_db - 32.0412).abs() < 1e-3, "{quality:?}");
        // Windows of 11 rows leave the middle 6, from row 5 to row 10. Around row 5 the spoilt one
        // has one row's weight of the Gaussian's: w = exp(-1/4.5) / sum(exp(-i²/4.5)) = 0.21301. So
        // the means are 0.3 and 0.3 + 0.2 w, the variance of the spoilt one 0.2² w (1 - w).
        let seams = Seams { rows: flags(Some(5)), columns: flags(None) };
        let quality = compare(&spoilt, &video(0.3), 2.0, Some(&seams)).unwrap();
        let (w, c1, c2) = (0.21301, 0.0004, 0.0036);
        let (mean, variance) = (0.3 + 0.2 * w, 0.04 * w * (1.0 - w));
        let brightness = (2.0 * 0.3 * mean + c1) / (0.09 + mean * mean + c1);
        let expected = brightness * c2 / (variance + c2);
        assert!((quality.seam_ssim.unwrap() - expected).abs() < 1e-4, "{quality:?} {expected}");
        assert!(quality.ssim > expected);
    }
}
