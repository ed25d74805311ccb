//! Similarity: how far one plane of values (a colour of a frame, a channel of a latent) is from another.

use super::Quality;

/// Side of SSIM's window and deviation of its weights, as its authors chose them.
const WINDOW: (usize, f64) = (11, 1.5);

/// Values row by row.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// As many as rows times columns.
    pub values: &'a [f32],
    /// Columns.
    pub width: usize,
}

/// Peak signal-to-noise ratio of a mean squared difference of values that span `range`, in dB.
pub fn psnr_db(mean_square: f64, range: f64) -> f64 {
    (10.0 * (range * range / mean_square).log10()).min(Quality::EQUAL_DB)
}

/// The mean; 0 of nothing.
pub fn mean(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64
}

impl Plane<'_> {
    /// Squared differences, pixel by pixel.
    pub fn squares(self, other: Plane<'_>) -> Vec<f32> {
        self.with(other, |x, y| (x - y) * (x - y))
    }

    /// Structural similarity around each pixel that has a whole window around it, row by row, and how
    /// many columns it has. Small planes get a small window.
    pub fn similarity(self, other: Plane<'_>, range: f64) -> (Vec<f32>, usize) {
        let height = self.values.len() / self.width;
        let window = window(self.width.min(height));
        let local = |values: &[f32]| local(values, self.width, &window);
        let (mean_x, mean_y) = (local(self.values), local(other.values));
        let square_x = local(&self.with(self, |x, y| x * y));
        let square_y = local(&other.with(other, |x, y| x * y));
        let product = local(&self.with(other, |x, y| x * y));
        let [c1, c2] = [0.01 * range, 0.03 * range].map(|c| (c * c) as f32);
        let at = |pixel: usize| {
            let (x, y) = (mean_x[pixel], mean_y[pixel]);
            let variances = square_x[pixel] - x * x + square_y[pixel] - y * y;
            let over = (2.0 * x * y + c1) * (2.0 * (product[pixel] - x * y) + c2);
            over / ((x * x + y * y + c1) * (variances + c2))
        };
        ((0..mean_x.len()).map(at).collect(), self.width - window.len() + 1)
    }

    fn with(self, other: Plane<'_>, of: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        self.values.iter().zip(other.values).map(|(x, y)| of(*x, *y)).collect()
    }
}

/// Gaussian weights that sum to 1, of one axis.
fn window(shortest: usize) -> Vec<f32> {
    let (side, deviation) = WINDOW;
    let side = side.min(shortest);
    let place = |i: usize| (i as f64 - (side - 1) as f64 / 2.0) / deviation;
    let weights: Vec<f64> = (0..side).map(|i| (-0.5 * place(i) * place(i)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// Weighted means over windows, first along rows, then along columns.
fn local(values: &[f32], width: usize, window: &[f32]) -> Vec<f32> {
    let columns = width - window.len() + 1;
    let mut along_rows = vec![0.0; values.len() / width * columns];
    for (sums, row) in along_rows.chunks_exact_mut(columns).zip(values.chunks_exact(width)) {
        add(sums, row, 1, window);
    }
    let rows = values.len() / width - window.len() + 1;
    let mut means = vec![0.0; rows * columns];
    add(&mut means, &along_rows, columns, window);
    means
}

/// Adds values, each `step` further on for the next weight.
fn add(sums: &mut [f32], values: &[f32], step: usize, weights: &[f32]) {
    for (number, weight) in weights.iter().enumerate() {
        for (sum, value) in sums.iter_mut().zip(&values[number * step..]) {
            *sum += weight * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 16;

    fn plane(values: &[f32]) -> Plane<'_> {
        Plane { values, width: WIDTH }
    }

    #[test]
    fn a_flat_difference_is_as_the_formulas_say() {
        let (light, dark) = ([0.5; 12 * WIDTH], [0.3; 12 * WIDTH]);
        let squares = plane(&light).squares(plane(&dark));
        // 10 log10(2² / 0.2²) = 20 dB; no variance leaves (2·0.5·0.3 + c1) / (0.5² + 0.3² + c1)
        // with c1 = 0.02².
        assert!((psnr_db(mean(&squares), 2.0) - 20.0).abs() < 1e-3);
        let (similarity, columns) = plane(&light).similarity(plane(&dark), 2.0);
        assert_eq!((similarity.len(), columns), (2 * 6, 6));
        assert!((mean(&similarity) - 0.3004 / 0.3404).abs() < 1e-4);
        let (equal, _) = plane(&light).similarity(plane(&light), 2.0);
        assert!((mean(&equal) - 1.0).abs() < 1e-5);
        assert_eq!(psnr_db(0.0, 2.0), Quality::EQUAL_DB);
    }

    #[test]
    fn opposite_structure_is_negative() {
        let stripes = |first: f32, second: f32| -> Vec<f32> {
            (0..12 * WIDTH).map(|i| if i % 2 == 0 { first } else { second }).collect()
        };
        let (one, other) = (stripes(0.0, 1.0), stripes(1.0, 0.0));
        let (similarity, _) = plane(&one).similarity(plane(&other), 1.0);
        assert!(similarity.iter().all(|value| *value < -0.9), "{similarity:?}");
    }

    /// Windows of 11 rows leave 2 of 12. The spoilt row 5 is the middle of the first, whose weight is
    /// w = exp(0) / sum(exp(-i²/4.5)) = 0.26601, and one off the middle of the second with w =
    /// 0.21301. So the means are 0.3 and 0.3 + 0.2 w, the variance of the spoilt one 0.2² w (1 - w).
    #[test]
    fn a_fault_in_a_row_is_seen_around_it() {
        let whole = [0.3; 12 * WIDTH];
        let mut spoilt = whole;
        spoilt[5 * WIDTH..6 * WIDTH].fill(0.5);
        let (similarity, columns) = plane(&spoilt).similarity(plane(&whole), 2.0);
        for (row, w) in [(0, 0.26601), (1, 0.21301)] {
            let (c1, c2) = (0.0004, 0.0036);
            let (mean, variance) = (0.3 + 0.2 * w, 0.04 * w * (1.0 - w));
            let brightness = (2.0 * 0.3 * mean + c1) / (0.09 + mean * mean + c1);
            let expected = brightness * c2 / (variance + c2);
            let found = f64::from(similarity[row * columns]);
            assert!((found - expected).abs() < 1e-4, "{row}: {found} {expected}");
        }
    }
}
