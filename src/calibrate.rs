//! Calibration: how much of the real job one repetition does on this machine.

use crate::workload::Workload;

/// What a repetition should take under the baseline.
pub const TARGET_S: f64 = 2.5;

/// What a real TI2V-5B job is: 1280 x 704 pixels, 121 frames, 30 layers, 50 steps.
const FULL: Sizes = Sizes(8, 1280, 704, 121, 30, 50);

/// Clips, width, height, frames, layers, steps.
#[derive(Clone, Copy, Debug)]
struct Sizes(u32, u32, u32, u32, u32, u32);

/// From the smallest repetition to one of whole jobs; each a few times the one before.
const LADDER: [Sizes; 11] = [
    Sizes(2, 64, 64, 1, 1, 1),
    Sizes(4, 64, 64, 1, 1, 1),
    Sizes(4, 96, 96, 1, 1, 1),
    Sizes(4, 128, 128, 1, 1, 2),
    Sizes(4, 128, 128, 5, 1, 2),
    Sizes(8, 192, 192, 5, 1, 2),
    Sizes(8, 256, 256, 5, 1, 4),
    Sizes(8, 448, 256, 9, 2, 4),
    Sizes(8, 832, 480, 9, 2, 4),
    Sizes(8, 1280, 704, 17, 2, 4),
    FULL,
];

/// How many rungs the ladder has.
pub const RUNGS: usize = LADDER.len();

/// The rung of the ladder with this number, with clips enough for a batch of the baseline's size.
pub fn rung(number: usize, batch: u32) -> Workload {
    let Sizes(clips, width, height, frames, layers, steps) = LADDER[number.min(RUNGS - 1)];
    let clips = clips.max(batch);
    Workload { name: "i2v".to_owned(), clips, width, height, frames, layers, steps, text_layers: 0 }
}

/// The largest rung of which a repetition should take no more than [`TARGET_S`], when a clip of
/// the smallest took `clip_s` seconds.
pub fn fit(clip_s: f64, batch: u32) -> Workload {
    let smallest = gigaflop(&rung(0, batch));
    let seconds =
        |workload: &Workload| f64::from(workload.clips) * clip_s * gigaflop(workload) / smallest;
    let fits = |number: &usize| seconds(&rung(*number, batch)) <= TARGET_S;
    rung((0..RUNGS).rev().find(fits).unwrap_or(0), batch)
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
        let work = |n| f64::from(rung(n, 2).clips) * gigaflop(&rung(n, 2));
        assert!((1..RUNGS).all(|n| work(n - 1) < work(n)));
    }

    #[test]
    fn a_slow_machine_stays_on_the_first_rung_and_a_fast_one_climbs() {
        assert_eq!(fit(10.0, 2), rung(0, 2));
        // 188 GFLOP a clip in 0.05 s is 3.8 TFLOP/s: 9.4 TFLOP in 2.5 s, and the fifth rung has 8.
        assert_eq!(fit(0.05, 2), rung(4, 2));
        assert_eq!(fit(1e-9, 2), rung(RUNGS - 1, 2));
    }

    #[test]
    fn every_rung_holds_a_batch_of_the_baseline() {
        assert!((0..RUNGS).all(|n| rung(n, 4).clips >= 4));
    }

    /// One block over 512 tokens takes 172 GFLOP (measured by counting products).
    #[test]
    fn a_blocks_work_is_what_was_counted() {
        let base = rung(0, 2);
        let one = Workload { width: 512, height: 512, frames: 5, layers: 1, steps: 1, ..base };
        let none = Workload { steps: 0, ..one.clone() };
        let block = (gigaflop(&one) - gigaflop(&none)) / 2.0;
        assert!((block - 172.0).abs() < 5.0, "{block}");
    }
}
