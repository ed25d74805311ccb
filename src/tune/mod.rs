//! One tune: calibration, baseline, search, confirmation, in one journal.

mod aa_test;
mod bench;
pub mod budget;
pub mod calibrate;
mod confirm;
pub mod in_flight;
mod probe;
mod recovery;
mod remeasure;
mod rig;
mod round_order;
mod searching;
mod warm_start;

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::evidence::blame;
use crate::evidence::drift::Drift;
use crate::io::held;
use crate::knobs::Values;
use crate::results::Folder;
use crate::runner::protocol;
use crate::search::{self, Observation, Plan};
use crate::space::{Candidate, Space};
use crate::stats;
use crate::trial::journal::Journal;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::budget::Budget;
use crate::workload::custom::CustomJob;
use crate::workload::{Workload, WorkloadFile};

pub use aa_test::AaRunner;
pub use bench::{Bench, MIN_PSNR_DB, TrialRequest};
pub use recovery::BaselineFails;
pub use rig::Runner;
pub use searching::Searching;
pub use warm_start::Found;

/// How much slower than the baseline a candidate may be before its trial is cut.
const SLOWEST: f64 = 3.0;

/// What starting a process may take longer on a busy machine.
const MARGIN: Duration = Duration::from_secs(2);

/// What rounding may change in a ratio.
const ROUNDING_DB: f64 = 0.5;

/// Above this a picture of 8 bits a colour is the very same.
const VISIBLE_DB: f64 = 80.0;

/// Told what happens, as it happens.
pub trait Observer {
    /// A trial starts.
    fn started(&self, order: &TrialRequest<'_>);
    /// A trial ended and is in the journal; all so far.
    fn finished(&self, trials: &[Trial]);
    /// The search learnt something that a person should know.
    fn noted(&self, sentence: &str);
}

/// A tune under way.
pub struct Session<'a> {
    bench: &'a Bench,
    runner: &'a dyn Runner,
    observer: &'a dyn Observer,
    budget: Budget,
    folder: &'a Folder,
    journal: Journal,
    trials: Vec<Trial>,
    /// The most trials of the search.
    most_trials: usize,
    /// How many trials there were when it came back from a break, if it did.
    before: usize,
    is_back: bool,
    is_exhausted: bool,
    /// Seconds that it ran before the budget of now was given.
    earlier_s: f64,
}

impl<'a> Session<'a> {
    /// A session that writes to `journal` in `folder`.
    pub fn new(
        bench: &'a Bench,
        watch: &'a dyn Observer,
        budget: Budget,
        folder: &'a Folder,
        journal: Journal,
    ) -> Self {
        Self {
            bench,
            runner: bench,
            observer: watch,
            budget,
            folder,
            journal,
            trials: Vec::new(),
            most_trials: usize::MAX,
            before: 0,
            is_back: false,
            is_exhausted: false,
            earlier_s: 0.0,
        }
    }

    /// The same session with at most so many trials of the search.
    #[must_use]
    pub fn at_most(self, trials: Option<u32>) -> Self {
        Self { most_trials: trials.map_or(usize::MAX, |most| most as usize), ..self }
    }

    /// The same session with trials that `rig` runs instead of the bench.
    #[must_use]
    pub fn on(self, rig: &'a dyn Runner) -> Self {
        Self { runner: rig, ..self }
    }

    /// The same session after a break: these trials are in the journal.
    #[must_use]
    pub fn after(self, trials: Vec<Trial>) -> Self {
        Self { before: trials.len(), is_back: !trials.is_empty(), trials, ..self }
    }

    /// The same session, which had run for `spent_s` seconds before it came back.
    #[must_use]
    pub fn spent(self, spent_s: f64) -> Self {
        let earlier_s = spent_s - self.budget.gone().as_secs_f64();
        Self { earlier_s: earlier_s.max(0.0), ..self }
    }

    /// All trials so far.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// What the search learns of the trial at `place`: its score, as if the machine had stayed as it
    /// was, judged by what was known then.
    fn observation(&self, candidate: Candidate, place: usize) -> Observation {
        let trial = &self.trials[place];
        let seen = Observation::of(candidate, trial, self.too_slow());
        let factor = Drift::of(&self.trials[..=place]).factor(trial);
        Observation { finding: seen.finding.times(1.0 / factor), ..seen }
    }

    /// What the trial at `place` says of the candidate of its values; nothing where it is none of the
    /// space's, was interrupted, failed by the machine's fault, or is no news of it, as the baseline's later trials are, by which
    /// the machine's drift is judged.
    fn told_at(&self, space: &Space, place: usize) -> Option<Observation> {
        let trial = &self.trials[place];
        let tells = matches!(trial.phase, Phase::Baseline | Phase::Search | Phase::Repeat);
        if !tells || self.is_silent(place) {
            return None;
        }
        let candidate = space.canonical(&space.candidate(&trial.knobs)?);
        Some(self.observation(candidate, place))
    }

    /// Whether the trial at `place` says nothing of its candidate.
    fn is_silent(&self, place: usize) -> bool {
        blame::silent(&self.trials, &self.runner.baseline())[place]
    }

    /// Whether no more trials of `values` are worth their time: something always ends them.
    fn is_given_up(&self, values: &Values) -> bool {
        blame::is_given_up(&self.trials, &self.runner.baseline(), values)
    }

    /// Runs a trial, and sees to it that the machine is in order after a failure.
    fn run(&mut self, order: &TrialRequest<'_>) -> Result<Trial> {
        let trial = self.measure(order)?;
        let trial = self.record(trial)?;
        if !matches!(order.phase, Phase::Calibration | Phase::Baseline) {
            self.recover(order.workload)?;
        }
        Ok(trial)
    }

    fn measure(&self, order: &TrialRequest<'_>) -> Result<Trial> {
        self.observer.started(order);
        let number = self.journal.next_number();
        in_flight::note(self.folder, number, self.bench.seed, order)?;
        self.runner.run(number, order)
    }

    fn record(&mut self, trial: Trial) -> Result<Trial> {
        let spent_s = Some(self.earlier_s + self.budget.gone().as_secs_f64());
        let trial = Trial { spent_s, ..trial };
        self.journal.append(&trial)?;
        in_flight::clear(self.folder);
        self.keep_view(&trial)?;
        self.trials.push(trial.clone());
        self.observer.finished(&self.trials);
        Ok(trial)
    }

    /// Keeps the picture of a trial that differs from the reference's, and the reference's.
    fn keep_view(&self, trial: &Trial) -> Result<()> {
        let differs = trial.quality.is_some_and(|quality| quality.psnr_db < VISIBLE_DB);
        let scratch = held::now(&self.bench.scratch);
        let view = scratch.join(protocol::TRIAL_VIEW);
        if !differs || !view.exists() {
            return Ok(());
        }
        // A link that somebody put there would lead out of the folder.
        if self.folder.views().is_symlink() {
            return Ok(());
        }
        let place = || self.folder.views().display().to_string();
        std::fs::create_dir_all(self.folder.views()).with_context(place)?;
        let reference = scratch.join(protocol::REFERENCE_VIEW);
        std::fs::copy(reference, self.folder.reference_view()).with_context(place)?;
        std::fs::copy(view, self.folder.trial_view(trial.number)).with_context(place)?;
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.bench.stop.load(Ordering::Relaxed)
    }

    /// Measures the baseline, searches, and proves what was found.
    ///
    /// # Errors
    /// The baseline does not run, or the tuner itself can't go on.
    pub fn compete(&mut self, space: &Space, workload: &Workload, plan: Plan) -> Result<()> {
        self.baseline(workload)?;
        self.remeasure(workload)?;
        let before = 0..self.until_search(0);
        let known = before.filter_map(|place| self.told_at(space, place)).collect();
        let plan = Plan { known: [plan.known, known].concat(), ..plan };
        let strategy = &plan.strategy.to_string();
        let mut searching = Searching::new(&mut *self, space, workload, strategy);
        match search::run(space, &plan, &mut searching).why {
            search::End::Stopped(search::Stop::Broken(error)) => return Err(error),
            search::End::Stopped(_) => {}
            search::End::Exhausted => self.is_exhausted = true,
        }
        self.remeasure_finally(workload)?;
        self.confirm(workload)
    }

    /// Runs the baseline on the smallest size of `job` and says which one fits the machine and a
    /// tune of `budget_s` seconds; after a break, which one was found to.
    ///
    /// # Errors
    /// The baseline does not run here: nothing can be compared with it.
    pub fn calibrate(&mut self, job: &WorkloadFile, budget_s: f64) -> Result<Workload> {
        if let Some(baseline) = self.first(Phase::Baseline) {
            let mut sizes = (0..job.size_count()).map(|number| job.size(number));
            let found = sizes.find(|size| size.to_string() == baseline.workload);
            return found.with_context(|| format!("the job lost its size {}", baseline.workload));
        }
        let usual = self.runner.baseline();
        let smallest = job.size(0);
        let bench = self.bench;
        let fit = |score_s| {
            let knobs = &bench.baseline.knobs;
            let fits = |workload: &Workload| bench.bytes(workload, knobs) <= bench.memory_bytes;
            calibrate::fit(job, &bench.parts, score_s, calibrate::target_s(budget_s), fits)
        };
        if let Some(score_s) = self.first(Phase::Calibration).and_then(Trial::score_s) {
            return Ok(fit(score_s));
        }
        let trial = self.first_of_baseline(|session| {
            let order = session.of_baseline(Phase::Calibration, &smallest, &usual);
            let mut trial = session.measure(&order)?;
            if trial.score_s().map(fit).as_ref() == Some(&smallest) {
                // This was the baseline's trial already: a small budget can't pay for it twice.
                trial.phase = Phase::Baseline;
            }
            session.record(trial)
        })?;
        Ok(trial.score_s().map_or(smallest.clone(), fit))
    }

    /// Measures the baseline, unless the calibration came to the same.
    ///
    /// # Errors
    /// As [`Session::calibrate`].
    pub fn baseline(&mut self, workload: &Workload) -> Result<()> {
        if self.first(Phase::Baseline).is_some() {
            return Ok(());
        }
        let usual = self.runner.baseline();
        self.first_of_baseline(|session| {
            session.run(&session.of_baseline(Phase::Baseline, workload, &usual))
        })?;
        Ok(())
    }

    /// A trial without which the tune makes no sense, run again where somebody else ended it.
    fn first_of_baseline(&mut self, run: impl Fn(&mut Self) -> Result<Trial>) -> Result<Trial> {
        let mut trial = run(self)?;
        for _ in 1..blame::TRIES {
            if trial.outcome != Outcome::Interrupted || blame::is_cut(&trial) || self.is_stopped() {
                break;
            }
            trial = run(self)?;
        }
        self.needed(&trial)?;
        Ok(trial)
    }

    /// The first ok trial of a phase.
    fn first(&self, phase: Phase) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.phase == phase && trial.outcome == Outcome::Ok)
    }

    fn of_baseline<'o>(
        &self,
        phase: Phase,
        workload: &'o Workload,
        values: &'o Values,
    ) -> TrialRequest<'o> {
        let left = self.budget.left();
        TrialRequest {
            phase,
            pair: None,
            strategy: "",
            workload,
            values,
            min_psnr_db: self.min_psnr_db(values),
            limit: left,
            ready_s: None,
            left,
            early_stop_s: None,
        }
    }

    /// The worst picture that `values` may make: as bad as the user allows, or else as usual, or as
    /// the baseline's own tiles make it, which is what they would ship.
    fn min_psnr_db(&self, values: &Values) -> f64 {
        let baseline = self.runner.baseline();
        if *values == baseline {
            return 0.0;
        }
        let trial = self.trials.iter().find(|t| t.outcome == Outcome::Ok && t.knobs == baseline);
        let quality = trial.and_then(|trial| trial.quality);
        let usual = quality.map_or(f64::INFINITY, |quality| quality.worst_db() - ROUNDING_DB);
        self.bench.min_psnr_db.unwrap_or(usual.min(MIN_PSNR_DB))
    }

    /// The score of a trial without which the tune makes no sense.
    fn needed(&self, trial: &Trial) -> Result<f64> {
        if trial.score_s().is_none() && self.is_stopped() {
            bail!("stopped before the baseline was measured; nothing can be said");
        }
        trial.score_s().with_context(|| {
            if trial.outcome == Outcome::Interrupted && !blame::is_cut(trial) {
                return format!(
                    "the baseline was interrupted each time ({}), so that nothing is known yet; go on \
                     with `wan22-tune resume {}`",
                    trial.detail,
                    self.folder.path().display()
                );
            }
            if blame::is_cut(trial) {
                return "the budget was over before one run of the baseline ended: give more with \
                        --budget, or see how long it takes with "
                    .to_owned()
                    + self.how_to_measure();
            }
            format!(
                "the baseline does not run here ({}): {}; see {}",
                trial.outcome,
                trial.detail,
                self.how_to_measure()
            )
        })
    }

    /// What to type to see one trial of this job's baseline.
    fn how_to_measure(&self) -> &'static str {
        match &self.bench.own {
            None => "`wan22-tune measure --baseline`",
            Some(CustomJob::Command(_)) => "`wan22-tune measure --baseline -- COMMAND`",
            Some(CustomJob::Module(_)) => {
                "`wan22-tune measure --baseline --module FILE --inputs SHAPES`"
            }
        }
    }

    /// About how many trials the search can still pay for, if they take as long as the baseline's
    /// and find something to confirm.
    pub fn trials_left(&self) -> usize {
        let affords = self.left_beside_reserve().div_duration_f64(self.baseline_trial()) as usize;
        affords.min(self.most_trials.saturating_sub(self.searched()))
    }

    fn baseline_trial(&self) -> Duration {
        let trial = self.first(Phase::Baseline);
        Duration::from_secs_f64(trial.map_or(1.0, |trial| trial.wall_s))
    }

    /// What a trial of the search takes: the shorter of the baseline's and of their median.
    fn usual_trial(&self) -> Duration {
        let searched = self.trials.iter().filter(|trial| trial.phase == Phase::Search);
        let walls: Vec<f64> = searched.map(|trial| trial.wall_s).collect();
        let median = stats::median(&walls).map(Duration::from_secs_f64);
        median.map_or(self.baseline_trial(), |median| median.min(self.baseline_trial()))
    }

    /// One of a pair's two.
    fn trial_in_pair(&self) -> Duration {
        budget::in_pair(&self.trials, self.bench.repetitions).unwrap_or(Duration::from_secs(1))
    }

    /// The cost that a candidate has at least whose trial ran past its limit.
    fn too_slow(&self) -> Option<f64> {
        let baseline = self.trials.iter().find(|trial| trial.phase == Phase::Baseline);
        baseline.and_then(|trial| Some(SLOWEST * trial.score_s()?))
    }

    /// The seconds in which a candidate has to be ready: warming up is much like measuring, and what
    /// takes so much longer at that has no hope.
    fn ready_s(&self) -> Option<f64> {
        let setup_s = self.first(Phase::Baseline)?.setup_s?;
        Some(SLOWEST * setup_s + MARGIN.as_secs_f64())
    }

    /// The time limit of a trial, from the baseline's; none before that was measured.
    fn limit(&self) -> Option<Duration> {
        self.first(Phase::Baseline)?;
        Some(self.baseline_trial().mul_f64(SLOWEST) + MARGIN)
    }
}
