//! Plan: which jobs are missing, as a function of what the folder holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::engine::{EngineJob, Place, SubmittedJob, Task};
use super::folder::{Record, Tuned};

/// Which nodes are tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each.
    Node,
    /// One of each class, whose profile is proven again on others.
    Class {
        /// The others.
        witnesses: usize,
    },
}

/// Nodes of which one is tuned for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Names it: its class, or its node.
    pub key: String,
    /// Its nodes' names, in order.
    pub nodes: Vec<String>,
    /// CPUs that each of them has for a job, where the engine tells.
    pub cpus: Option<usize>,
}

/// Nodes that a task can't be had of now, and why.
pub type Barred = BTreeMap<(Task, String), String>;

/// What could not be had when the last job on each node ended.
pub fn failed(records: &Records) -> Barred {
    let failure = |(name, record): (&String, &Record)| {
        let status = record.status.as_ref()?;
        let task = status.status.filter(|code| *code != 0).and(status.task.parse().ok())?;
        Some(((task, name.clone()), status.detail.clone()))
    };
    records.iter().filter_map(failure).collect()
}

/// All nodes, by name.
pub type Records = BTreeMap<String, Record>;

/// The groups of the nodes whose class is known.
pub fn groups(records: &Records, scope: Scope) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (name, record) in records {
        let Some(class) = &record.class else { continue };
        let key = if scope == Scope::Node { name } else { class };
        let (nodes, cpus) = (Vec::new(), record.node.cpus);
        let group = || Group { key: key.clone(), nodes, cpus };
        groups.entry(key).or_insert_with(group).nodes.push(name.clone());
    }
    groups.into_values().collect()
}

/// The group that a job's key names; `None` where no node is of it.
pub fn group(records: &Records, scope: Scope, key: &str) -> Option<Group> {
    let is_of = |(name, record): &(&String, &Record)| match scope {
        Scope::Node => *name == key && record.class.is_some(),
        Scope::Class { .. } => record.class.as_deref() == Some(key),
    };
    let members: Vec<(&String, &Record)> = records.iter().filter(is_of).collect();
    let cpus = members.first()?.1.node.cpus;
    let nodes = members.into_iter().map(|(name, _)| name.clone()).collect();
    Some(Group { key: key.to_owned(), nodes, cpus })
}

impl Group {
    /// The node whose tune stands for the group.
    pub fn tuned<'a>(&self, records: &'a Records) -> Option<&'a Record> {
        let mut members = self.nodes.iter().filter_map(|name| records.get(name));
        members.find(|record| record.tuned.done().is_some())
    }

    /// The node that has begun, and of which more can be had.
    pub fn begun<'a>(&'a self, records: &Records, barred: &Barred) -> Option<&'a String> {
        let begun = |name: &&String| matches!(records[*name].tuned, Tuned::Begun { .. });
        let is_open = |name: &&String| !barred.contains_key(&(Task::Tune, (*name).clone()));
        let begun = self.nodes.iter().filter(begun).filter(is_open);
        begun.max_by_key(|name| records[*name].tuned.trials())
    }

    /// The nodes other than the tuned one that said something of its profile.
    pub fn witnesses<'a>(
        &'a self,
        records: &'a Records,
        tuned: &'a Record,
    ) -> impl Iterator<Item = &'a Record> {
        let others = self.nodes.iter().filter(|name| **name != tuned.node.name);
        let records = others.filter_map(|name| records.get(name));
        records.filter(|record| record.has_verified(tuned))
    }

    /// The job of a task that is missing, if any.
    pub fn missing(
        &self,
        task: Task,
        (records, barred): (&Records, &Barred),
        scope: Scope,
    ) -> Option<EngineJob> {
        match (task, scope) {
            (Task::Tune, _) => self.tune(records, barred),
            (Task::Verify, Scope::Class { witnesses }) => self.verify(records, barred, witnesses),
            (Task::Verify, Scope::Node) | (Task::Probe, _) => None,
        }
    }

    fn tune(&self, records: &Records, barred: &Barred) -> Option<EngineJob> {
        if self.tuned(records).is_some() {
            return None;
        }
        let place = match self.begun(records, barred) {
            Some(name) => vec![name.clone()],
            None => open(&self.nodes, Task::Tune, records, barred),
        };
        self.job(Task::Tune, place, None)
    }

    fn verify(&self, records: &Records, barred: &Barred, wanted: usize) -> Option<EngineJob> {
        let tuned = self.tuned(records)?;
        // There is nothing to deny of a profile that claims nothing.
        let is_gain = matches!(tuned.tuned, Tuned::Done { is_gain: true, .. });
        if !is_gain || self.witnesses(records, tuned).count() >= wanted {
            return None;
        }
        let is_other =
            |name: &String| *name != tuned.node.name && !records[name].has_verified(tuned);
        let others: Vec<String> = self.nodes.iter().filter(|n| is_other(n)).cloned().collect();
        let subject = tuned.tuned.done().map(ToOwned::to_owned);
        self.job(Task::Verify, open(&others, Task::Verify, records, barred), subject)
    }

    fn job(&self, task: Task, place: Place, subject: Option<PathBuf>) -> Option<EngineJob> {
        let (key, cpus) = (self.key.clone(), self.cpus);
        (!place.is_empty()).then_some(EngineJob { task, key, place, cpus, subject })
    }
}

impl Record {
    /// Whether this node said something of the profile of the other's tune.
    fn has_verified(&self, tuned: &Self) -> bool {
        let of = tuned.tuned.done();
        self.verified.as_ref().is_some_and(|v| of.is_some_and(|of| v.profile.starts_with(of)))
    }
}

/// The nodes that a task can be had of, those first that are likely to start it soon.
fn open(nodes: &[String], task: Task, records: &Records, barred: &Barred) -> Vec<String> {
    let is_open = |name: &&String| !barred.contains_key(&(task, (*name).clone()));
    let mut open: Vec<String> = nodes.iter().filter(is_open).cloned().collect();
    open.sort_by_key(|name| records[name].node.rank());
    open
}

/// The jobs that are missing, those first that are likely to start soon; not those that the engine
/// has.
pub fn plan(
    records: &Records,
    scope: Scope,
    barred: &Barred,
    known: &[SubmittedJob],
) -> Vec<EngineJob> {
    let has: BTreeSet<(Task, &str)> =
        known.iter().map(|job| (job.task, job.key.as_str())).collect();
    let is_unknown = |(_, record): &(&String, &Record)| record.class.is_none();
    let probes = records.iter().filter(is_unknown).filter_map(|(name, _)| {
        let place = open(std::slice::from_ref(name), Task::Probe, records, barred);
        let job =
            EngineJob { task: Task::Probe, key: name.clone(), place, cpus: None, subject: None };
        (!job.place.is_empty()).then_some(job)
    });
    let mut jobs: Vec<EngineJob> = probes.collect();
    for group in groups(records, scope) {
        let missing = |task| group.missing(task, (records, barred), scope);
        jobs.extend([Task::Tune, Task::Verify].into_iter().filter_map(missing));
    }
    jobs.retain(|job| !has.contains(&(job.task, job.key.as_str())));
    jobs.sort_by_key(|job| records[&job.place[0]].node.rank());
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::engine::JobState;
    use crate::fleet::{Node, Verified};

    fn node(name: &str, class: &str) -> Record {
        let node = Node::named(name);
        Record {
            node,
            class: Some(class.to_owned()).filter(|c| !c.is_empty()),
            ..Record::default()
        }
    }

    fn begun(trials: usize) -> Tuned {
        Tuned::Begun { results: "/f/nodes/r".into(), trials }
    }

    fn done(name: &str) -> Tuned {
        Tuned::Done { results: format!("/f/{name}").into(), trials: 20, is_gain: true }
    }

    fn verified(of: &str) -> Option<Verified> {
        let profile = format!("/f/{of}/profile.json").into();
        Some(Verified { profile, holds: Some(true), finding: String::new(), gain: None })
    }

    fn said(
        records: Vec<Record>,
        scope: Scope,
        barred: &[(Task, &str)],
        known: &[SubmittedJob],
    ) -> String {
        let named = |record: Record| (record.node.name.clone(), record);
        let records = records.into_iter().map(named).collect();
        let why = |(task, name): &(Task, &str)| ((*task, (*name).to_owned()), "why".to_owned());
        let jobs = plan(&records, scope, &barred.iter().map(why).collect(), known);
        let job = |job: &EngineJob| format!("{} {}: {}", job.task, job.key, job.place.join(" "));
        jobs.iter().map(job).collect::<Vec<_>>().join("; ")
    }

    const CLASS: Scope = Scope::Class { witnesses: 1 };

    #[test]
    fn what_is_missing_is_started() {
        let three = || vec![node("a", "x"), node("b", "x"), node("c", "y")];
        assert_eq!(said(three(), CLASS, &[], &[]), "tune x: a b; tune y: c");
        assert_eq!(said(three(), Scope::Node, &[], &[]), "tune a: a; tune b: b; tune c: c");
        let mut unknown = three();
        unknown[1].class = None;
        assert_eq!(said(unknown, CLASS, &[], &[]), "probe b: b; tune x: a; tune y: c");
        let mut idle_last = three();
        idle_last[0].node.state = "allocated".to_owned();
        assert_eq!(said(idle_last, CLASS, &[], &[]), "tune x: b a; tune y: c");
    }

    #[test]
    fn a_class_is_tuned_once_and_witnessed() {
        let mut nodes = vec![node("a", "x"), node("b", "x"), node("c", "x")];
        nodes[1].tuned = done("b");
        assert_eq!(said(nodes.clone(), CLASS, &[], &[]), "verify x: a c");
        let none = Scope::Class { witnesses: 0 };
        assert_eq!(said(nodes.clone(), none, &[], &[]), "");
        assert_eq!(said(nodes.clone(), CLASS, &[(Task::Verify, "a")], &[]), "verify x: c");
        nodes[2].verified = verified("b");
        assert_eq!(said(nodes.clone(), CLASS, &[], &[]), "");
        assert_eq!(said(nodes.clone(), Scope::Class { witnesses: 2 }, &[], &[]), "verify x: a");
        nodes[2].verified = verified("an older one");
        assert_eq!(said(nodes, CLASS, &[], &[]), "verify x: a c");
        assert_eq!(said(vec![Record { tuned: done("a"), ..node("a", "x") }], CLASS, &[], &[]), "");
    }

    #[test]
    fn what_has_begun_goes_on_where_it_began() {
        let mut nodes = vec![node("a", "x"), node("b", "x"), node("c", "x")];
        (nodes[0].tuned, nodes[2].tuned) = (begun(3), begun(9));
        assert_eq!(said(nodes.clone(), CLASS, &[], &[]), "tune x: c");
        assert_eq!(said(nodes.clone(), CLASS, &[(Task::Tune, "c")], &[]), "tune x: a");
        let both = [(Task::Tune, "c"), (Task::Tune, "a")];
        assert_eq!(said(nodes.clone(), CLASS, &both, &[]), "tune x: b");
        let all = [(Task::Tune, "a"), (Task::Tune, "b"), (Task::Tune, "c")];
        assert_eq!(said(nodes, CLASS, &all, &[]), "");
    }

    #[test]
    fn what_the_engine_has_is_not_started_again() {
        let known = |task, key: &str| {
            let (id, key) = ("1".to_owned(), key.to_owned());
            SubmittedJob { id, task, key, node: None, state: JobState::Running }
        };
        let nodes = || vec![node("a", "x"), node("b", ""), node("c", "y")];
        let known = [known(Task::Tune, "x"), known(Task::Probe, "b"), known(Task::Verify, "y")];
        assert_eq!(said(nodes(), CLASS, &[], &known), "tune y: c");
    }
}
