//! Nodes: where trials run side by side. One machine that tunes by itself is the case of one node.

pub mod agents;
mod names;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{Runner, TrialRequest};
use crate::trial::Trial;

pub use names::{NodeList, is_name, is_of_name};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It waits for a trial.
    Idle,
    /// It runs one.
    Busy,
    /// It may yet come, or come back.
    Coming,
    /// It takes part no more.
    Out,
}

/// Runs trials on one node or several equal ones.
pub trait Nodes {
    /// What nodes are called, by place; a machine that tunes by itself has no name.
    fn names(&self) -> Vec<String>;

    /// What the node at `place` does.
    fn state(&self, place: usize) -> NodeState;

    /// Begins a trial on an idle node.
    ///
    /// # Errors
    /// The tuner itself can't go on.
    fn start(&self, place: usize, request: TrialRequest) -> Result<()>;

    /// Waits for the next trial to end, on whichever node; nothing where another node came, or one went,
    /// or none runs a trial and none came within this time.
    ///
    /// # Errors
    /// As [`Nodes::start`].
    fn wait(&self, for_nodes: Duration) -> Result<Option<(usize, Trial)>>;

    /// From now on no trial takes longer than this: an equal node has run one like it.
    fn bound(&self, _: Duration) {}

    /// Goes on without a node.
    fn put_out(&self, _: usize) {}

    /// What was found out since this was last asked, in sentences for people.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }

    /// Waits before the next trial; `stop` tells when nobody wants one any more.
    fn pause(&self, time: Duration, stop: &dyn Fn() -> bool);

    /// The folder with the pictures of the last trial and of the reference, where it can be read.
    fn pictures(&self) -> Option<PathBuf> {
        None
    }

    /// The places of those that do this.
    fn in_state(&self, state: NodeState) -> Vec<usize> {
        (0..self.names().len()).filter(|place| self.state(*place) == state).collect()
    }
}

/// One machine: a trial runs while its end is waited for.
pub struct SingleNode<'a> {
    runner: &'a dyn Runner,
    begun: RefCell<Option<TrialRequest>>,
}

impl<'a> SingleNode<'a> {
    /// The machine of this runner.
    pub fn new(runner: &'a dyn Runner) -> Self {
        Self { runner, begun: RefCell::default() }
    }
}

impl Nodes for SingleNode<'_> {
    fn names(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn state(&self, _: usize) -> NodeState {
        if self.begun.borrow().is_some() { NodeState::Busy } else { NodeState::Idle }
    }

    fn start(&self, _: usize, request: TrialRequest) -> Result<()> {
        *self.begun.borrow_mut() = Some(request);
        Ok(())
    }

    fn wait(&self, _: Duration) -> Result<Option<(usize, Trial)>> {
        let Some(request) = self.begun.take() else { return Ok(None) };
        Ok(Some((0, self.runner.run(&request)?)))
    }

    fn news(&self) -> Vec<String> {
        self.runner.news()
    }

    fn pause(&self, time: Duration, stop: &dyn Fn() -> bool) {
        self.runner.pause(time, stop);
    }

    fn pictures(&self) -> Option<PathBuf> {
        self.runner.pictures()
    }
}
