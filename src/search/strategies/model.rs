//! Model-based strategies: a surrogate of the cost, and the candidate that promises most.

use std::rc::Rc;

use super::Strategy;
use crate::search::Observation;
use crate::search::acquisition::pool::Pool;
use crate::search::acquisition::{self, Acquisition};
use crate::search::history::History;
use crate::search::surrogate::data::Data;
use crate::search::surrogate::feasibility::Feasibility;
use crate::search::surrogate::gp::fit;
use crate::search::surrogate::kernel::{HyperPrior, Hyperparameters, STAGE, WHOLE};
use crate::search::surrogate::prior::Prior;
use crate::search::surrogate::stages::{StageModels, Stages};
use crate::search::transfer::TransferModel;
use crate::space::{Candidate, Space};

/// Proposes by acquisition functions in turn.
pub(in crate::search) struct ModelBased {
    acquisitions: &'static [Acquisition],
    /// Those instead where stages tell what the whole costs.
    with_stages: &'static [Acquisition],
    /// What was learnt now and then, with how many observations it was learnt from.
    fits: Vec<(usize, FittedModel)>,
}

/// What takes too long to be learnt anew for each proposal.
#[derive(Clone)]
pub(in crate::search) struct FittedModel {
    /// What the scales were expected to be.
    usual: &'static HyperPrior,
    pub scales: Hyperparameters,
    prior: Option<Prior>,
    stages: StageModels,
    /// How many observations it was learnt from, and what is believed in the light of those.
    believed: (usize, Option<Prior>),
}

impl FittedModel {
    /// Before there is anything to learn from.
    fn before(space: &Space) -> Self {
        let (stages, usual) = (StageModels::default(), &WHOLE);
        let scales = Hyperparameters::usual(space, usual);
        Self { usual, scales, prior: None, stages, believed: (0, None) }
    }

    /// What `known` teaches after the fit `last`.
    pub fn of(
        space: &Space,
        known: &[Observation],
        beliefs: &Rc<Vec<TransferModel>>,
        last: Option<&Self>,
    ) -> Self {
        let stages = StageModels::by(space, known, last.map(|model| &model.stages));
        let mut model = Self { stages, ..Self::before(space) };
        let mut prior = model.prior(space, known);
        // Laws take long to fit, and are not asked where stages tell.
        if !beliefs.is_empty() || prior.is_none() {
            model.prior = Prior::new(space, known, beliefs);
            prior = model.prior(space, known);
        }
        let mut data = Data::new(known);
        data.expect(prior.as_ref());
        model.usual = if data.is_predicted_by_stages() { &STAGE } else { &WHOLE };
        let start = last.filter(|last| last.usual == model.usual).map(|last| &last.scales);
        model.scales = fit(space, model.usual, &data.subsample(FITTED_TO), start);
        model.believed = (known.len(), prior);
        model
    }

    /// What is believed in the light of `observations`.
    pub fn prior(&self, space: &Space, observations: &[Observation]) -> Option<Prior> {
        let (learnt_from, believed) = &self.believed;
        if observations.len() == *learnt_from {
            return believed.clone();
        }
        // Stages tell nothing before there is a design of them.
        let is_early = observations.len() < STAGED_DESIGN;
        let goes_first = |prior: &Prior| prior.is_good_enough() || is_early && prior.is_earlier();
        if self.prior.as_ref().is_some_and(goes_first) {
            return self.prior.clone();
        }
        let stages = Stages::new(space, observations, &self.stages);
        stages.map(|stages| Prior::Stages(Rc::new(stages))).or_else(|| self.prior.clone())
    }
}

/// Candidates drawn evenly before the first model. Drawing them far apart was worse: they end up
/// in the corners, where knobs at their extremes hide what the others do.
const DESIGN: usize = 15;
/// Candidates that told their stages, where those suffice: experts' are far better than drawn ones,
/// in which the knobs that matter most hide what the others do.
const STAGED_DESIGN: usize = 9;
/// Candidates known before the first model where earlier searches say something of all others: the
/// baseline and their best.
const TRANSFER_DESIGN: usize = 4;
/// What chooses candidates of a design that earlier searches spare.
const TRANSFERRED: [Acquisition; 2] =
    [Acquisition::PosteriorMean, Acquisition::ExpectedImprovement];
/// Candidates measured since the best was: then every other proposal goes elsewhere. What the models
/// know best is where they settled, and a plateau that noise makes rough holds them indefinitely.
const STALE: usize = 30;
/// Points that scales are fitted to: likelihoods of more cost more than they tell.
const FITTED_TO: usize = 110;
/// Points that a process is conditioned on: the time of a proposal grows with their square.
pub(in crate::search) const CONDITIONED_ON: usize = 220;

impl ModelBased {
    pub fn new(acquisitions: &'static [Acquisition]) -> Self {
        Self { acquisitions, with_stages: acquisitions, fits: Vec::new() }
    }

    /// With other acquisition functions where stages tell what the whole costs.
    pub fn with_stages(self, acquisitions: &'static [Acquisition]) -> Self {
        Self { with_stages: acquisitions, ..self }
    }
}

/// Candidates to be known before the first model: a function of the first of them alone.
fn design(observations: &[Observation]) -> usize {
    let first = observations.iter().take(DESIGN).enumerate();
    let mut staged = first.filter(|(_, observation)| !observation.stages.is_empty());
    staged.nth(STAGED_DESIGN - 1).map_or(DESIGN, |(position, _)| position + 1)
}

impl Strategy for ModelBased {
    /// Pending candidates are not proposed again, and nothing is made up of what they may cost: taking
    /// them for good or bad sends a search over many nodes too far from what it knows.
    fn propose(&mut self, history: &History<'_>) -> Option<Candidate> {
        let (rng, draw) = (&mut history.rng(), history.sampler());
        let (observations, pending) = (history.observations(), history.pending());
        let is_new = |found: &Candidate| history.is_new(found);
        let mut data = Data::new(observations);
        let design = design(observations);
        let known = data.len() + data.failed.len() + pending.len();
        let least = if history.beliefs().is_empty() { design } else { TRANSFER_DESIGN };
        if known < least || data.len() < 3 {
            return draw.wanted(rng, is_new);
        }
        let fitted = self.fitted(history, least);
        let prior = fitted.prior(history.space(), observations);
        if known < design && !prior.as_ref().is_some_and(Prior::is_earlier) {
            return draw.wanted(rng, is_new);
        }
        data.expect(prior.as_ref());
        let acquisition = match known.checked_sub(design) {
            Some(turn) => self.acquisition(&data, turn),
            None => TRANSFERRED[known % TRANSFERRED.len()],
        };
        let pool = Pool::new(history, draw, &data, rng);
        let feasibility = Feasibility::new(history.space(), &data, rng);
        let choice =
            acquisition::AcquisitionContext { data: &data, draw, feasibility, model: &fitted };
        choice.by(acquisition, pool, rng).or_else(|| draw.wanted(rng, is_new))
    }
}

impl ModelBased {
    /// Whose turn it is after `turn` candidates beyond the design: candidates, not observations, since
    /// repeats must not decide it.
    fn acquisition(&self, data: &Data, turn: usize) -> Acquisition {
        if data.is_predicted_by_stages() {
            return self.with_stages[turn % self.with_stages.len()];
        }
        let since = data.best(1).first().map_or(0, |best| data.len() - 1 - best);
        let is_stale = since >= STALE && self.acquisitions.contains(&Acquisition::Perturb);
        if is_stale && turn % 2 == 1 {
            return Acquisition::Perturb;
        }
        self.acquisitions[turn % self.acquisitions.len()]
    }

    /// What the observations teach, the first `design` of them at once: a chain of fits, each from
    /// the last, so that they depend on the observations alone.
    fn fitted(&mut self, history: &History<'_>, design: usize) -> FittedModel {
        let (space, observations) = (history.space(), history.observations());
        let beliefs = history.beliefs();
        loop {
            let last = self.fits.last();
            let next = last.map_or(design, |(at, _)| at + (at / 8).max(4));
            if next > observations.len() {
                return last.map_or_else(|| FittedModel::before(space), |(_, model)| model.clone());
            }
            let last = last.map(|(_, model)| model);
            let model = FittedModel::of(space, &observations[..next], beliefs, last);
            self.fits.push((next, model));
        }
    }
}
