//! Random: legal candidates drawn evenly, none twice. What every other strategy must beat.

use crate::search::objective::Objective;
use crate::search::propose::{Proposal, Propose};
use crate::search::sampler::Sampler;

pub(in crate::search) struct Random;

impl Propose for Random {
    const NAME: &'static str = "random";

    fn propose(&mut self, objective: &Objective<'_>, draw: &Sampler<'_>, count: usize) -> Proposal {
        let rng = &mut objective.rng(0);
        let mut batch = Vec::new();
        while batch.len() < count {
            let wanted = |found: &_| objective.is_new(found) && !batch.contains(found);
            let Some(found) = draw.wanted(rng, wanted) else { break };
            batch.push(found);
        }
        Proposal::New(batch)
    }
}
