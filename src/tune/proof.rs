//! The proof: the finalist against the baseline, in pairs of fresh processes.

use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Order, Session};
use crate::confirm::{Confirmation, WORTH_HAVING};
use crate::ranking;
use crate::space::Values;
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
        let finalist = self.rig.plainest(workload, finalist);
        let baseline = self.rig.baseline();
        let first = self.trials.iter().filter_map(|trial| trial.pair).max().unwrap_or(0) + 1;
        for pair in first.. {
            let confirmation = Confirmation::of(&self.trials, &baseline);
            if confirmation.is_some_and(|confirmation| confirmation.is_decided())
                || self.is_stopped()
                || self.budget.left() < self.pair()
            {
                return Ok(());
            }
            let mut turns = [&baseline, &finalist];
            if Xoshiro256PlusPlus::seed_from_u64(self.bench.seed ^ pair << 32).random() {
                turns.reverse();
            }
            for values in turns {
                self.run(&Order {
                    phase: Phase::Confirmation,
                    pair: Some(pair),
                    strategy: "",
                    workload,
                    values,
                    min_psnr_db: self.min_psnr_db(values),
                    limit: self.limit(),
                    left: self.budget.left(),
                })?;
            }
        }
        Ok(())
    }

    /// The best ranked candidate, if it promises more than the baseline.
    pub(super) fn finalist(&self) -> Option<Values> {
        let baseline = self.rig.baseline();
        let ranking = ranking::rank(&self.trials);
        let usual = ranking.iter().find(|ranked| ranked.knobs == baseline)?;
        let best = ranking.first()?;
        let promises = best.score_s < usual.score_s * (1.0 - WORTH_HAVING);
        promises.then(|| best.knobs.clone())
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
