//! How far a candidate's picture is from the reference's.
//!
//! Tiles and precision change the picture, and a fast ugly one must not win.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};
use wan22_tune::trial::Quality;
use wan22_tune::trial::similarity::{Plane, mean, psnr_db};

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
    let [rows, columns] = [3, 4].map(|axis| size[axis] as usize);
    let (x, y) = (values(candidate)?, values(reference)?);
    let (mut squares, mut similarity, mut inner) = (Vec::new(), Vec::new(), [rows, columns]);
    let planes = |values| <[f32]>::chunks_exact(values, rows * columns);
    for (x, y) in planes(&x).zip(planes(&y)) {
        let [x, y] = [x, y].map(|values| Plane { values, width: columns });
        squares.extend(x.squares(y));
        let (around, width) = x.similarity(y, range);
        inner = [around.len() / width, width];
        similarity.extend(around);
    }
    let seam_square = seams.map(|seams| seams.mean(&squares, [rows, columns]));
    Ok(Quality {
        psnr_db: psnr_db(mean(&squares), range),
        ssim: mean(&similarity),
        seam_psnr_db: seam_square.map(|square| psnr_db(square, range)),
        seam_ssim: seams.map(|seams| seams.mean(&similarity, inner)),
        ..Quality::default()
    })
}

fn values(video: &Tensor) -> Result<Vec<f32>> {
    let values = video.to_kind(Kind::Float).contiguous().view(-1);
    Vec::try_from(&values).context("a picture's values")
}

/// Rows and columns in which a tile was blended with the one before.
pub struct Seams {
    pub rows: Vec<bool>,
    pub columns: Vec<bool>,
}

impl Seams {
    /// Mean over the seams of the values of planes of this many rows and columns; values of the
    /// middle only where windows around each pixel leave out a margin.
    fn mean(&self, values: &[f32], [rows, columns]: [usize; 2]) -> f64 {
        let line = |flags: &'_ [bool], count: usize| {
            let margin = flags.len() - count;
            flags[margin / 2..][..count].to_vec()
        };
        let (row_flags, column_flags) = (line(&self.rows, rows), line(&self.columns, columns));
        let is_seam =
            |pixel: usize| row_flags[pixel / columns % rows] || column_flags[pixel % columns];
        let seam = values.iter().enumerate().filter(|(pixel, _)| is_seam(*pixel));
        mean(&seam.map(|(_, value)| *value).collect::<Vec<_>>())
    }
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
        assert!(compare(&video(0.3).narrow(2, 0, 1), &video(0.3), 2.0, None).is_err());
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
