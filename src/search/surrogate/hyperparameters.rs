//! Hyperparameters: what the likelihood decides of a kernel, and what is expected of it before.

use std::iter::repeat_n;

use rand::Rng;

use crate::space::{KnobDomain, Space};
use crate::stats::normal;

/// The logarithms of what the likelihood decides.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::search) struct Hyperparameters {
    /// A length scale per knob, in units of the whole range of levels.
    pub lengths: Vec<f64>,
    /// The variance of what each knob does alone, relative to that of what all have in common.
    pub main_effects: Vec<f64>,
    /// What levels of the same divisibility have in common, relative to what near levels have, per
    /// knob; without effect where a knob has none, and empty where none are looked for.
    pub divisibility: Vec<f64>,
    /// Variance of noise and of what the model can't explain, relative to the signal's.
    pub noise: f64,
}

/// What scales are expected before there is data.
#[derive(Debug, PartialEq)]
pub(in crate::search) struct HyperPrior {
    /// Of an ordered knob, times the root of the number of knobs: the more there are, the less
    /// each says by itself.
    length: f64,
    /// Logarithm of how much shorter it is between categories, which need have nothing in common.
    category_shrink: f64,
    /// The variance of what a knob does alone, relative to that of what all have in common: the
    /// more, the more depends on what knobs do together.
    main_effects: f64,
    /// What levels of the same divisibility have in common, relative to what near levels have;
    /// `None` where none are looked for.
    divisibility: Option<f64>,
    /// Variance of noise, relative to the signal's.
    noise: f64,
}

/// Of what a whole costs.
pub(in crate::search) const WHOLE: HyperPrior = HyperPrior {
    length: 0.3,
    category_shrink: 1.0,
    main_effects: 0.3,
    divisibility: Some(0.1),
    noise: 1e-3,
};
/// Of what a stage takes, and of what stages leave of the whole: most knobs are nothing to one
/// stage, the others act by factors, and a stage that waits for nobody has less noise.
pub(in crate::search) const STAGE: HyperPrior = HyperPrior {
    length: 2.0,
    category_shrink: 0.0,
    main_effects: 0.1,
    divisibility: None,
    noise: 1e-4,
};

/// Standard deviations of what is expected, in logarithms.
const LENGTH_SPREAD: f64 = 1.0;
const MAIN_EFFECT_SPREAD: f64 = 1.5;
const DIVISIBILITY_SPREAD: f64 = 1.5;
const NOISE_SPREAD: f64 = 1.5;
/// Standard deviation of [`Hyperparameters::varied`], in logarithms.
const VARIATION: f64 = 0.4;

impl HyperPrior {
    fn log_length(&self, space: &Space, knob: &KnobDomain) -> f64 {
        let shrink = if knob.ordered { 0.0 } else { self.category_shrink };
        (self.length * (space.knobs.len() as f64).sqrt()).ln() - shrink
    }

    /// The log density of `scales` before there is data, added to `height`, and its gradient to
    /// `gradient`, in the order of [`Hyperparameters::all_mut`].
    pub fn weigh(
        &self,
        space: &Space,
        scales: &Hyperparameters,
        height: &mut f64,
        gradient: &mut [f64],
    ) {
        let each_knob = |usual: f64, spread| repeat_n((usual.ln(), spread), space.knobs.len());
        let lengths = space.knobs.iter().map(|knob| (self.log_length(space, knob), LENGTH_SPREAD));
        let main_effects = each_knob(self.main_effects, MAIN_EFFECT_SPREAD);
        let divisibility = self
            .divisibility
            .into_iter()
            .flat_map(|divisibility| each_knob(divisibility, DIVISIBILITY_SPREAD));
        let all = lengths
            .chain(main_effects)
            .chain(divisibility)
            .chain([(self.noise.ln(), NOISE_SPREAD)]);
        for (((usual, spread), value), slope) in all.zip(scales.all()).zip(gradient) {
            let off = (value - usual) / spread;
            *height -= 0.5 * off * off;
            *slope -= off / spread;
        }
    }
}

impl Hyperparameters {
    /// What is expected before there is data.
    pub fn usual(space: &Space, usual: &HyperPrior) -> Self {
        Self {
            lengths: space.knobs.iter().map(|knob| usual.log_length(space, knob)).collect(),
            main_effects: vec![usual.main_effects.ln(); space.knobs.len()],
            divisibility: usual
                .divisibility
                .map_or_else(Vec::new, |divisibility| vec![divisibility.ln(); space.knobs.len()]),
            noise: usual.noise.ln(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len() + self.main_effects.len() + self.divisibility.len() + 1
    }

    fn all(&self) -> impl Iterator<Item = f64> {
        self.lengths
            .iter()
            .chain(&self.main_effects)
            .chain(&self.divisibility)
            .copied()
            .chain([self.noise])
    }

    /// The lengths, what knobs do alone, what levels of the same divisibility have in common, the noise.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        let of_knobs =
            self.lengths.iter_mut().chain(&mut self.main_effects).chain(&mut self.divisibility);
        of_knobs.chain([&mut self.noise])
    }

    /// Scales with lengths near these, by chance. One set that fits best is too sure of itself as
    /// long as there are few points; varying it from proposal to proposal stands in for
    /// integrating over all that are likely.
    pub fn varied(&self, rng: &mut impl Rng) -> Self {
        let mut scales = self.clone();
        scales.lengths.iter_mut().for_each(|length| *length += VARIATION * normal(rng));
        scales.clamp();
        scales
    }

    /// Keeps them where numbers stay sound.
    pub fn clamp(&mut self) {
        self.lengths.iter_mut().for_each(|length| *length = length.clamp(-3.0, 5.0));
        let relative = self.main_effects.iter_mut().chain(&mut self.divisibility);
        relative.for_each(|relative| *relative = relative.clamp(-12.0, 6.0));
        self.noise = self.noise.clamp(-12.0, 1.0);
    }
}
