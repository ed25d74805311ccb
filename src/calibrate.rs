//! Calibration: how much of the real job one repetition does on this machine.

use crate::workload::Workload;

/// What a repetition should take under the baseline.
pub const TARGET_S: f64 = 2.5;

/// What a real TI2V-5B job is: 1280 x 704 pixels, 121 frames, 30 layers, 50 steps.
pub const FULL: Sizes = (1280, 704, 121, 30, 50);

/// Width, height, frames, layers, steps.
pub type Sizes = (u32, u32, u32, u32, u32);

/// From the smallest to the whole job; each a few times the one before.
const LADDER: [Sizes; 10] = [
    (64, 64, 1, 1, 1),
    (96, 96, 1, 1, 1),
    (128, 128, 1, 1, 2),
    (192, 192, 1, 1, 2),
    (256, 256, 1, 1, 2),
    (256, 256, 5, 1, 4),
    (448, 256, 9, 2, 4),
    (832, 480, 9, 2, 4),
    (1280, 704, 17, 2, 4),
    FULL,
];

/// Clips a repetition: every batch size of the default space divides it.
const CLIPS: u32 = 4;

/// The rung of the ladder with this number.
pub fn rung(number: usize) -> Workload {
    let (width, height, frames, layers, steps) = LADDER[number.min(LADDER.len() - 1)];
    Workload {
        name: "i2v".to_owned(),
        clips: CLIPS,
        width,
        height,
        frames,
        layers,
        steps,
        text_layers: 0,
    }
}

/// The largest rung that should take no more than [`TARGET_S`], when the smallest took
/// `smallest_s` seconds a repetition.
pub fn fit(smallest_s: f64) -> Workload {
    let smallest = gigaflop(&rung(0));
    let fits = |number: &usize| smallest_s * gigaflop(&rung(*number)) / smallest <= TARGET_S;
    rung((0..LADDER.len()).rev().find(fits).unwrap_or(0))
}

/// Work of one clip's models, in 10^9 floating-point operations, from the matrix products and
/// convolutions of TI2V-5B (transformer width 3072, FFN 14336) and of the VAE, whose decoder
/// takes 5.8 for each latent pixel of the first latent frame and 18.9 in later ones.
///
/// A forward over few tokens still reads every weight: it counts as 64 tokens.
pub fn gigaflop(workload: &Workload) -> f64 {
    let latent_frames = f64::from((workload.frames - 1) / 4 + 1);
    let pixels = f64::from(workload.width / 16) * f64::from(workload.height / 16);
    let tokens = (latent_frames * pixels / 4.0).max(64.0);
    let (d, ffn, text) = (3072.0, 14336.0, 512.0);
    let products = 12.0 * d * d * tokens + 4.0 * d * d * text + 4.0 * d * ffn * tokens;
    let attention = 4.0 * tokens * d * (tokens + text);
    let forwards = f64::from(2 * workload.steps * workload.layers);
    let denoise = forwards * (products + attention) / 1e9;
    let decode = pixels * (5.8 + 18.9 * (latent_frames - 1.0));
    let encode = pixels * 1.2;
    denoise + decode + encode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_rises() {
        let work: Vec<f64> = (0..LADDER.len()).map(|n| gigaflop(&rung(n))).collect();
        assert!(work.windows(2).all(|pair| pair[0] < pair[1]), "{work:?}");
    }

    #[test]
    fn a_slow_machine_stays_on_the_first_rung_and_a_fast_one_climbs() {
        assert_eq!(fit(10.0), rung(0));
        assert!(gigaflop(&fit(0.05)) > 10.0 * gigaflop(&rung(0)));
    }

    /// One block over 512 tokens takes 172 GFLOP (measured by counting products).
    #[test]
    fn a_blocks_work_is_what_was_counted() {
        let base = rung(0);
        let one = Workload { width: 512, height: 512, frames: 5, layers: 1, steps: 1, ..base };
        let none = Workload { steps: 0, ..one.clone() };
        let block = (gigaflop(&one) - gigaflop(&none)) / 2.0;
        assert!((block - 172.0).abs() < 5.0, "{block}");
    }
}
