//! One tune: calibration, baseline, search, confirmation, in one journal.

mod bench;
mod proof;
mod searching;

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::budget::Budget;
use crate::calibrate;
use crate::journal::Journal;
use crate::measure::wire;
use crate::results::Folder;
use crate::settings::Knobs;
use crate::trial::{Phase, Trial};
use crate::workload::{Workload, WorkloadFile};

pub use bench::{Bench, Order};
pub use searching::Searching;

/// How much slower than the baseline a candidate may be before its trial is cut.
const SLOWEST: f64 = 3.0;

/// What rounding may change in a ratio.
const ROUNDING_DB: f64 = 0.5;

/// Above this a picture of 8 bits a colour is the very same.
const VISIBLE_DB: f64 = 80.0;

/// Told what happens, as it happens.
pub trait Watch {
    /// A trial starts.
    fn started(&self, order: &Order<'_>);
    /// A trial ended and is in the journal; all so far.
    fn finished(&self, trials: &[Trial]);
}

/// A tune under way.
pub struct Session<'a> {
    bench: &'a Bench,
    watch: &'a dyn Watch,
    budget: Budget,
    folder: &'a Folder,
    journal: Journal,
    trials: Vec<Trial>,
}

impl<'a> Session<'a> {
    /// A session that writes to `journal` in `folder`.
    pub fn new(
        bench: &'a Bench,
        watch: &'a dyn Watch,
        budget: Budget,
        folder: &'a Folder,
        journal: Journal,
    ) -> Self {
        Self { bench, watch, budget, folder, journal, trials: Vec::new() }
    }

    /// What its trials run with.
    pub fn bench(&self) -> &'a Bench {
        self.bench
    }

    /// All trials so far.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    fn run(&mut self, order: &Order<'_>) -> Result<Trial> {
        let trial = self.measure(order)?;
        self.record(trial)
    }

    fn measure(&self, order: &Order<'_>) -> Result<Trial> {
        self.watch.started(order);
        self.bench.run(self.journal.next_number(), order)
    }

    fn record(&mut self, trial: Trial) -> Result<Trial> {
        self.journal.append(&trial)?;
        self.keep_view(&trial)?;
        self.trials.push(trial.clone());
        self.watch.finished(&self.trials);
        Ok(trial)
    }

    /// Keeps the picture of a trial that differs from the reference's, and the reference's.
    fn keep_view(&self, trial: &Trial) -> Result<()> {
        let differs = trial.quality.is_some_and(|quality| quality.psnr_db < VISIBLE_DB);
        let view = self.bench.scratch.join(wire::TRIAL_VIEW);
        if !differs || !view.exists() {
            return Ok(());
        }
        let place = || self.folder.views().display().to_string();
        std::fs::create_dir_all(self.folder.views()).with_context(place)?;
        let reference = self.bench.scratch.join(wire::REFERENCE_VIEW);
        std::fs::copy(reference, self.folder.reference_view()).with_context(place)?;
        std::fs::copy(view, self.folder.trial_view(trial.number)).with_context(place)?;
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.bench.stop.load(Ordering::Relaxed)
    }

    /// Runs the baseline on the smallest size of `job` and says which one fits the machine.
    ///
    /// # Errors
    /// The baseline does not run here: nothing can be compared with it.
    pub fn calibrate(&mut self, job: &WorkloadFile) -> Result<Workload> {
        let knobs = self.bench.baseline.knobs.clone();
        let smallest = job.rung(0);
        let mut trial = self.measure(&self.of_baseline(Phase::Calibration, &smallest, &knobs))?;
        let bench = self.bench;
        let fits = |workload: &Workload| bench.bytes(workload, &knobs) <= bench.memory_bytes;
        let target_s = calibrate::target_s(self.budget.total());
        let fitted =
            trial.score_s().map(|score| calibrate::fit(job, &bench.parts, score, target_s, fits));
        if fitted.as_ref() == Some(&smallest) {
            // This was the baseline's trial already: a small budget can't pay for it twice.
            trial.phase = Phase::Baseline;
        }
        let trial = self.record(trial)?;
        self.needed(&trial)?;
        Ok(fitted.unwrap_or(smallest))
    }

    /// Measures the baseline, unless the calibration came to the same.
    ///
    /// # Errors
    /// As [`Session::calibrate`].
    pub fn baseline(&mut self, workload: &Workload) -> Result<()> {
        if self.trials.iter().any(|trial| trial.phase == Phase::Baseline) {
            return Ok(());
        }
        let knobs = self.bench.baseline.knobs.clone();
        let trial = self.run(&self.of_baseline(Phase::Baseline, workload, &knobs))?;
        self.needed(&trial).map(|_| ())
    }

    fn of_baseline<'o>(&self, phase: Phase, workload: &'o Workload, knobs: &'o Knobs) -> Order<'o> {
        let left = self.budget.left();
        let min_psnr_db = self.min_psnr_db(knobs);
        let (pair, limit, strategy) = (None, left, "");
        Order { phase, pair, strategy, workload, knobs, min_psnr_db, limit, left }
    }

    /// The worst picture that `knobs` may make: as bad as the user allows, or as the baseline's own
    /// tiles make it, which is what they would ship.
    fn min_psnr_db(&self, knobs: &Knobs) -> f64 {
        if *knobs == self.bench.baseline.knobs {
            return 0.0;
        }
        let baseline = self.trials.iter().find(|trial| trial.phase == Phase::Baseline);
        let quality = baseline.and_then(|trial| trial.quality);
        let usual = quality.map_or(f64::INFINITY, |quality| quality.worst_db() - ROUNDING_DB);
        usual.min(self.bench.min_psnr_db)
    }

    /// The score of a trial without which the tune makes no sense.
    fn needed(&self, trial: &Trial) -> Result<f64> {
        if self.is_stopped() {
            bail!("stopped before the baseline was measured; nothing can be said");
        }
        trial.score_s().with_context(|| {
            format!(
                "the baseline does not run here ({}): {}; see `wan22-tune measure --baseline`",
                trial.outcome, trial.detail
            )
        })
    }

    /// What is left for the search: all of it while there is nothing to confirm.
    fn left_for_search(&self) -> Duration {
        match self.finalist() {
            None => self.budget.left(),
            Some(_) => self.budget.left_for_search(self.baseline_trial()),
        }
    }

    fn baseline_trial(&self) -> Duration {
        let trial = self.trials.iter().find(|trial| trial.phase == Phase::Baseline);
        Duration::from_secs_f64(trial.map_or(1.0, |trial| trial.wall_s))
    }

    /// The time limit of a trial, from the baseline's.
    fn limit(&self) -> Duration {
        self.baseline_trial().mul_f64(SLOWEST) + Duration::from_secs(2)
    }
}
