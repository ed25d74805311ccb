//! The arithmetic and the weights of encoding and decoding, from the configuration alone.
//!
//! Operations are two a multiply-add, of convolutions and attention; `frames` are latent frames of
//! one video. The first chunk runs without the convolutions in time.

use anyhow::Result;

use super::{Tiling, VaeConfig, VaeStage};

/// Frames, rows and columns of an activation.
type Extent = [i64; 3];

impl VaeConfig {
    /// Operations of decoding `[frames, height, width]` latents, each video's tiles one by one
    /// where `tiling` applies.
    ///
    /// # Errors
    /// Where the tiling doesn't fit.
    pub fn decode_flops(&self, batch: i64, latent: Extent, tiling: Option<&Tiling>) -> Result<f64> {
        let [frames, height, width] = latent;
        let tiles =
            match tiling.filter(|tiling| tiling.applies_to_latent(height, width, self.ratio())) {
                Some(tiling) => tiling.decoding(self)?.tiles([height, width]),
                None => vec![[height, width]],
            };
        let one: f64 =
            tiles.into_iter().map(|[h, w]| self.decoding([frames, h, w]).multiply_adds).sum();
        Ok(2.0 * batch as f64 * one)
    }

    /// Operations of encoding pictures of `[frames, height, width]` pixels.
    ///
    /// # Errors
    /// Where the tiling doesn't fit.
    pub fn encode_flops(
        &self,
        batch: i64,
        pictures: Extent,
        tiling: Option<&Tiling>,
    ) -> Result<f64> {
        let [frames, height, width] = pictures;
        let patched = [height / self.patch(), width / self.patch()];
        let tiles = match tiling.filter(|tiling| tiling.applies(height, width)) {
            Some(tiling) => tiling.encoding(self)?.tiles(patched),
            None => vec![patched],
        };
        let one: f64 =
            tiles.into_iter().map(|[h, w]| self.encoding([frames, h, w]).multiply_adds).sum();
        Ok(2.0 * batch as f64 * one)
    }

    /// Numbers in the decoder's weights; biases and norms, a thousandth of that, left out.
    pub fn decoder_weights(&self) -> f64 {
        self.decoding([1, 1, 1]).weights
    }

    /// Numbers in the encoder's weights.
    pub fn encoder_weights(&self) -> f64 {
        self.encoding([1, 1, 1]).weights
    }

    fn decoding(&self, latent: Extent) -> Cost {
        let stages = self.decoder_stages();
        let mut extent = latent;
        let mut cost = Cost::default();
        cost.conv(self.z_dim, self.z_dim, 1, extent);
        cost.conv(self.z_dim, stages[0].inputs, 27, extent);
        cost.middle(stages[0].inputs, extent);
        for stage in &stages {
            let VaeStage { inputs, outputs, space, time } = *stage;
            cost.residual(inputs, outputs, self.num_res_blocks + 1, extent);
            let [frames, height, width] = extent;
            if time {
                cost.conv(outputs, 2 * outputs, 3, [frames - 1, height, width]);
                extent[0] = 1 + 2 * (frames - 1);
            }
            if space {
                extent = [extent[0], 2 * height, 2 * width];
                let narrowed = if self.is_residual { outputs } else { outputs / 2 };
                cost.conv(outputs, narrowed, 9, extent);
            }
        }
        cost.conv(stages[stages.len() - 1].outputs, self.out_channels, 27, extent);
        cost
    }

    fn encoding(&self, patched: Extent) -> Cost {
        let [frames, height, width] = patched;
        let mut extent = [1 + (frames - 1) / 4 * 4, height, width];
        let mut cost = Cost::default();
        cost.conv(self.in_channels, self.base_dim, 27, extent);
        let mut width = self.base_dim;
        for VaeStage { inputs, outputs, space, time } in self.encoder_stages() {
            width = outputs;
            cost.residual(inputs, outputs, self.num_res_blocks, extent);
            if space {
                extent = [extent[0], extent[1] / 2, extent[2] / 2];
                cost.conv(outputs, outputs, 9, extent);
            }
            if time {
                let halved = (extent[0] - 1) / 2;
                cost.conv(outputs, outputs, 3, [halved, extent[1], extent[2]]);
                extent[0] = 1 + halved;
            }
        }
        let moments = 2 * self.z_dim;
        cost.middle(width, extent);
        cost.conv(width, moments, 27, extent);
        cost.conv(moments, moments, 1, extent);
        cost
    }
}

/// What layers take, summed up.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    multiply_adds: f64,
    weights: f64,
}

impl Cost {
    /// A convolution with `taps` positions in its kernel.
    fn conv(&mut self, inputs: i64, outputs: i64, taps: i64, extent: Extent) {
        let weights = (inputs * outputs * taps) as f64;
        self.weights += weights;
        self.multiply_adds += weights * extent.iter().product::<i64>() as f64;
    }

    fn residual(&mut self, inputs: i64, outputs: i64, count: i64, extent: Extent) {
        if inputs != outputs {
            self.conv(inputs, outputs, 1, extent);
        }
        self.conv(inputs, outputs, 27, extent);
        (1..2 * count).for_each(|_| self.conv(outputs, outputs, 27, extent));
    }

    fn middle(&mut self, channels: i64, extent: Extent) {
        let [frames, height, width] = extent;
        let pixels = height * width;
        self.residual(channels, channels, 2, extent);
        self.conv(channels, 4 * channels, 1, extent);
        self.multiply_adds += (2 * frames * channels) as f64 * (pixels * pixels) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(config: VaeConfig) -> VaeConfig {
        VaeConfig { base_dim: 4, decoder_base_dim: None, z_dim: 6, ..config }
    }

    /// torch.utils.flop_counter's counts for the golden VAEs, plus attention, which it leaves out
    /// on a CPU: 4 * 16 channels * pixels squared for each latent frame.
    #[test]
    fn counts_what_the_reference_counts() {
        let [old, new] = [tiny(VaeConfig::wan21()), tiny(VaeConfig::wan22())];
        let whole = 2.0 * 3.0 * 4.0 * 16.0 * 36.0;
        let decode = |config: &VaeConfig| config.decode_flops(2, [3, 2, 3], None).unwrap();
        assert_eq!(decode(&old), 108_870_432.0 + whole);
        assert_eq!(decode(&new), 145_249_056.0 + whole);
        assert_eq!(old.encode_flops(2, [10, 16, 24], None).unwrap(), 66_873_984.0 + whole);
        assert_eq!(new.encode_flops(2, [10, 32, 48], None).unwrap(), 80_310_912.0 + whole);
    }

    #[test]
    fn counts_tiles_one_by_one() {
        let [old, new] = [tiny(VaeConfig::wan21()), tiny(VaeConfig::wan22())];
        let tiling = Some(&Tiling::square(32, 16)).copied();
        let attention = |rows: f64, columns: f64| 2.0 * 4.0 * 16.0 * rows * columns;
        let decode =
            |config: &VaeConfig| config.decode_flops(1, [2, 5, 4], tiling.as_ref()).unwrap();
        // Latent rows of 4, 3, 1 and columns of 4, 2; of 2, 2, 2, 2, 1 and 2, 2, 2, 1.
        assert_eq!(decode(&old), 247_468_800.0 + attention(26.0, 20.0));
        assert_eq!(decode(&new), 431_408_880.0 + attention(17.0, 13.0));
        let encode = |config: &VaeConfig, side| {
            config.encode_flops(1, [5, side, side], tiling.as_ref()).unwrap()
        };
        assert_eq!(encode(&old, 40), 203_575_296.0 + attention(26.0, 26.0));
        assert_eq!(encode(&new, 80), 243_388_416.0 + attention(26.0, 26.0));
    }

    /// The numbers that diffusers counts: 149.6 and 555.0 million; 53.6 and 73.3.
    #[test]
    fn weighs_what_the_reference_weighs() {
        let millions = |weights: f64| (weights / 1e5).round() / 10.0;
        let both =
            |config: VaeConfig| [config.encoder_weights(), config.decoder_weights()].map(millions);
        let near = |found: [f64; 2], said: [f64; 2]| {
            found.iter().zip(said).all(|(found, said)| (found / said - 1.0).abs() < 2e-3)
        };
        assert!(near(both(VaeConfig::wan22()), [149.6, 555.0]), "{:?}", both(VaeConfig::wan22()));
        assert!(near(both(VaeConfig::wan21()), [53.6, 73.3]), "{:?}", both(VaeConfig::wan21()));
    }

    /// The shares of one decoded frame of 64 x 64 pixels in the project's measurements.
    #[test]
    fn true_widths_cost_what_was_measured() {
        let new = VaeConfig::wan22().decode_flops(1, [1, 4, 4], None).unwrap();
        let old = VaeConfig::wan21().decode_flops(1, [1, 8, 8], None).unwrap();
        assert_eq!((new / 1e9).round(), 93.0);
        assert_eq!((old / 1e9).round(), 44.0);
    }
}
