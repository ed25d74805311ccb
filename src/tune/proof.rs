//! The proof: the finalist against the baseline, in pairs of fresh processes.

use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Order, Session};
use crate::confirm::{Confirmation, WORTH_HAVING};
use crate::ranking;
use crate::settings::Knobs;
use crate::trial::Phase;
use crate::workload::Workload;

impl Session<'_> {
    /// Runs the best candidate against the baseline, in pairs of random order, until the answer
    /// is clear or the budget spent.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn confirm(&mut self, workload: &Workload) -> Result<()> {
        let Some(finalist) = self.finalist() else { return Ok(()) };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.bench.seed);
        let baseline = self.bench.baseline.knobs.clone();
        for pair in 1.. {
            let confirmation = Confirmation::of(&self.trials, &baseline.values());
            if confirmation.is_some_and(|confirmation| confirmation.is_decided())
                || self.is_stopped()
                || self.budget.left() < self.pair()
            {
                return Ok(());
            }
            let mut turns = [&baseline, &finalist];
            if rng.random() {
                turns.reverse();
            }
            for knobs in turns {
                self.run(&Order {
                    phase: Phase::Confirmation,
                    pair: Some(pair),
                    strategy: "",
                    workload,
                    knobs,
                    min_psnr_db: self.min_psnr_db(knobs),
                    limit: self.limit(),
                    left: self.budget.left(),
                })?;
            }
        }
        Ok(())
    }

    /// The best ranked knobs, if they promise more than the baseline.
    pub(super) fn finalist(&self) -> Option<Knobs> {
        let baseline = &self.bench.baseline.knobs;
        let ranking = ranking::rank(&self.trials);
        let usual = ranking.iter().find(|ranked| ranked.knobs == baseline.values())?;
        let best = ranking.first()?;
        let values = best.knobs.iter().map(|(name, value)| (name.as_str(), value));
        let promises = best.score_s < usual.score_s * (1.0 - WORTH_HAVING);
        // What is in the journal was knobs before.
        baseline.with(values).ok().filter(|_| promises)
    }

    /// What a confirmation pair takes: as long as the one before; before the first, as two trials
    /// of the baseline, since finalists are no slower.
    fn pair(&self) -> Duration {
        let confirming = self.trials.iter().rev().filter(|t| t.phase == Phase::Confirmation);
        let walls: Vec<f64> = confirming.take(2).map(|trial| trial.wall_s).collect();
        match walls[..] {
            [finalist, baseline] => Duration::from_secs_f64(1.1 * (finalist + baseline)),
            _ => self.baseline_trial() * 2,
        }
    }
}
