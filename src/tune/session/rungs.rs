//! Rungs of a session: on which slices, or sizes, of the job it searches and confirms.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Session;
use crate::evidence::blame::{self, BASELINE_MEMORY, MEMORY_TEST};
use crate::knobs::Values;
use crate::runner::{Repetitions, TrialRequest};
use crate::space::Space;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::calibrate::{self, Rungs};
use crate::tune::policy::{Confirmations, FirstBaseline};
use crate::workload::{Workload, WorkloadFile};

/// Who asks for the baseline on other sizes.
const CLIMB: &str = "sizes";

/// How often the baseline is run on a size where something interrupts it.
const TRIES: u32 = 2;

/// A finalist's memory is tested in no more than what is left divided by this.
const MEMORY_TEST_SHARE: u32 = 8;

impl Session<'_> {
    /// Runs the baseline on the smallest slice of `job` and says which ones fit, by that trial; after
    /// a break, by the trial before it.
    ///
    /// # Errors
    /// The baseline does not run here: nothing can be compared with it.
    pub fn calibrate(
        &mut self,
        job: &WorkloadFile,
        fit: impl Fn(&Trial) -> Rungs,
    ) -> Result<Rungs> {
        let smallest = job.size(0);
        let mut first = FirstBaseline { phase: Phase::Calibration, workload: &smallest };
        while self.state.first_of_baseline().is_none() && self.goes_on(&mut [&mut first])? {
            let Some(trial) = self.wait()? else { continue };
            let is_scored = trial.score().is_some();
            self.is_calibration_baseline = is_scored && fit(&trial).search == smallest;
            self.record(trial)?;
        }
        self.bound();
        self.state.first_of_baseline().map(fit).with_context(|| self.unmeasured())
    }

    /// Measures the baseline on the sizes of the user's own job, from the smallest to the largest of which
    /// the budget pays for pairs; after a break, by the trials before it.
    ///
    /// # Errors
    /// The baseline does not run on the smallest: nothing can be compared with it.
    pub fn climb(&mut self, sizes: &[Workload], memory: Vec<Workload>) -> Result<Rungs> {
        let [smallest, larger @ ..] = sizes else { unreachable!("a job has a size") };
        self.baseline(smallest)?;
        let mut rungs = Rungs::same(smallest.clone());
        let mut fails = false;
        for size in larger {
            let Some(trial) = self.baseline_at(size)? else {
                self.note_stop(size);
                break;
            };
            if trial.outcome != Outcome::Ok {
                let Trial { outcome, detail, .. } = &trial;
                let limit = "the confirmation runs a smaller size";
                self.state.observer.noted(&format!("{size}: {outcome} ({detail}): {limit}"));
                fails = outcome.is_failure() && *outcome != Outcome::Timeout;
                break;
            }
            let small = self.state.first(Phase::Baseline).with_context(|| self.unmeasured())?;
            (rungs.ratio, rungs.confirmation) = (calibrate::ratio(small, &trial), size.clone());
        }
        let is_whole = larger.last().is_none_or(|whole| *whole == rungs.confirmation);
        // What the baseline itself can't run tells nothing of a finalist.
        rungs.memory = if is_whole || fails { Vec::new() } else { memory };
        self.state.confirmation_ratio = rungs.ratio;
        Ok(rungs)
    }

    /// One repetition of the baseline on another size, or the one before a break; again where it was
    /// interrupted, and none where the tune is stopped.
    fn baseline_at(&mut self, size: &Workload) -> Result<Option<Trial>> {
        if let Some(before) = self.ran(CLIMB, size, &self.state.baseline) {
            return Ok(Some(before.clone()));
        }
        let limit = self.state.budget.total().mul_f64(calibrate::PAIR_SHARE);
        let mut last = None;
        for _ in 0..TRIES {
            last = self.once(size, self.state.baseline.clone(), (CLIMB, limit))?;
            let is_over = last.as_ref().is_none_or(|trial| trial.outcome != Outcome::Interrupted);
            if is_over || self.state.is_stopped() {
                break;
            }
        }
        Ok(last.filter(|trial| trial.outcome != Outcome::Interrupted || !self.state.is_stopped()))
    }

    /// Says that a size was not measured, of which nothing follows.
    fn note_stop(&self, size: &Workload) {
        let go_on = self.state.config.resume_with.as_ref();
        let go_on = go_on.map(|command| format!(": {command} does that")).unwrap_or_default();
        let note = format!("{size}: stopped before the baseline ran it{go_on}");
        self.state.observer.noted(&note);
    }

    /// Runs each finalist where it needs the whole job's memory, before it is believed.
    pub(super) fn test_memory(&mut self, space: &Space, rungs: &Rungs) -> Result<()> {
        for (number, whole) in rungs.memory.iter().enumerate() {
            while let Some((strategy, values)) = self.next_test(space, rungs, whole) {
                let limit = self.state.budget.left() / MEMORY_TEST_SHARE;
                self.once(whole, values, (strategy, limit))?;
            }
            if !blame::is_beyond_baseline(self.trials(), &whole.to_string()) {
                return Ok(());
            }
            let instead = match rungs.memory.get(number + 1) {
                Some(next) => format!("finalists are tested at {next}"),
                None => "nothing tests whether the whole job fits into memory".to_owned(),
            };
            let note = format!("{whole}: the baseline fails there, too: {instead}");
            self.state.observer.noted(&note);
        }
        Ok(())
    }

    /// What to run at a size of the whole job's memory: each finalist once, and where one fails, the
    /// baseline, which may be unable to run that at all.
    fn next_test(
        &self,
        space: &Space,
        rungs: &Rungs,
        whole: &Workload,
    ) -> Option<(&'static str, Values)> {
        let (baseline, size) = (&self.state.baseline, whole.to_string());
        let is_over = self.state.is_stopped() || self.state.budget.left().is_zero();
        if is_over || blame::is_beyond_baseline(self.trials(), &size) {
            return None;
        }
        let mut tests = blame::memory_tests(self.trials());
        let is_open = |values: &Values, strategy| {
            self.ran(strategy, whole, values).is_none() && !self.state.is_given_up(values)
        };
        if tests.any(|test| test.workload == size && blame::lacks_memory(&test))
            && is_open(baseline, BASELINE_MEMORY)
        {
            return Some((BASELINE_MEMORY, baseline.clone()));
        }
        let confirmations = Confirmations::of_search(space, &rungs.confirmation, &self.state);
        let mut finalists = confirmations.finalists().iter();
        let untested = finalists.find(|values| is_open(values, MEMORY_TEST));
        untested.map(|values| (MEMORY_TEST, values.clone()))
    }

    /// The single repetition of `values` on this size that ended by itself.
    fn ran(&self, strategy: &str, size: &Workload, values: &Values) -> Option<&Trial> {
        let size = size.to_string();
        self.trials().iter().rev().find(|trial| {
            trial.phase == Phase::Calibration
                && (trial.strategy.as_str(), &trial.workload) == (strategy, &size)
                && trial.knobs == *values
                && trial.outcome != Outcome::Interrupted
        })
    }

    /// A single repetition of `values` on another size than that of the search; none where the tune is
    /// stopped.
    fn once(
        &mut self,
        size: &Workload,
        values: Values,
        (strategy, limit): (&str, Duration),
    ) -> Result<Option<Trial>> {
        let Some(node) = self.idle()? else { return Ok(None) };
        self.state.ask_for(node);
        let left = self.state.budget.left();
        let request = self.state.request(Phase::Calibration, size, values, left);
        let (repetitions, strategy) = (Repetitions::exactly(1), strategy.to_owned());
        let number = self.start(node, TrialRequest { repetitions, limit, strategy, ..request })?;
        // The baseline's first trial may end on other nodes meanwhile.
        while self.state.running.iter().any(|(_, request)| request.number == number) {
            self.end_one()?;
        }
        Ok(self.trials().iter().rev().find(|trial| trial.number == number).cloned())
    }
}
