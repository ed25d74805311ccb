//! Nodes: which of several is to be given a trial, and what each has done.

use std::collections::BTreeSet;

use super::State;
use crate::knobs::Values;
use crate::runner::TrialRequest;
use crate::trial::{Outcome, Phase, Trial};

/// What is known of one node.
#[derive(Default)]
pub(super) struct Node {
    name: String,
    /// Its own trials, where there are several nodes.
    trials: Vec<Trial>,
    /// How many of its trials there were when the tune came back from a break, or 0.
    before: usize,
    /// Whether it takes part no more.
    is_out: bool,
}

impl State<'_> {
    /// Those of the node that is to be given a trial.
    pub(in crate::tune) fn own_trials(&self) -> &[Trial] {
        if self.has_one_node() { &self.trials } else { &self.nodes[self.place].trials }
    }

    /// Of these the ones since the tune began or came back.
    pub(in crate::tune) fn new_trials(&self) -> &[Trial] {
        &self.own_trials()[self.nodes[self.place].before..]
    }

    /// Whether the tune came back from a break and has made no trial since on the node.
    pub(in crate::tune) fn is_back(&self) -> bool {
        self.nodes[self.place].before > 0 && self.new_trials().is_empty()
    }

    pub(in crate::tune) fn add(&mut self, trial: Trial) {
        if !self.has_one_node()
            && let Some(node) = self.nodes.iter_mut().find(|node| node.name == trial.node)
        {
            node.trials.push(trial.clone());
        }
        self.trials.push(trial);
        (self.drift, self.promising) = Default::default();
    }

    /// Takes `trials` for those before a break.
    pub(in crate::tune) fn resume(&mut self, trials: Vec<Trial>) {
        self.trials = trials;
        self.on(self.nodes.iter().map(|node| node.name.clone()).collect());
    }

    /// The same on these nodes.
    pub(in crate::tune) fn on(&mut self, names: Vec<String>) {
        let is_one = names.len() == 1;
        let node = |name: String| {
            let own = self.trials.iter().filter(|trial| trial.node == name);
            let trials: Vec<Trial> = own.filter(|_| !is_one).cloned().collect();
            let before = if is_one { self.trials.len() } else { trials.len() };
            Node { name, trials, before, is_out: false }
        };
        self.nodes = names.into_iter().map(node).collect();
    }

    /// The node at `place` is to be given a trial.
    pub(in crate::tune) fn ask_for(&mut self, place: usize) {
        self.place = place;
    }

    /// The name of the node that is to be given a trial.
    pub(in crate::tune) fn node(&self) -> &str {
        &self.nodes[self.place].name
    }

    /// Whether one machine tunes by itself.
    pub(in crate::tune) fn has_one_node(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Goes on without the node at `place`.
    pub(in crate::tune) fn put_out(&mut self, place: usize) {
        self.nodes[place].is_out = true;
    }

    /// How many nodes take part.
    pub(in crate::tune) fn width(&self) -> u32 {
        self.nodes.iter().filter(|node| !node.is_out).count().max(1) as u32
    }

    /// Whether a repetition of `values` is not for the node that is to be given a trial: half of the nodes
    /// measure a candidate, one after the other.
    pub(in crate::tune) fn is_to_be_repeated_elsewhere(&self, values: &Values) -> bool {
        let measured = self.trials.iter().filter(|trial| trial.knobs == *values);
        let nodes: BTreeSet<&str> = measured.map(|trial| trial.node.as_str()).collect();
        let is_wanted = (self.width() as usize / 2).max(1) > nodes.len();
        let is_here = nodes.contains(self.node());
        // Those that measured it may be gone.
        let is_known = self.nodes.iter().any(|node| !node.is_out && nodes.contains(&*node.name));
        is_known && is_here == is_wanted
    }

    /// Whether a trial of the same phase and values runs on some node.
    pub(in crate::tune) fn is_running(&self, request: &TrialRequest) -> bool {
        let is_same =
            |one: &TrialRequest| one.phase == request.phase && one.values == request.values;
        self.running.iter().any(|(_, one)| is_same(one))
    }

    /// The first ok trial of a phase on the node that is to be given one.
    pub(in crate::tune) fn own_first(&self, phase: Phase) -> Option<&Trial> {
        self.own_trials().iter().find(|trial| trial.phase == phase && trial.outcome == Outcome::Ok)
    }
}
