//! The flow-matching sampler (`UniPCMultistepScheduler` as Wan 2.2 configures it) and guidance.
//!
//! Wenliang Zhao et al., "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of
//! Diffusion Models", 2023, with the data prediction and B(h) = e^-h - 1 ("bh2") or -h ("bh1").
//! Coefficients are float32 tensors, as in the reference: their rounding is part of its results.

use anyhow::{Result, ensure};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use wan22_tune::architecture::sigmas;

/// `scheduler_config.json`, as far as Wan 2.2 sets it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    pub num_train_timesteps: i64,
    pub solver_order: usize,
    pub solver_type: SolverType,
    /// Must be `flow_prediction`.
    pub prediction_type: String,
    /// Must be true.
    pub use_flow_sigmas: bool,
    /// How much the schedule lingers at high noise: 5 for TI2V-5B and I2V, 12 for T2V-A14B.
    pub flow_shift: f64,
    /// Must be true.
    pub predict_x0: bool,
    /// Lower orders in the last steps.
    pub lower_order_final: bool,
    /// Steps after which the corrector rests.
    pub disable_corrector: Vec<usize>,
    /// Must be `zero`.
    pub final_sigmas_type: String,
}

/// The solver's B(h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SolverType {
    Bh1,
    Bh2,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            solver_order: 2,
            solver_type: SolverType::Bh2,
            prediction_type: "flow_prediction".to_owned(),
            use_flow_sigmas: true,
            flow_shift: 5.0,
            predict_x0: true,
            lower_order_final: true,
            disable_corrector: Vec::new(),
            final_sigmas_type: "zero".to_owned(),
        }
    }
}

impl SchedulerConfig {
    fn validate(&self) -> Result<()> {
        let (prediction, last) = (&self.prediction_type, &self.final_sigmas_type);
        ensure!(
            prediction == "flow_prediction",
            "prediction_type is {prediction:?}: Wan 2.2's is flow_prediction"
        );
        ensure!(last == "zero", "final_sigmas_type is {last:?}: Wan 2.2's is zero");
        ensure!(self.use_flow_sigmas, "use_flow_sigmas is false: Wan 2.2's is true");
        ensure!(self.predict_x0, "predict_x0 is false: Wan 2.2's is true");
        ensure!(self.solver_order > 0, "solver_order is 0: it must be at least 1");
        ensure!(self.num_train_timesteps > 0, "num_train_timesteps must be at least 1");
        ensure!(self.flow_shift > 0.0, "flow_shift is {}: it must be more than 0", self.flow_shift);
        Ok(())
    }
}

/// A denoising run: steps are taken in order.
pub struct Scheduler {
    config: SchedulerConfig,
    /// Noise levels, one more than steps; the last is 0. Zero-dimensional float32 tensors.
    sigmas: Vec<Tensor>,
    timesteps: Vec<i64>,
    step: usize,
    /// Data predictions of the last steps, the latest last.
    outputs: Vec<Tensor>,
    last_sample: Option<Tensor>,
    last_order: usize,
}

impl Scheduler {
    /// A run of `steps` steps.
    ///
    /// # Errors
    /// Where the configuration is not one of Wan 2.2's kind, or there are no steps.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        config.validate()?;
        ensure!(steps > 0, "a denoising run needs at least one step");
        let train = config.num_train_timesteps;
        let mut sigmas = sigmas(config.flow_shift, train, steps);
        let timesteps = sigmas.iter().map(|sigma| (sigma * train as f64) as i64).collect();
        sigmas.push(0.0);
        Ok(Self {
            config: config.clone(),
            sigmas: sigmas.into_iter().map(|sigma| Tensor::from(sigma as f32)).collect(),
            timesteps,
            step: 0,
            outputs: Vec::new(),
            last_sample: None,
            last_order: 0,
        })
    }

    /// The timestep that each forward is told, in order.
    pub fn timesteps(&self) -> &[i64] {
        &self.timesteps
    }

    /// One step: from the model's velocity at `sample` to the next, less noisy sample.
    ///
    /// # Errors
    /// Where all steps have been taken.
    pub fn step(&mut self, velocity: &Tensor, sample: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let steps = self.timesteps.len();
        ensure!(self.step < steps, "all {steps} steps have been taken");
        let output = sample - &self.sigmas[self.step] * velocity;
        let sample = match self.last_sample.take() {
            Some(last) if self.corrects() => self.correct(&output, &last),
            _ => sample.shallow_clone(),
        };
        self.outputs.push(output);
        if self.outputs.len() > self.config.solver_order {
            drop(self.outputs.remove(0));
        }
        let left = if self.config.lower_order_final { steps - self.step } else { usize::MAX };
        self.last_order = self.outputs.len().min(left);
        let next = self.predict(&sample);
        self.last_sample = Some(sample);
        self.step += 1;
        Ok(next)
    }

    fn corrects(&self) -> bool {
        self.step > 0 && !self.config.disable_corrector.contains(&(self.step - 1))
    }

    /// UniP: extrapolates to the next noise level.
    fn predict(&self, sample: &Tensor) -> Tensor {
        let leap = SolverStep::new(self, self.step, self.step + 1, self.last_order);
        let base = leap.base(sample);
        if leap.differences.is_empty() {
            return base.to_kind(sample.kind());
        }
        let order = leap.differences.len();
        let weights = if order == 1 {
            Tensor::from_slice(&[0.5_f32])
        } else {
            let rows = leap.powers.narrow(0, 0, order as i64).narrow(1, 0, order as i64);
            Tensor::linalg_solve(&rows, &leap.targets.narrow(0, 0, order as i64), true)
        };
        let rest = leap.weighted(&weights);
        (base - &leap.signal * &leap.reach * rest).to_kind(sample.kind())
    }

    /// UniC: corrects the present sample by what the model says at it.
    fn correct(&self, output: &Tensor, last: &Tensor) -> Tensor {
        let leap = SolverStep::new(self, self.step - 1, self.step, self.last_order);
        let weights = if self.last_order == 1 {
            Tensor::from_slice(&[0.5_f32])
        } else {
            Tensor::linalg_solve(&leap.powers, &leap.targets, true)
        };
        let newest = weights.select(0, self.last_order as i64 - 1) * (output - &leap.origin);
        let rest =
            if leap.differences.is_empty() { newest } else { leap.weighted(&weights) + newest };
        (leap.base(last) - &leap.signal * &leap.reach * rest).to_kind(last.kind())
    }
}

/// The quantities of one leap between noise levels, from s0 to t.
struct SolverStep {
    sigma_ratio: Tensor,
    /// 1 - sigma at t.
    signal: Tensor,
    phi_1: Tensor,
    /// The value of B(h).
    reach: Tensor,
    /// The data prediction at s0.
    origin: Tensor,
    /// Earlier predictions' differences from it, by their distance.
    differences: Vec<Tensor>,
    powers: Tensor,
    targets: Tensor,
}

impl SolverStep {
    fn new(scheduler: &Scheduler, from: usize, to: usize, order: usize) -> Self {
        let sigma = |step: usize| &scheduler.sigmas[step];
        let signal = |step: usize| -sigma(step) + 1.0;
        let lambda = |step: usize| signal(step).log() - sigma(step).log();
        let h = lambda(to) - lambda(from);
        let outputs = &scheduler.outputs;
        let origin = outputs[outputs.len() - 1].shallow_clone();
        let (mut ratios, mut differences) = (Vec::new(), Vec::new());
        for back in 1..order {
            let ratio = (lambda(from - back) - lambda(from)) / &h;
            differences.push((&outputs[outputs.len() - 1 - back] - &origin) / &ratio);
            ratios.push(ratio);
        }
        ratios.push(Tensor::ones([], (Kind::Float, Device::Cpu)));
        let ratios = Tensor::stack(&ratios, 0);
        let minus_h = -h;
        let phi_1 = minus_h.expm1();
        let reach = match scheduler.config.solver_type {
            SolverType::Bh1 => minus_h.shallow_clone(),
            SolverType::Bh2 => minus_h.expm1(),
        };
        let (mut powers, mut targets) = (Vec::new(), Vec::new());
        let (mut phi_k, mut factorial) = (&phi_1 / &minus_h - 1.0, 1.0);
        for power in 1..=order {
            powers.push(ratios.pow_tensor_scalar(power as i64 - 1));
            targets.push(&phi_k * factorial / &reach);
            factorial *= power as f64 + 1.0;
            phi_k = phi_k / &minus_h - 1.0 / factorial;
        }
        Self {
            sigma_ratio: sigma(to) / sigma(from),
            signal: signal(to),
            phi_1,
            reach,
            origin,
            differences,
            powers: Tensor::stack(&powers, 0),
            targets: Tensor::stack(&targets, 0),
        }
    }

    fn base(&self, sample: &Tensor) -> Tensor {
        &self.sigma_ratio * sample - &self.signal * &self.phi_1 * &self.origin
    }

    fn weighted(&self, weights: &Tensor) -> Tensor {
        let terms = self.differences.iter().enumerate();
        terms.map(|(index, difference)| weights.select(0, index as i64) * difference).sum()
    }
}

/// Classifier-free guidance: `unconditioned + scale * (conditioned - unconditioned)`.
pub fn guide(conditioned: &Tensor, unconditioned: &Tensor, scale: f64) -> Tensor {
    unconditioned + (conditioned - unconditioned) * scale
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;

    fn golden() -> HashMap<String, Tensor> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/scheduler.safetensors");
        Tensor::read_safetensors(path).expect("the goldens are committed").into_iter().collect()
    }

    #[test]
    fn follows_the_reference_from_noise_to_picture() {
        let golden = golden();
        let samples = &golden["samples"];
        let mut scheduler = Scheduler::new(&SchedulerConfig::default(), 6).unwrap();
        let timesteps = scheduler.timesteps().to_vec();
        assert_eq!(Tensor::from_slice(&timesteps), golden["timesteps"]);
        let mut sample = samples.get(0);
        for (step, timestep) in timesteps.iter().enumerate() {
            let velocity = (&sample * 3.0).sin() + *timestep as f64 / 1000.0;
            sample = scheduler.step(&velocity, &sample).unwrap();
            let expected = samples.get(step as i64 + 1);
            let difference = (&sample - &expected).norm().double_value(&[]);
            let relative = difference / expected.norm().double_value(&[]);
            assert!(relative < 1e-6, "step {step}: {relative:e}");
        }
        let error = scheduler.step(&sample, &sample).unwrap_err();
        assert_eq!(error.to_string(), "all 6 steps have been taken");
    }

    #[test]
    fn other_samplers_are_refused() {
        let config = SchedulerConfig { use_flow_sigmas: false, ..SchedulerConfig::default() };
        let error = Scheduler::new(&config, 4).err().expect("refused").to_string();
        assert!(error.contains("use_flow_sigmas"), "{error}");
    }

    #[test]
    fn guidance_goes_beyond_the_condition() {
        let [with, without] =
            [[3.0_f32, 0.0], [1.0, 2.0]].map(|values| Tensor::from_slice(&values));
        assert_eq!(guide(&with, &without, 5.0), Tensor::from_slice(&[11.0_f32, -8.0]));
    }
}
