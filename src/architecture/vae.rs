//! The VAE's configuration, with the reference's field names and defaults.

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use super::bounds::{expect_number, expect_sizes};

/// `AutoencoderKLWan`'s `config.json`. The defaults are VAE 2.1's.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Width of the encoder's first stage; of the decoder's last, where that has no own.
    pub base_dim: i64,
    pub decoder_base_dim: Option<i64>,
    /// Channels of the latent.
    pub z_dim: i64,
    /// Each stage's width in base widths.
    pub dim_mult: Vec<i64>,
    pub num_res_blocks: i64,
    /// Scales with attention in the encoder; the reference can't run any.
    pub attn_scales: Vec<f64>,
    /// Whether each of the encoder's stages halves time (sic).
    pub temperal_downsample: Vec<bool>,
    /// One a latent channel; the pipeline applies it, not the VAE.
    pub latents_mean: Vec<f64>,
    pub latents_std: Vec<f64>,
    /// VAE 2.2: stages have shortcuts past their resampling.
    pub is_residual: bool,
    /// Channels after patching.
    pub in_channels: i64,
    pub out_channels: i64,
    /// VAE 2.2: pixels of each side that are moved into channels.
    pub patch_size: Option<i64>,
    /// Pixels to a latent pixel; only tiling looks at it.
    pub scale_factor_spatial: Option<i64>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temperal_downsample: vec![false, true, true],
            latents_mean: MEAN_21.to_vec(),
            latents_std: STD_21.to_vec(),
            is_residual: false,
            in_channels: 3,
            out_channels: 3,
            patch_size: None,
            scale_factor_spatial: Some(8),
        }
    }
}

/// What one stage of the encoder or decoder does to its input's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaeStage {
    /// Channels in and out.
    pub inputs: i64,
    pub outputs: i64,
    /// Whether rows and columns are halved or doubled after it, and whether time is too.
    pub space: bool,
    pub time: bool,
}

impl VaeConfig {
    /// The VAE of T2V-A14B and I2V-A14B: 16 channels, 4 x 8 x 8.
    pub fn wan21() -> Self {
        Self::default()
    }

    /// The VAE of TI2V-5B: 48 channels, 4 x 16 x 16.
    pub fn wan22() -> Self {
        Self {
            base_dim: 160,
            decoder_base_dim: Some(256),
            z_dim: 48,
            latents_mean: MEAN_22.to_vec(),
            latents_std: STD_22.to_vec(),
            is_residual: true,
            in_channels: 12,
            out_channels: 12,
            patch_size: Some(2),
            scale_factor_spatial: Some(16),
            ..Self::default()
        }
    }

    /// Pixels of each side that are moved into channels; 1 for none.
    pub fn patch(&self) -> i64 {
        self.patch_size.unwrap_or(1)
    }

    /// Channels of a picture: what is left of `in_channels` without patching.
    pub fn picture_channels(&self) -> i64 {
        self.in_channels / (self.patch() * self.patch())
    }

    /// Pixels to a latent pixel, as tiling sees it.
    pub fn ratio(&self) -> i64 {
        self.scale_factor_spatial.unwrap_or(0)
    }

    /// The encoder's stages, first to last.
    pub fn encoder_stages(&self) -> Vec<VaeStage> {
        let last = self.dim_mult.len() - 1;
        let mut inputs = self.base_dim;
        let stage = |(index, &multiple): (usize, &i64)| {
            let outputs = self.base_dim * multiple;
            let space = index < last;
            let time = space && self.temperal_downsample[index];
            VaeStage { inputs: std::mem::replace(&mut inputs, outputs), outputs, space, time }
        };
        self.dim_mult.iter().enumerate().map(stage).collect()
    }

    /// The decoder's stages, first to last: the encoder's backwards. VAE 2.1 halves the channels
    /// as it doubles rows and columns, so the next stage starts with half.
    pub fn decoder_stages(&self) -> Vec<VaeStage> {
        let base = self.decoder_base_dim.unwrap_or(self.base_dim);
        let last = self.dim_mult.len() - 1;
        let mut inputs = base * self.dim_mult[last];
        let mut up = self.temperal_downsample.iter().rev();
        let stage = |(index, &multiple): (usize, &i64)| {
            let outputs = base * multiple;
            let space = index < last;
            let time = *up.next().unwrap_or(&false) && space;
            let next = if self.is_residual { outputs } else { outputs / 2 };
            VaeStage { inputs: std::mem::replace(&mut inputs, next), outputs, space, time }
        };
        self.dim_mult.iter().rev().enumerate().map(stage).collect()
    }

    /// # Errors
    /// Names the first value that no model can have.
    pub fn validate(&self) -> Result<()> {
        let base = self.decoder_base_dim.unwrap_or(self.base_dim);
        let dim_mult = |value: Option<i64>| ("dim_mult's values", value.unwrap_or(0), 4);
        expect_sizes(&[
            ("base_dim", self.base_dim, 160),
            ("decoder_base_dim", base, 256),
            ("z_dim", self.z_dim, 48),
            ("num_res_blocks", self.num_res_blocks, 2),
            ("in_channels", self.in_channels, 12),
            ("out_channels", self.out_channels, 12),
            ("patch_size", self.patch(), 2),
            ("scale_factor_spatial", self.ratio(), 16),
            ("dim_mult's length", self.dim_mult.len() as i64, 1),
            dim_mult(self.dim_mult.iter().copied().min()),
            dim_mult(self.dim_mult.iter().copied().max()),
        ])?;
        let (stages, flags) = (self.dim_mult.len(), self.temperal_downsample.len());
        ensure!(
            flags + 1 >= stages,
            "temperal_downsample has {flags} values: {stages} stages in dim_mult need {}",
            stages - 1
        );
        for (key, channels) in
            [("in_channels", self.in_channels), ("out_channels", self.out_channels)]
        {
            let patch = self.patch() * self.patch();
            ensure!(
                channels % patch == 0,
                "{key} {channels} is no multiple of patch_size squared, {patch}"
            );
        }
        if self.is_residual { self.validate_shortcuts() } else { Ok(()) }
    }

    /// What only the encoder minds.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_encoder(&self) -> Result<()> {
        let scales = (0..self.dim_mult.len()).map(|stage| 0.5_f64.powi(stage as i32));
        let attends = scales.into_iter().find(|scale| self.attn_scales.contains(scale));
        match attends.filter(|_| !self.is_residual) {
            Some(scale) => bail!(
                "attn_scales has {scale}: the reference's encoder can't run attention there either; \
                 give []"
            ),
            None => Ok(()),
        }
    }

    /// What only a pipeline minds: it normalises each channel of a latent.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_statistics(&self) -> Result<()> {
        for (key, values, least) in
            [("latents_mean", &self.latents_mean, -1e3), ("latents_std", &self.latents_std, 1e-6)]
        {
            let (found, z) = (values.len(), self.z_dim);
            ensure!(found as i64 == z, "{key} has {found} values: z_dim is {z}");
            values.iter().try_for_each(|&value| expect_number(key, value, least, 1e3))?;
        }
        Ok(())
    }

    fn validate_shortcuts(&self) -> Result<()> {
        for stage in self.encoder_stages() {
            let grown = stage.inputs * stage.factor();
            ensure!(
                grown % stage.outputs == 0,
                "dim_mult: a shortcut of the encoder can't average {grown} channels into {}",
                stage.outputs
            );
        }
        for stage in self.decoder_stages().into_iter().filter(|stage| stage.space) {
            let grown = stage.outputs * stage.factor();
            ensure!(
                grown % stage.inputs == 0,
                "dim_mult: a shortcut of the decoder can't repeat {} channels into {grown}",
                stage.inputs
            );
        }
        Ok(())
    }
}

impl VaeStage {
    /// How many pixels a resampled one stands for.
    pub fn factor(self) -> i64 {
        self.time_factor() * self.space_factor() * self.space_factor()
    }

    /// 2 where time is resampled, else 1.
    pub fn time_factor(self) -> i64 {
        1 + i64::from(self.time)
    }

    /// 2 where rows and columns are resampled, else 1.
    pub fn space_factor(self) -> i64 {
        1 + i64::from(self.space)
    }
}

/// Latent statistics of Wan 2.1's VAE (diffusers' defaults).
#[rustfmt::skip]
const MEAN_21: [f64; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
];
#[rustfmt::skip]
const STD_21: [f64; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
];

/// Latent statistics of Wan 2.2's VAE (Wan-AI/Wan2.2-TI2V-5B).
#[rustfmt::skip]
const MEAN_22: [f64; 48] = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557,
    -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825,
    -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230,
    -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748,
    0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
];
#[rustfmt::skip]
const STD_22: [f64; 48] = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013,
    0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
    0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
    0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
    0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
];
