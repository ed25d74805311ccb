//! Sampling: how a pipeline goes from noise to latent, by its noise levels and experts.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::bounds::expect_number;
use super::config::{is_index_of, is_of, optional};
use super::{EXPERTS, SCHEDULER, VAE};

/// Timesteps that all of Wan's models were trained with.
const TRAINED: i64 = 1000;

/// What a pipeline does with its transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// How much the schedule lingers at high noise.
    pub flow_shift: f64,
    /// The share of noise down to which the first of two experts denoises, the second below it;
    /// `None` where there is one model for all.
    pub boundary_ratio: Option<f64>,
    /// How much the prompt is followed, under each expert.
    pub guidance: [f64; 2],
    /// Denoising steps of Wan's own settings (`sample_steps` in Wan 2.2's configurations).
    pub steps: u32,
}

impl Sampling {
    /// How TI2V-5B is sampled, and a folder whose files say nothing else.
    pub fn ti2v_5b() -> Self {
        Self { flow_shift: 5.0, boundary_ratio: None, guidance: [5.0; 2], steps: 50 }
    }

    /// How T2V-A14B is sampled.
    pub fn t2v_a14b() -> Self {
        Self { flow_shift: 12.0, boundary_ratio: Some(0.875), guidance: [4.0, 3.0], steps: 40 }
    }

    /// How I2V-A14B is sampled.
    pub fn i2v_a14b() -> Self {
        Self { flow_shift: 5.0, boundary_ratio: Some(0.9), guidance: [3.5; 2], steps: 40 }
    }

    /// What a folder's `model_index.json` and `scheduler/scheduler_config.json` say, where they
    /// are; guidance, which no file holds, is `usual`'s. The scheduler matters where the job
    /// denoises, as the parts `wanted` tell.
    ///
    /// # Errors
    /// The file that is no JSON of that kind, or names a class that can't be run.
    pub fn open(folder: &Path, wanted: &[&str], usual: &Self) -> Result<Self> {
        let denoises = wanted.contains(&EXPERTS[0]);
        let needed = [VAE].iter().chain(wanted).chain(denoises.then_some(&SCHEDULER));
        let needed: Vec<&str> = needed.copied().collect();
        let boundary_ratio =
            number(&folder.join("model_index.json"), "boundary_ratio", [0.0, 1.0], |value| {
                is_index_of(&needed, value)
            })?;
        let flow_shift = number(
            &folder.join(SCHEDULER).join("scheduler_config.json"),
            "flow_shift",
            [0.001, 1000.0],
            |value| if denoises { is_flow(value) } else { Ok(()) },
        )?;
        let flow_shift = flow_shift.unwrap_or(usual.flow_shift);
        Ok(Self { flow_shift, boundary_ratio, guidance: usual.guidance, steps: usual.steps })
    }

    /// The timesteps of a run of `steps` steps, from noise on.
    pub fn timesteps(&self, steps: u32) -> Vec<i64> {
        let sigmas = sigmas(self.flow_shift, TRAINED, steps as usize);
        sigmas.into_iter().map(|sigma| (sigma * TRAINED as f64) as i64).collect()
    }

    /// Which expert denoises at `timestep`: 0, or 1 below the boundary.
    pub fn expert(&self, timestep: i64) -> usize {
        let boundary = self.boundary_ratio.map(|ratio| ratio * TRAINED as f64);
        boundary.is_some_and(|boundary| (timestep as f64) < boundary).into()
    }

    /// The experts that a run of `steps` steps meets, in order, each with its first timestep.
    pub fn experts(&self, steps: u32) -> Vec<(usize, i64)> {
        let mut met: Vec<(usize, i64)> =
            self.timesteps(steps).into_iter().map(|step| (self.expert(step), step)).collect();
        met.dedup_by_key(|(expert, _)| *expert);
        met
    }
}

/// The noise levels of a run of `steps` steps, from (all but) noise on, without the 0 at its end.
pub fn sigmas(flow_shift: f64, trained: i64, steps: usize) -> Vec<f64> {
    let mut sigmas: Vec<f64> = (0..steps)
        .map(|step| 1.0 + (1.0 / trained as f64 - 1.0) * step as f64 / steps as f64)
        .map(|sigma| flow_shift * sigma / (1.0 + (flow_shift - 1.0) * sigma))
        .collect();
    if let Some(first) = sigmas.first_mut().filter(|first| (**first - 1.0).abs() < 1e-6) {
        *first -= 1e-6; // Its signal, 1 - sigma, has a logarithm.
    }
    sigmas
}

/// Whether a scheduler's configuration is that of Wan 2.2's, or doesn't say.
fn is_flow(scheduler: &Value) -> Result<()> {
    is_of(SCHEDULER, scheduler)?;
    let prediction = scheduler.get("prediction_type").and_then(Value::as_str);
    let prediction = prediction.unwrap_or("flow_prediction");
    let is_wans = prediction == "flow_prediction";
    ensure!(is_wans, "prediction_type is {prediction:?}: Wan 2.2's is flow_prediction");
    Ok(())
}

/// The number under `key` in a JSON file that needn't be there, from the least to the most.
fn number(
    path: &Path,
    key: &str,
    [least, most]: [f64; 2],
    check: impl Fn(&Value) -> Result<()>,
) -> Result<Option<f64>> {
    let value = optional(path)?;
    let read = || -> Result<Option<f64>> {
        check(&value)?;
        let Some(found) = value.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let number = found.as_f64().with_context(|| format!("{key} is {found}: give a number"))?;
        expect_number(key, number, least, most)?;
        Ok(Some(number))
    };
    read().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 40 steps diffusers gives I2V-A14B's first expert 15 (timesteps from 900) and T2V-A14B's 26
    /// (from 875): shift * s / (1 + (shift - 1) s) is 0.9 at s = 0.643 for shift 5, and 0.875 at
    /// s = 0.368 for shift 12.
    #[test]
    fn experts_take_over_at_the_boundary() {
        let share = |sampling: Sampling| {
            let steps = sampling.timesteps(40);
            (steps.iter().filter(|&&step| sampling.expert(step) == 0).count(), steps.len())
        };
        assert_eq!(share(Sampling::i2v_a14b()), (15, 40));
        assert_eq!(share(Sampling::t2v_a14b()), (26, 40));
        assert_eq!(share(Sampling::ti2v_5b()), (40, 40));
        let met = |steps| Sampling::i2v_a14b().experts(steps);
        assert_eq!(met(1), [(0, 999)]);
        assert_eq!(met(2), [(0, 999), (1, 833)]);
    }
}
