//! State: the trials of a tune so far, and what follows from them for the next one.

mod nodes;

use std::cell::OnceCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::nodes::Node;
use crate::evidence::confirmation::pairs_for;
use crate::evidence::drift::Drift;
use crate::evidence::{blame, ranking, win_probability};
use crate::knobs::Values;
use crate::runner::{Repetitions, Runner, TrialRequest};
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::budget::{self, Budget, Pairs};
use crate::tune::config::{MIN_PSNR_DB, TuneConfig};
use crate::tune::observer::Observer;
use crate::tune::policy::is_proposed;
use crate::workload::Workload;

/// How much slower than the baseline a candidate may be before its trial is cut.
const CUT_RATIO: f64 = 3.0;

/// What starting a process may take longer on a busy machine.
const START_MARGIN: Duration = Duration::from_secs(2);

/// A budget with room for this many runs of a command pays for several in a trial: twenty trials of
/// three.
const MANY_RUNS: f64 = 60.0;

/// What rounding may change in a ratio.
const ROUNDING_DB: f64 = 0.5;

/// Candidates this much less likely to be the fastest than the likeliest are no finalists.
pub(in crate::tune) const FINALIST_LEAST_P_BEST: f64 = 0.02;

/// The probability of a gain worth having from which a candidate may be a finalist.
const FINALIST_LEAST_P_GAIN: f64 = 0.25;

/// A candidate is given up when its first repetition is this many deviations off.
const EARLY_STOP_DEVIATIONS: f64 = 6.0;

/// And when it is this many times as slow as the best.
const EARLY_STOP_RATIO: f64 = 1.5;

/// What policies decide by.
pub struct State<'a> {
    pub(in crate::tune) config: &'a TuneConfig,
    pub(in crate::tune) runner: &'a dyn Runner,
    pub(in crate::tune) observer: &'a dyn Observer,
    pub(in crate::tune) budget: Budget,
    pub(in crate::tune) baseline: Values,
    trials: Vec<Trial>,
    /// The nodes, of which one machine by itself is one.
    nodes: Vec<Node>,
    /// The one that is to be given a trial.
    place: usize,
    /// What runs, with the places of its nodes.
    pub(in crate::tune) running: Vec<(usize, TrialRequest)>,
    /// How many times as long as one of the search a repetition of the confirmation takes.
    pub(in crate::tune) confirmation_ratio: f64,
    drift: OnceCell<Drift>,
    promising: OnceCell<Vec<Values>>,
}

impl<'a> State<'a> {
    /// Before the first trial.
    pub(in crate::tune) fn new(
        config: &'a TuneConfig,
        runner: &'a dyn Runner,
        observer: &'a dyn Observer,
        budget: Budget,
    ) -> Self {
        Self {
            config,
            runner,
            observer,
            budget,
            baseline: runner.baseline(),
            trials: Vec::new(),
            nodes: vec![Node::default()],
            place: 0,
            running: Vec::new(),
            confirmation_ratio: 1.0,
            drift: OnceCell::new(),
            promising: OnceCell::new(),
        }
    }

    /// All trials so far.
    pub(in crate::tune) fn trials(&self) -> &[Trial] {
        &self.trials
    }

    pub(in crate::tune) fn is_stopped(&self) -> bool {
        self.config.stop.load(Ordering::Relaxed)
    }

    /// The machine's drift, by all trials.
    pub(in crate::tune) fn drift(&self) -> &Drift {
        self.drift.get_or_init(|| Drift::of(&self.trials))
    }

    /// The first ok trial of a phase.
    pub(in crate::tune) fn first(&self, phase: Phase) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.phase == phase && trial.outcome == Outcome::Ok)
    }

    /// The baseline's first ok trial.
    pub(in crate::tune) fn first_of_baseline(&self) -> Option<&Trial> {
        [Phase::Calibration, Phase::Baseline].into_iter().find_map(|phase| self.first(phase))
    }

    /// Whether no more trials of `values` are worth their time: something always ends them.
    pub(in crate::tune) fn is_given_up(&self, values: &Values) -> bool {
        blame::is_given_up(&self.trials, &self.baseline, values)
    }

    /// How many trials of the search came to an end.
    pub(in crate::tune) fn searched(&self) -> usize {
        let ended = |t: &&Trial| t.phase == Phase::Search && t.outcome != Outcome::Interrupted;
        self.trials.iter().filter(ended).count()
    }

    /// How many trials the search's strategy proposed.
    pub(in crate::tune) fn proposed(&self) -> usize {
        self.trials.iter().filter(|trial| is_proposed(trial)).count()
    }

    /// A request for a trial of `values` that may take as long as any.
    pub(in crate::tune) fn request(
        &self,
        phase: Phase,
        workload: &Workload,
        values: Values,
        left: Duration,
    ) -> TrialRequest {
        TrialRequest {
            number: 0,
            node: self.node().to_owned(),
            phase,
            seed: self.config.seed,
            long_s: Some(self.budget.total().as_secs_f64() / MANY_RUNS),
            min_psnr_db: self.min_psnr_db(&values),
            limit: self.limit(phase).unwrap_or(left),
            ..TrialRequest::alone(workload.clone(), values, self.repetitions_in(phase), left)
        }
    }

    /// A request of the search, which gives a candidate up early that is far off; `None` where the budget
    /// does not pay for one more.
    pub(in crate::tune) fn search_request(
        &self,
        strategy: &str,
        workload: &Workload,
        values: Values,
    ) -> Option<TrialRequest> {
        let left = self.left_for_search();
        let request = self.request(Phase::Search, workload, values, left);
        self.affords_search().then(|| TrialRequest {
            strategy: strategy.to_owned(),
            ready_s: self.ready_s(),
            early_stop_s: self.early_stop_s(),
            ..request
        })
    }

    /// Whether the budget pays for one more trial of the search, beside those that run.
    pub(in crate::tune) fn affords_search(&self) -> bool {
        let searches = |(_, request): &&(usize, TrialRequest)| request.phase == Phase::Search;
        let running = self.running.iter().filter(searches).count();
        self.left_for_search() >= self.usual_trial()
            && self.searched() + running < self.config.most_trials
    }

    /// The worst picture that `values` may make: as bad as the user allows, or else as usual, or as
    /// the baseline's own tiles make it, which is what they would ship.
    fn min_psnr_db(&self, values: &Values) -> f64 {
        let baseline = &self.baseline;
        if values == baseline {
            return 0.0;
        }
        let trial = self.trials.iter().find(|t| t.outcome == Outcome::Ok && t.knobs == *baseline);
        let quality = trial.and_then(|trial| trial.quality);
        let usual = quality.map_or(f64::INFINITY, |quality| quality.worst_db() - ROUNDING_DB);
        self.config.min_psnr_db.unwrap_or(usual.min(MIN_PSNR_DB))
    }

    /// About how many trials the search can still pay for, if they take as long as the baseline's
    /// and find something to confirm.
    pub(in crate::tune) fn trials_left(&self) -> usize {
        let on_one = self.left_beside_reserve().div_duration_f64(self.baseline_trial());
        let affords = (on_one * f64::from(self.width())) as usize;
        affords.min(self.config.most_trials.saturating_sub(self.searched()))
    }

    /// What a trial of the baseline takes.
    pub(in crate::tune) fn baseline_trial(&self) -> Duration {
        let trial = self.first(Phase::Baseline);
        Duration::from_secs_f64(trial.map_or(1.0, |trial| trial.wall_s))
    }

    /// What a trial of the search takes: the shorter of the baseline's and of their median.
    fn usual_trial(&self) -> Duration {
        let median = budget::in_search(&self.trials);
        median.map_or(self.baseline_trial(), |median| median.min(self.baseline_trial()))
    }

    /// Whether a command's runs are so long that a trial is one of them.
    pub(in crate::tune) fn has_long_runs(&self) -> bool {
        let usual = self.config.repetitions;
        usual != self.repetitions() && self.repetitions() == Repetitions::exactly(1)
    }

    /// How often a trial measures.
    fn repetitions(&self) -> Repetitions {
        self.config.repetitions.decided(&self.trials)
    }

    /// How often a trial of this phase measures: once where a repetition of a slice is long for the budget,
    /// unless the user says how often.
    fn repetitions_in(&self, phase: Phase) -> Repetitions {
        let usual = self.repetitions();
        let ratio = if phase == Phase::Confirmation { self.confirmation_ratio } else { 1.0 };
        let one_s = self.first(Phase::Baseline).map_or(0.0, |trial| trial.measuring_s(1));
        let is_long = ratio * one_s > self.budget.total().as_secs_f64() / MANY_RUNS;
        let is_given = usual.least == usual.most;
        if is_long && !is_given { Repetitions::exactly(1) } else { usual.in_phase(phase) }
    }

    /// One of a pair's two.
    pub(in crate::tune) fn trial_in_pair(&self) -> Duration {
        let trial = budget::in_pair(&self.trials, self.repetitions());
        trial.unwrap_or(Duration::from_secs(1)).mul_f64(self.confirmation_ratio)
    }

    /// The cost that a candidate has at least whose trial ran past its limit.
    pub(in crate::tune) fn too_slow(&self) -> Option<f64> {
        let baseline = self.trials.iter().find(|trial| trial.phase == Phase::Baseline);
        baseline.and_then(|trial| Some(CUT_RATIO * trial.score()?))
    }

    /// The seconds in which a candidate has to be ready: warming up is much like measuring, and what
    /// takes so much longer at that has no hope.
    fn ready_s(&self) -> Option<f64> {
        let setup_s = self.first(Phase::Baseline)?.setup_s?;
        Some(CUT_RATIO * setup_s + START_MARGIN.as_secs_f64())
    }

    /// The time limit of a trial, from the baseline's; none before that was measured.
    fn limit(&self, phase: Phase) -> Option<Duration> {
        self.first(Phase::Baseline)?;
        let ratio = if phase == Phase::Confirmation { self.confirmation_ratio } else { 1.0 };
        Some(self.baseline_trial().mul_f64(CUT_RATIO * ratio) + START_MARGIN)
    }

    /// What the baseline's first trial takes on any node at the most, once it is known on one.
    pub(in crate::tune) fn longest_first(&self) -> Option<Duration> {
        let wall = Duration::from_secs_f64(self.first_of_baseline()?.wall_s);
        Some(wall.mul_f64(CUT_RATIO) + START_MARGIN)
    }

    /// The cost above which a candidate is given up after its first repetition: far from the best so
    /// far, however noisy the machine.
    fn early_stop_s(&self) -> Option<f64> {
        let drift = self.drift();
        let best_s = ranking::rank(&self.trials, drift).first()?.score_s;
        let now = self.own_trials().last().map_or(1.0, |trial| drift.factor(trial));
        Some(best_s * now * (EARLY_STOP_DEVIATIONS * drift.deviation()).exp().max(EARLY_STOP_RATIO))
    }

    fn without(&self, lacking: &[&Values]) -> Vec<Trial> {
        self.trials.iter().filter(|trial| !lacking.contains(&&trial.knobs)).cloned().collect()
    }

    /// What is left for the search: all of it while there is nothing to confirm.
    pub(in crate::tune) fn left_for_search(&self) -> Duration {
        if self.promising().is_empty() { self.budget.left() } else { self.left_beside_reserve() }
    }

    /// The share of the search that is left: 1 at its beginning, 0 at its end.
    pub(in crate::tune) fn share_left(&self) -> f64 {
        let (left, gone) = (self.left_for_search(), self.budget.gone());
        let of_time = left.as_secs_f64() / (left + gone).as_secs_f64().max(f64::MIN_POSITIVE);
        let of_trials = 1.0 - self.searched() as f64 / self.config.most_trials as f64;
        of_time.min(of_trials)
    }

    /// What is left beside what the confirmation keeps.
    pub(in crate::tune) fn left_beside_reserve(&self) -> Duration {
        let wanted = pairs_for(self.drift()) / f64::from(self.width());
        let search = budget::in_search(&self.trials);
        self.budget.left_for_search(Pairs { trial: self.trial_in_pair(), wanted, search })
    }

    /// The candidates in question for the confirmation, the likeliest to be the fastest first.
    pub(in crate::tune) fn promising(&self) -> &[Values] {
        self.promising.get_or_init(|| {
            let lacking = blame::lacking_memory(&self.trials);
            let mut odds = match lacking.is_empty() {
                true => win_probability::of_search(&self.trials, self.drift()),
                false => win_probability::of_search(&self.without(&lacking), self.drift()),
            };
            let likeliest = odds.first().map_or(0.0, |odds| odds.p_best);
            odds.retain(|odds| {
                odds.p_best >= FINALIST_LEAST_P_BEST * likeliest
                    && odds.p_gain >= FINALIST_LEAST_P_GAIN
            });
            odds.into_iter().map(|odds| odds.knobs).collect()
        })
    }
}
