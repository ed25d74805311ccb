//! Session: the one loop of a tune. Policies say what to run next, the runner runs it, the journal keeps
//! it, and the policies are asked again.

use std::time::Duration;

use anyhow::{Context, Result};

use super::budget::Budget;
use super::calibrate::{self, Rungs};
use super::config::TuneConfig;
use super::in_flight;
use super::observations::{self, Observations};
use super::observer::Observer;
use super::policy::{
    Confirmations, FinalRemeasurement, FirstBaseline, Invalidated, Next, Policy, Probes, Recovery,
    RemeasureWhen, Repeats, Reruns, Retries, Search, Sentinels, is_decided,
};
use super::record::Record;
use super::state::State;
use crate::evidence::blame::{self, MEMORY_TEST};
use crate::knobs::Values;
use crate::results::Folder;
use crate::runner::{Repetitions, Runner, TrialRequest};
use crate::search::pruning::Pruned;
use crate::search::{Plan, remeasure};
use crate::space::{Ended, Space};
use crate::trial::journal::Journal;
use crate::trial::{Outcome, Phase, Trial};
use crate::workload::{Workload, WorkloadFile};

/// Who asks for the baseline on other sizes.
const CLIMB: &str = "sizes";

/// A finalist's memory is tested in no more than what is left divided by this.
const MEMORY_TEST_SHARE: u32 = 8;

/// A tune under way.
pub struct Session<'a> {
    state: State<'a>,
    record: Option<Record<'a>>,
    is_exhausted: bool,
    /// Seconds that it ran before the budget of now was given.
    earlier_s: f64,
}

impl<'a> Session<'a> {
    /// A session of which nothing is kept but what it has in memory.
    pub fn new(
        config: &'a TuneConfig,
        runner: &'a dyn Runner,
        observer: &'a dyn Observer,
        budget: Budget,
    ) -> Self {
        let state = State::new(config, runner, observer, budget);
        Self { state, record: None, is_exhausted: false, earlier_s: 0.0 }
    }

    /// The same session, which writes to `journal` in `folder`.
    #[must_use]
    pub fn recording(self, folder: &'a Folder, journal: Journal) -> Self {
        Self { record: Some(Record { folder, journal }), ..self }
    }

    /// The same session after a break: these trials are in the journal.
    #[must_use]
    pub fn after(mut self, trials: Vec<Trial>) -> Self {
        self.state.resume(trials);
        self
    }

    /// The same session, which had run for `spent_s` seconds before it came back.
    #[must_use]
    pub fn spent(self, spent_s: f64) -> Self {
        let earlier_s = spent_s - self.state.budget.gone().as_secs_f64();
        Self { earlier_s: earlier_s.max(0.0), ..self }
    }

    /// All trials so far.
    pub fn trials(&self) -> &[Trial] {
        self.state.trials()
    }

    /// About how many trials the search can still pay for, if they take as long as the baseline's
    /// and find something to confirm.
    pub fn trials_left(&self) -> usize {
        self.state.trials_left()
    }

    /// Runs what `policies` want, the first before the others, until none wants anything.
    fn drive<'p>(&mut self, policies: &mut [&mut dyn Policy<'p>]) -> Result<()>
    where
        'a: 'p,
    {
        loop {
            self.gather(policies)?;
            if self.state.pending.is_empty() {
                return Ok(());
            }
            let requests = std::mem::take(&mut self.state.pending);
            for request in requests {
                if self.state.is_stopped() {
                    break;
                }
                let trial = self.run(request)?;
                self.record(trial)?;
            }
        }
    }

    /// Fills up what is pending, as long as nothing has to wait for it.
    fn gather<'p>(&mut self, policies: &mut [&mut dyn Policy<'p>]) -> Result<()>
    where
        'a: 'p,
    {
        while self.state.pending.len() < self.state.config.parallel && !self.state.is_stopped() {
            let is_first = self.state.pending.is_empty();
            match self.next(policies)? {
                Some(Next::Beside(request)) => self.state.pending.push(request),
                Some(Next::Alone(request)) if is_first => {
                    self.state.pending.push(request);
                    return Ok(());
                }
                Some(Next::After(pause, sentence, request)) if is_first => {
                    self.pause(pause, sentence.as_deref());
                    self.state.pending.push(request);
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn next<'p>(&self, policies: &mut [&mut dyn Policy<'p>]) -> Result<Option<Next>>
    where
        'a: 'p,
    {
        for policy in policies {
            if let Some(next) = policy.next(&self.state)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    fn pause(&self, time: Duration, sentence: Option<&str>) {
        sentence.into_iter().for_each(|sentence| self.state.observer.noted(sentence));
        self.state.runner.pause(time, &|| self.state.is_stopped());
    }

    fn run(&self, request: TrialRequest) -> Result<Trial> {
        let next = self.record.as_ref().map(|record| record.journal.next_number());
        let number = next.unwrap_or(self.trials().len() as u64 + 1);
        let request = TrialRequest { number, ..request };
        self.state.observer.started(&request);
        if let Some(record) = &self.record {
            in_flight::note(record.folder, &request)?;
        }
        let trial = self.state.runner.run(&request);
        self.state.runner.news().iter().for_each(|news| self.state.observer.noted(news));
        trial
    }

    /// Appends a trial to the journal.
    fn record(&mut self, trial: Trial) -> Result<()> {
        let spent_s = Some(self.earlier_s + self.state.budget.gone().as_secs_f64());
        let trial = Trial { spent_s, ..trial };
        if let Some(record) = &mut self.record {
            record.append(&trial, self.state.runner.pictures())?;
        }
        self.state.add(trial);
        self.state.observer.finished(self.state.trials());
        Ok(())
    }

    /// Measures the baseline, searches, and confirms what was found.
    ///
    /// # Errors
    /// The baseline does not run, or the tuner itself can't go on.
    pub fn compete(&mut self, space: &Space, rungs: &Rungs, plan: Plan) -> Result<()> {
        self.state.confirmation_ratio = rungs.ratio;
        self.search(space, &rungs.search, plan)?;
        let workload = &rungs.confirmation;
        self.test_memory(space, rungs)?;
        let mut confirmations = Confirmations::of_search(space, workload, &self.state);
        self.drive(&mut [&mut Recovery { workload }, &mut confirmations])
    }

    /// Measures the baseline, searches, and measures again what the noise can't tell from the best.
    ///
    /// # Errors
    /// As [`Session::compete`].
    pub fn search(&mut self, space: &Space, workload: &Workload, plan: Plan) -> Result<()> {
        self.baseline(workload)?;
        let strategy = plan.strategy.to_string();
        let mut search = Search::new(space, workload, plan, &self.state);
        self.drive(&mut [
            &mut Recovery { workload },
            &mut Sentinels { stage: RemeasureWhen::Search, workload },
            &mut Invalidated { stage: RemeasureWhen::Search, workload },
            &mut Repeats::new(space, workload),
            &mut Retries { strategy: &strategy, workload },
            &mut search,
        ])?;
        self.is_exhausted = search.is_exhausted;
        self.drive(&mut [
            &mut Recovery { workload },
            &mut Sentinels { stage: RemeasureWhen::Final, workload },
            &mut Invalidated { stage: RemeasureWhen::Final, workload },
            &mut FinalRemeasurement { workload },
        ])
    }

    /// Runs `values` against the baseline until the answer is clear or the budget spent; the
    /// baseline itself, a few times.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn verify(&mut self, workload: &Workload, values: &Values) -> Result<()> {
        if *values == self.state.baseline {
            return self.drive(&mut [&mut Recovery { workload }, &mut Reruns { workload }]);
        }
        let mut confirmations = Confirmations::of(workload, vec![values.clone()], &self.state);
        self.drive(&mut [&mut Recovery { workload }, &mut confirmations])
    }

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
        while !self.state.is_stopped()
            && let Some(Next::Alone(request)) = first.next(&self.state)?
        {
            let mut trial = self.run(request)?;
            if trial.score_s().is_some() && fit(&trial).search == smallest {
                // This was the baseline's trial already: a small budget can't pay for it twice.
                trial.phase = Phase::Baseline;
            }
            self.record(trial)?;
        }
        let phases = [Phase::Calibration, Phase::Baseline];
        let first = phases.into_iter().find_map(|phase| self.state.first(phase));
        first.map(fit).context(STOPPED)
    }

    /// Measures the baseline on the sizes of the user's own job, from the smallest to the largest of which
    /// the budget pays for pairs; after a break, by the trials before it.
    ///
    /// # Errors
    /// The baseline does not run on the smallest: nothing can be compared with it.
    pub fn climb(&mut self, sizes: &[Workload], memory: Option<Workload>) -> Result<Rungs> {
        let [smallest, larger @ ..] = sizes else { unreachable!("a job has a size") };
        self.baseline(smallest)?;
        let mut rungs = Rungs::same(smallest.clone());
        for size in larger {
            let trial = self.baseline_at(size)?;
            if trial.outcome != Outcome::Ok {
                let Trial { outcome, detail, .. } = &trial;
                let limit = "the confirmation runs a smaller size";
                self.state.observer.noted(&format!("{size}: {outcome} ({detail}): {limit}"));
                break;
            }
            let small = self.state.first(Phase::Baseline).context(STOPPED)?;
            (rungs.ratio, rungs.confirmation) = (calibrate::ratio(small, &trial), size.clone());
        }
        let is_whole = larger.last().is_none_or(|whole| *whole == rungs.confirmation);
        rungs.memory = memory.filter(|_| !is_whole);
        self.state.confirmation_ratio = rungs.ratio;
        Ok(rungs)
    }

    /// One repetition of the baseline on another size, or the one before a break.
    fn baseline_at(&mut self, size: &Workload) -> Result<Trial> {
        let before =
            self.trials().iter().rev().find(|trial| {
                trial.phase == Phase::Calibration && trial.workload == size.to_string()
            });
        if let Some(before) = before.filter(|before| before.outcome != Outcome::Interrupted) {
            return Ok(before.clone());
        }
        let limit = self.state.budget.total().mul_f64(calibrate::PAIR_SHARE);
        self.once(size, self.state.baseline.clone(), (CLIMB, limit))
    }

    /// Runs each finalist where it needs the whole job's memory, before it is believed.
    fn test_memory(&mut self, space: &Space, rungs: &Rungs) -> Result<()> {
        let Some(whole) = &rungs.memory else { return Ok(()) };
        while !self.state.is_stopped() {
            let confirmations = Confirmations::of_search(space, &rungs.confirmation, &self.state);
            let finalists = confirmations.finalists();
            let is_tested = |values: &&Values| blame::memory_test(self.trials(), values).is_some();
            let untested = finalists.iter().find(|values| !is_tested(values));
            let Some(values) = untested.cloned() else { return Ok(()) };
            let limit = self.state.budget.left() / MEMORY_TEST_SHARE;
            self.once(whole, values, (MEMORY_TEST, limit))?;
        }
        Ok(())
    }

    /// A single repetition of `values` on another size than that of the search.
    fn once(
        &mut self,
        size: &Workload,
        values: Values,
        (strategy, limit): (&str, Duration),
    ) -> Result<Trial> {
        let left = self.state.budget.left();
        let request = self.state.request(Phase::Calibration, size, values, left);
        let repetitions = Repetitions::exactly(1);
        let trial = self.run(TrialRequest {
            repetitions,
            limit,
            strategy: strategy.to_owned(),
            ..request
        })?;
        self.record(trial)?;
        self.trials().last().cloned().context(STOPPED)
    }

    /// Measures the baseline, unless the calibration came to the same.
    ///
    /// # Errors
    /// As [`Session::calibrate`].
    pub fn baseline(&mut self, workload: &Workload) -> Result<()> {
        self.drive(&mut [&mut FirstBaseline { phase: Phase::Baseline, workload }])?;
        self.state.first(Phase::Baseline).map(drop).context(STOPPED)
    }

    /// Tries knobs that are handed over at all their values, where the search can pay for it, and
    /// returns the space in which those that are not read rest.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn probe(&mut self, space: &Space, workload: &Workload) -> Result<Space> {
        let mut probes = Probes::new(space, workload, &self.state);
        self.drive(&mut [
            &mut Recovery { workload },
            &mut Sentinels { stage: RemeasureWhen::Search, workload },
            &mut Invalidated { stage: RemeasureWhen::Search, workload },
            &mut probes,
        ])?;
        let ignored = Pruned::of(space, self.trials()).ignored;
        Ok(space.freeze(ignored.into_iter().flat_map(|ignored| ignored.knobs)))
    }

    /// The candidates that may be worth having instead of the baseline, the likeliest to be the fastest
    /// first.
    pub fn promising(&self) -> &[Values] {
        self.state.promising()
    }

    /// The candidate of `space` to keep where nothing is confirmed: the cheapest, by what a model takes
    /// for true where noise can be seen.
    pub fn best(&self, space: &Space) -> Option<Values> {
        let observations = Observations::of(space).told(&self.state);
        let best = remeasure::choose(space, &observations)?;
        Some(observations::values(&self.state.baseline, space, &best))
    }

    /// How the tune ended, once [`Session::compete`] is over.
    pub fn ended(&self) -> Ended {
        if self.state.is_stopped() {
            Ended::Stopped
        } else if is_decided(&self.state) {
            Ended::Decided
        } else if self.is_exhausted
            && !self.trials().iter().any(|trial| trial.phase == Phase::Confirmation)
            && self.promising().is_empty()
        {
            Ended::Exhausted
        } else {
            Ended::Budget
        }
    }
}

const STOPPED: &str = "stopped before the baseline was measured; nothing can be said";
