//! Overview: a line per node, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::engine::{JobState, SubmittedJob, Task};
use super::folder::{Record, Tuned};
use super::plan::{Barred, Group, Records, Scope, groups};
use crate::report::tables::Table;

/// How a node stands.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    strum::Display,
    strum::VariantArray
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum State {
    /// It is tuned.
    Tuned,
    /// It proved the profile of its class again.
    Verified,
    /// The profile of its class stands for it.
    Covered,
    /// A job of it runs.
    Running,
    /// A job of it waits to be started by the engine.
    Pending,
    /// A job of it is still to be submitted.
    Planned,
    /// It denies what the profile of its class claims.
    Drifted,
    /// What was asked of it can't be had.
    Failed,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub node: String,
    /// Its class, where it was probed.
    pub class: Option<String>,
    /// How it stands.
    pub state: State,
    /// Trials of its own tune.
    pub trials: usize,
    /// What else there is to say.
    pub detail: String,
}

/// A line per node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The nodes, in order.
    pub nodes: Vec<Row>,
}

impl Overview {
    /// How all nodes stand.
    pub fn of<'a>(
        records: &Records,
        scope: Scope,
        barred: &Barred,
        jobs: impl Iterator<Item = &'a SubmittedJob>,
    ) -> Self {
        let groups = groups(records, scope);
        let mut of: BTreeMap<&String, &Group> = BTreeMap::new();
        for group in &groups {
            of.extend(group.nodes.iter().map(|name| (name, group)));
        }
        let jobs: Vec<&SubmittedJob> = jobs.collect();
        let row = |(name, record): (&String, &Record)| {
            let group = of.get(name).copied();
            let (state, detail) = stand(name, record, (records, group), barred, &jobs);
            let (node, class) = (name.clone(), record.class.clone());
            Row { node, class, state, trials: record.tuned.trials(), detail }
        };
        Self { nodes: records.iter().map(row).collect() }
    }

    /// The nodes as a table.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["node", "class", "state", "#trials", "detail"]);
        for row in &self.nodes {
            let class = row.class.clone().unwrap_or_default();
            let trials = if row.trials > 0 { row.trials.to_string() } else { String::new() };
            table.row([row.node.clone(), class, row.state.to_string(), trials, row.detail.clone()]);
        }
        table
    }

    /// The nodes for which nothing stands, and why.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.nodes.iter().filter(|row| matches!(row.state, State::Failed | State::Drifted))
    }
}

fn stand(
    name: &String,
    record: &Record,
    (records, group): (&Records, Option<&Group>),
    barred: &Barred,
    jobs: &[&SubmittedJob],
) -> (State, String) {
    let tuned = group.and_then(|group| group.tuned(records));
    if matches!(record.tuned, Tuned::Done { .. }) {
        return (State::Tuned, String::new());
    }
    let key = group.map_or(name, |group| &group.key);
    let is_of = |job: &&&SubmittedJob| match &job.node {
        Some(node) => node == name,
        None => job.key == *name || job.key == *key && tuned.is_none(),
    };
    if let Some(job) = jobs.iter().find(is_of) {
        return match &job.state {
            JobState::Pending(reason) => {
                (State::Pending, format!("{} {}: {reason}", job.task, job.id))
            }
            JobState::Running | JobState::Over(_) => {
                (State::Running, format!("{} {}", job.task, job.id))
            }
        };
    }
    if let Some(status) = record.status.as_ref().filter(|_| record.is_busy) {
        let id = status.job.as_deref().unwrap_or_default();
        return (State::Running, format!("{} {id}", status.task).trim_end().to_owned());
    }
    if let Some(tuned) = tuned {
        let of = &tuned.node.name;
        let has_said = group.is_some_and(|group| {
            group.witnesses(records, tuned).any(|witness| witness.node.name == *name)
        });
        return match record.verified.as_ref().filter(|_| has_said) {
            Some(said) if said.holds == Some(false) => {
                (State::Drifted, format!("the profile of {of}: {}", said.finding))
            }
            Some(said) if said.holds == Some(true) => {
                (State::Verified, format!("the profile of {of}: {}", said.finding))
            }
            _ => (State::Covered, format!("by the profile of {of}")),
        };
    }
    let why =
        [Task::Probe, Task::Tune].into_iter().find_map(|task| barred.get(&(task, name.clone())));
    why.map_or_else(|| (State::Planned, last_known(record)), |why| (State::Failed, why.clone()))
}

/// What the last job on a node said, or what the engine says of the node.
fn last_known(record: &Record) -> String {
    let said = record.status.as_ref().map(|status| status.detail.clone());
    let said = said.filter(|said| !said.is_empty());
    let state = match &record.node.reason {
        Some(reason) => format!("{}: {reason}", record.node.state),
        None => record.node.state.clone(),
    };
    said.unwrap_or(state)
}
