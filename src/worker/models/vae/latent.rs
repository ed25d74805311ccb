//! Latents: as the VAE makes them, and normalised as the transformer works on them.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};
use wan22_tune::architecture::VaeConfig;

/// A normalised latent, as the transformer works on it, from the VAE's own.
///
/// # Errors
/// Where the configuration has no mean and deviation for each latent channel.
pub fn normalise(config: &VaeConfig, latent: &Tensor) -> Result<Tensor> {
    let (mean, std) = moments(config, latent)?;
    Ok((latent - mean) * std.reciprocal())
}

/// The VAE's own latent from a normalised one.
///
/// # Errors
/// As [`normalise`].
pub fn denormalise(config: &VaeConfig, latent: &Tensor) -> Result<Tensor> {
    let (mean, std) = moments(config, latent)?;
    Ok(latent * std + mean)
}

fn moments(config: &VaeConfig, latent: &Tensor) -> Result<(Tensor, Tensor)> {
    let channel = |key: &str, values: &[f64]| {
        ensure!(
            values.len() as i64 == config.z_dim,
            "{key} has {} values: z_dim is {}",
            values.len(),
            config.z_dim
        );
        let values = Tensor::from_slice(values).to_kind(Kind::Float).to_device(latent.device());
        Ok(values.to_kind(latent.kind()).view([1, -1, 1, 1, 1]))
    };
    Ok((
        channel("latents_mean", &config.latents_mean)?,
        channel("latents_std", &config.latents_std)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_normalised_by_channel() {
        let config = VaeConfig {
            z_dim: 2,
            latents_mean: vec![1.0, -2.0],
            latents_std: vec![2.0, 4.0],
            ..VaeConfig::default()
        };
        let latent = Tensor::from_slice(&[5.0_f32, 6.0]).view([1, 2, 1, 1, 1]);
        let normal = normalise(&config, &latent).unwrap();
        assert_eq!(normal.view(-1), Tensor::from_slice(&[2.0_f32, 2.0]));
        assert_eq!(denormalise(&config, &normal).unwrap(), latent);
        let error = normalise(&VaeConfig { z_dim: 3, ..config }, &latent).unwrap_err().to_string();
        assert_eq!(error, "latents_mean has 2 values: z_dim is 3");
    }
}
