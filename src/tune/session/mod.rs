//! Session: the one loop of a tune. Policies say what to run next, a node runs it, the journal keeps
//! it, and the policies are asked again.

mod rungs;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::budget::Budget;
use super::calibrate::Rungs;
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
use crate::knobs::Values;
use crate::results::Folder;
use crate::runner::nodes::{NodeState, Nodes, SingleNode};
use crate::runner::{Runner, TrialRequest};
use crate::search::pruning::Pruned;
use crate::search::{Plan, remeasure};
use crate::space::{Space, TuneEnd};
use crate::trial::journal::Journal;
use crate::trial::{Phase, Trial};
use crate::workload::Workload;

/// A tune under way.
pub struct Session<'a> {
    pub(super) state: State<'a>,
    alone: SingleNode<'a>,
    /// Several nodes instead.
    several: Option<&'a dyn Nodes>,
    record: Option<Record<'a>>,
    is_exhausted: bool,
    /// Whether a calibration's trial is one of the baseline as well: a small budget can't pay for both.
    is_calibration_baseline: bool,
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
        Self {
            state,
            alone: SingleNode::new(runner),
            several: None,
            record: None,
            is_exhausted: false,
            is_calibration_baseline: false,
            earlier_s: 0.0,
        }
    }

    /// The same session on these nodes; the runner says what candidates are there.
    #[must_use]
    pub fn on(mut self, nodes: &'a dyn Nodes) -> Self {
        self.state.on(nodes.names());
        Self { several: Some(nodes), ..self }
    }

    fn nodes(&self) -> &dyn Nodes {
        self.several.unwrap_or(&self.alone)
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

    /// Runs what `policies` want, the first before the others, until none wants anything of any node.
    pub(super) fn drive<'p>(&mut self, policies: &mut [&mut dyn Policy<'p>]) -> Result<()>
    where
        'a: 'p,
    {
        while self.goes_on(policies)? {
            self.end_one()?;
        }
        Ok(())
    }

    /// Gives each idle node what the policies want of it; whether there is something to wait for.
    fn goes_on<'p>(&mut self, policies: &mut [&mut dyn Policy<'p>]) -> Result<bool>
    where
        'a: 'p,
    {
        self.give(policies)?;
        Ok(!self.state.running.is_empty() || self.awaits_nodes()?)
    }

    /// Gives each idle node what the first policy wants of it.
    fn give<'p>(&mut self, policies: &mut [&mut dyn Policy<'p>]) -> Result<()>
    where
        'a: 'p,
    {
        self.nodes().in_state(NodeState::Out).into_iter().for_each(|node| self.state.put_out(node));
        for node in self.nodes().in_state(NodeState::Idle) {
            if self.state.is_stopped() {
                return Ok(());
            }
            self.state.ask_for(node);
            match self.next(policies)? {
                Some(Next::Run(request)) => drop(self.start(node, request)?),
                Some(Next::After(pause, sentence, request)) => {
                    self.pause(pause, sentence.as_deref());
                    self.start(node, request)?;
                }
                Some(Next::ExcludeNode(why)) => self.put_out(node, &why),
                None => {}
            }
        }
        Ok(())
    }

    fn next<'p>(&self, policies: &mut [&mut dyn Policy<'p>]) -> Result<Option<Next>>
    where
        'a: 'p,
    {
        for policy in policies {
            match policy.next(&self.state)? {
                Some(Next::Run(request)) if is_for_another(&request, &self.state) => {}
                Some(next) => return Ok(Some(next)),
                None => {}
            }
        }
        Ok(None)
    }

    /// Whether nothing can be done before a node comes, and there is time for that.
    ///
    /// # Errors
    /// No node is left.
    fn awaits_nodes(&self) -> Result<bool> {
        let is_one = |state| !self.nodes().in_state(state).is_empty();
        let is_over = self.state.is_stopped() || self.state.budget.left().is_zero();
        if is_over || is_one(NodeState::Idle) {
            return Ok(false);
        }
        let go_on = self.state.config.resume_with.as_ref();
        let go_on = go_on.map(|command| format!(": go on with {command}")).unwrap_or_default();
        ensure!(is_one(NodeState::Coming), "no node is left to run trials{go_on}");
        Ok(true)
    }

    fn put_out(&mut self, node: usize, why: &str) {
        let name = self.state.node().to_owned();
        self.state.observer.noted(&format!("{name} takes part no more: {why}"));
        self.nodes().put_out(node);
        self.state.put_out(node);
    }

    fn pause(&self, time: Duration, sentence: Option<&str>) {
        sentence.into_iter().for_each(|sentence| self.state.observer.noted(sentence));
        self.nodes().pause(time, &|| self.state.is_stopped());
    }

    /// The number for the next trial: above those of all that ended or run.
    fn next_number(&self) -> u64 {
        let ended = self.record.as_ref().map(|record| record.journal.next_number());
        let made = self.trials().iter().map(|trial| trial.number + 1);
        let running = self.state.running.iter().map(|(_, request)| request.number + 1);
        made.chain(running).chain(ended).max().unwrap_or(1)
    }

    /// Starts a trial, and returns its number.
    fn start(&mut self, node: usize, request: TrialRequest) -> Result<u64> {
        let number = self.next_number();
        let request = TrialRequest { number, ..request };
        self.state.observer.started(&request);
        if let Some(record) = &self.record {
            in_flight::note(record.folder, &request)?;
        }
        self.state.running.push((node, request.clone()));
        self.nodes().start(node, request)?;
        Ok(number)
    }

    /// An idle node, once there is one; none where the tune is stopped, or none comes in time.
    fn idle(&mut self) -> Result<Option<usize>> {
        while !self.state.is_stopped() {
            if let Some(&node) = self.nodes().in_state(NodeState::Idle).first() {
                return Ok(Some(node));
            }
            if self.state.running.is_empty() && !self.awaits_nodes()? {
                break;
            }
            self.end_one()?;
        }
        Ok(None)
    }

    /// Waits until a trial ends, if nothing else happens before.
    fn wait(&mut self) -> Result<Option<Trial>> {
        let ended = self.nodes().wait(self.state.budget.left())?;
        self.nodes().news().iter().for_each(|news| self.state.observer.noted(news));
        let Some((node, trial)) = ended else { return Ok(None) };
        self.state.running.retain(|(place, _)| *place != node);
        Ok(Some(trial))
    }

    fn end_one(&mut self) -> Result<()> {
        match self.wait()? {
            Some(trial) => self.record(trial),
            None => Ok(()),
        }
    }

    /// Appends a trial to the journal.
    fn record(&mut self, trial: Trial) -> Result<()> {
        let spent_s = Some(self.earlier_s + self.state.budget.gone().as_secs_f64());
        let is_first = trial.phase == Phase::Calibration && trial.strategy.is_empty();
        let is_baseline = is_first && self.is_calibration_baseline && trial.score().is_some();
        let phase = if is_baseline { Phase::Baseline } else { trial.phase };
        let trial = Trial { phase, spent_s, ..trial };
        let pictures = self.nodes().pictures();
        if let Some(record) = &mut self.record {
            record.append(&trial, pictures)?;
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
            // Of nodes that come later.
            &mut FirstBaseline { phase: Phase::Baseline, workload },
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

    /// A node that is silent from its first trial on is not waited for until the budget's end.
    fn bound(&self) {
        self.state.longest_first().into_iter().for_each(|time| self.nodes().bound(time));
    }

    /// Measures the baseline on one node at least, unless the calibration came to the same; on others it
    /// may still run.
    ///
    /// # Errors
    /// As [`Session::calibrate`].
    pub fn baseline(&mut self, workload: &Workload) -> Result<()> {
        let mut first = FirstBaseline { phase: Phase::Baseline, workload };
        while self.state.first(Phase::Baseline).is_none() && self.goes_on(&mut [&mut first])? {
            self.end_one()?;
        }
        self.bound();
        self.state.first(Phase::Baseline).map(drop).with_context(|| self.unmeasured())
    }

    /// Why nothing is known of the baseline.
    pub(super) fn unmeasured(&self) -> &'static str {
        match self.state.is_stopped() {
            true => "stopped before the baseline was measured; nothing can be said",
            false => "no node came back to measure the baseline before the budget was over",
        }
    }

    /// Tries knobs that are handed over at all their values, where the search can pay for it, and
    /// returns the space in which those that are not read rest.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    pub fn probe(&mut self, space: &Space, workload: &Workload) -> Result<Space> {
        let mut probes = Probes::new(space, workload, &self.state);
        self.drive(&mut [
            // Of nodes that are not as far.
            &mut FirstBaseline { phase: Phase::Baseline, workload },
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
    pub fn ended(&self) -> TuneEnd {
        if self.state.is_stopped() {
            TuneEnd::Stopped
        } else if is_decided(&self.state) {
            TuneEnd::Decided
        } else if self.is_exhausted
            && !self.trials().iter().any(|trial| trial.phase == Phase::Confirmation)
            && self.promising().is_empty()
        {
            TuneEnd::Exhausted
        } else {
            TuneEnd::Budget
        }
    }
}

/// Whether another node does that already, or better. A repetition by another node tells how nodes differ
/// too, but half of them stay without, so that they can say in the confirmation whether a finalist was
/// chosen for more than what it costs on the others. The baseline and pairs are each node's own.
fn is_for_another(request: &TrialRequest, state: &State<'_>) -> bool {
    let is_repeat = request.phase == Phase::Repeat;
    (is_repeat || request.phase == Phase::Search) && state.is_running(request)
        || is_repeat && state.is_to_be_repeated_elsewhere(&request.values)
}
