//! Coordinator: submits jobs for what the folder lacks, and retries or gives up those that fail.
//!
//! It remembers nothing that matters: after a kill the next one finds the engine's jobs by their
//! names and the rest in the folder.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use super::engine::{self, Engine, EngineJob, JobState, SubmittedJob, Task};
use super::folder::{Folder, NodeStatus};
use super::journal::{Event, Journal};
use super::plan::{Barred, Records, Scope, groups, plan};

/// What a coordinator may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Which nodes are tuned.
    pub scope: Scope,
    /// The most jobs that wait or run.
    pub at_once: usize,
    /// Starts on a node that add no trial.
    pub tries: u32,
    /// How long a node may be out of reach.
    pub patience: Duration,
}

/// How a fleet stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Jobs wait or run.
    Goes,
    /// The engine does not answer.
    Silent(String),
    /// There is nothing left to do.
    Over(FleetEnd),
}

/// How a fleet ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetEnd {
    /// Every node that was asked for is tuned, or another one stands for it.
    All,
    /// Some could not be had.
    Some,
    /// A node says that the command makes no sense, which it does nowhere.
    Usage(String),
}

/// A job that is watched.
#[derive(Clone, Debug)]
struct Watched {
    known: SubmittedJob,
    /// Where it may run; `None` for a job of an earlier coordinator.
    place: Option<Vec<String>>,
    /// Trials that the node had when it was started.
    trials: usize,
    /// Since when it can't be started.
    unreachable: Option<Duration>,
    /// Since when it is over.
    over: Option<Duration>,
}

/// Has made what is missing in a fleet's folder.
pub struct Coordinator<'a> {
    engine: &'a mut dyn Engine,
    folder: &'a Folder,
    limits: Limits,
    journal: Journal,
    records: Records,
    watched: BTreeMap<String, Watched>,
    /// Jobs that were over when they were first seen.
    past: BTreeSet<String>,
    tries: BTreeMap<(Task, String), u32>,
    barred: Barred,
    /// Jobs of which the engine did not say whether it took them, and since when.
    unsure: BTreeMap<(Task, String), Duration>,
    usage: Option<String>,
    /// What the engine said of the jobs before the folder was read, until that is taken in: what those
    /// wrote that were over by then was read.
    first: Option<Result<Vec<SubmittedJob>>>,
}

impl<'a> Coordinator<'a> {
    /// One for the nodes that the engine lists.
    ///
    /// # Errors
    /// It lists none; the journal can't be written.
    pub fn new(engine: &'a mut dyn Engine, folder: &'a Folder, limits: Limits) -> Result<Self> {
        let nodes = engine.nodes()?;
        anyhow::ensure!(!nodes.is_empty(), "the engine lists no node");
        let first = Some(engine.jobs());
        Ok(Self {
            first,
            records: folder.records(nodes),
            journal: Journal::open(folder)?,
            watched: BTreeMap::new(),
            past: BTreeSet::new(),
            tries: BTreeMap::new(),
            barred: Barred::new(),
            unsure: BTreeMap::new(),
            usage: None,
            engine,
            folder,
            limits,
        })
    }

    /// All that is known of the nodes.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// What could not be had, and why.
    pub fn barred(&self) -> &Barred {
        &self.barred
    }

    /// The jobs that wait or run.
    pub fn jobs(&self) -> impl Iterator<Item = &SubmittedJob> {
        self.watched.values().filter(|job| job.over.is_none()).map(|job| &job.known)
    }

    /// The jobs that would be started now.
    pub fn missing(&self) -> Vec<EngineJob> {
        let watched = self.watched.values().map(|job| job.known.clone());
        let known: Vec<SubmittedJob> = watched.chain(self.unsure()).collect();
        plan(&self.records, self.limits.scope, &self.barred, &known)
    }

    /// Whether jobs run on without this program.
    pub fn is_lasting(&self) -> bool {
        self.engine.is_lasting()
    }

    /// Looks how the jobs stand, and starts none.
    ///
    /// # Errors
    /// The journal can't be written.
    pub fn look(&mut self, now: Duration) -> Result<()> {
        let Ok(jobs) = self.engines_jobs() else { return Ok(()) };
        self.see(jobs, now)?;
        self.conclude(now)
    }

    fn engines_jobs(&mut self) -> Result<Vec<SubmittedJob>> {
        self.first.take().unwrap_or_else(|| self.engine.jobs())
    }

    /// Ends all jobs.
    pub fn cancel(&mut self) {
        let ids: Vec<String> = self.jobs().map(|job| job.id.clone()).collect();
        ids.iter().for_each(|id| self.engine.cancel(id));
    }

    /// Looks how the jobs stand at a time, and does what follows.
    ///
    /// # Errors
    /// The journal can't be written. What an engine refuses is a node's failure, not this one's.
    pub fn step(&mut self, now: Duration) -> Result<Step> {
        let jobs = match self.engines_jobs() {
            Ok(jobs) => jobs,
            // Nothing follows from silence.
            Err(error) => return Ok(Step::Silent(format!("{error:#}"))),
        };
        self.see(jobs, now)?;
        self.conclude(now)?;
        self.settle_unsure(now);
        if self.usage.is_none() {
            self.hold_to_place()?;
            self.give_up(now)?;
            self.submit(now)?;
        }
        let is_left = self.usage.is_none() && !self.missing().is_empty();
        if !self.watched.is_empty() || !self.unsure.is_empty() || is_left {
            return Ok(Step::Goes);
        }
        Ok(Step::Over(self.ended()))
    }

    /// How it ends, as it stands now.
    pub fn ended(&self) -> FleetEnd {
        match &self.usage {
            Some(usage) => FleetEnd::Usage(usage.clone()),
            None if self.is_whole() => FleetEnd::All,
            None => FleetEnd::Some,
        }
    }

    /// Whether each node has a class, and each group a tune whose profile no other node denies.
    fn is_whole(&self) -> bool {
        let is_whole = groups(&self.records, self.limits.scope).iter().all(|group| {
            let tuned = group.tuned(&self.records);
            tuned.is_some_and(|tuned| {
                let mut said = group.witnesses(&self.records, tuned);
                said.all(|record| record.is_denied() != Some(true))
            })
        });
        is_whole && self.records.values().all(|record| record.class.is_some())
    }

    /// Takes in what the engine says of the jobs.
    fn see(&mut self, jobs: Vec<SubmittedJob>, now: Duration) -> Result<()> {
        let known: BTreeSet<&String> = jobs.iter().map(|job| &job.id).collect();
        for (_, job) in self.watched.iter_mut().filter(|(id, _)| !known.contains(id)) {
            job.over.get_or_insert(now);
        }
        for known in jobs {
            let is_over = matches!(known.state, JobState::Over(_));
            let Some(job) = self.watched.get_mut(&known.id) else {
                if is_over || self.past.contains(&known.id) {
                    self.past.insert(known.id);
                } else if self.is_twin(&known) {
                    self.drop_job(&known, "another job is for the same")?;
                } else {
                    self.note("found", &known, "")?;
                    self.watch(known, None);
                }
                continue;
            };
            // One that was started again goes on.
            job.over = if is_over { job.over.or(Some(now)) } else { None };
            let is_new = job.known.state != known.state;
            job.known = known;
            if job.known.state == JobState::Pending("BeginTime".to_owned()) {
                self.engine.hurry(&job.known.id);
            }
            if is_new {
                let known = job.known.clone();
                let event = match known.state {
                    JobState::Pending(_) => "pending",
                    JobState::Running => "running",
                    JobState::Over(_) => "over",
                };
                self.note(event, &known, "")?;
            }
        }
        Ok(())
    }

    fn watch(&mut self, known: SubmittedJob, place: Option<Vec<String>>) {
        let trials = self.trials(known.task, &known.key);
        let (unreachable, over) = (None, None);
        let watched = Watched { place, trials, unreachable, over, known };
        self.watched.insert(watched.known.id.clone(), watched);
    }

    /// The trials of all nodes that a job may be for.
    fn trials(&self, task: Task, key: &str) -> usize {
        let members = |(name, record): &(&String, &super::Record)| {
            task == Task::Tune && (*name == key || record.class.as_deref() == Some(key))
        };
        self.records.iter().filter(members).map(|(_, record)| record.tuned.trials()).sum()
    }

    /// Draws the consequences of jobs that are over, once what they wrote can be seen.
    fn conclude(&mut self, now: Duration) -> Result<()> {
        let settles = self.engine.settles();
        let over = self.watched.values().filter(|job| job.over.is_some()).cloned();
        for job in over.collect::<Vec<_>>() {
            let nodes = self.nodes_of(&job);
            self.reread(&nodes);
            let status = nodes.iter().find_map(|name| self.status(name, &job.known)).cloned();
            let has_told = status.as_ref().is_some_and(|status| status.status.is_some());
            if has_told || job.over.is_some_and(|over| now >= over + settles) {
                self.watched.remove(&job.known.id);
                self.judge(&job, status)?;
            }
        }
        Ok(())
    }

    fn reread(&mut self, names: &[String]) {
        for name in names {
            let node = self.records[name].node.clone();
            self.records.insert(name.clone(), self.folder.record(node));
        }
    }

    /// The nodes on which a job may have run.
    fn nodes_of(&self, job: &Watched) -> Vec<String> {
        let of_key = |name: &&String| {
            **name == job.known.key || self.records[*name].class.as_deref() == Some(&job.known.key)
        };
        match &job.known.node {
            Some(node) if self.records.contains_key(node) => vec![node.clone()],
            _ => self.records.keys().filter(of_key).cloned().collect(),
        }
    }

    /// What a job left of itself on a node.
    fn status(&self, name: &str, job: &SubmittedJob) -> Option<&NodeStatus> {
        let status = self.records[name].status.as_ref()?;
        let is_of_job = status.job.as_ref().is_none_or(|id| *id == job.id);
        let is_of_task = status.task == job.task.to_string();
        (is_of_job && is_of_task).then_some(status)
    }

    /// Whether it is known of every job that was submitted.
    pub fn is_sure(&self) -> bool {
        self.unsure.is_empty()
    }

    /// Whether there are as many jobs as there may be.
    pub fn is_full(&self) -> bool {
        self.watched.len() + self.unsure.len() >= self.limits.at_once
    }

    /// Takes away what an earlier job left of itself, where jobs have no number that tells them apart.
    fn forget_earlier(&self, job: &EngineJob) {
        if !self.engine.is_lasting() {
            job.place.iter().for_each(|name| self.folder.forget_status(name));
        }
    }

    fn submit(&mut self, now: Duration) -> Result<()> {
        let busy = self.watched.len() + self.unsure.len();
        let room = self.limits.at_once.saturating_sub(busy);
        for job in self.missing().into_iter().take(room) {
            self.forget_earlier(&job);
            match self.engine.submit(&job) {
                Err(error) if error.is::<engine::Silent>() => {
                    self.unsure.insert((job.task, job.key), now);
                    return Ok(());
                }
                Ok(id) => {
                    let node = Some(job.place[0].clone()).filter(|_| job.place.len() == 1);
                    let EngineJob { task, key, place, .. } = job;
                    let state = JobState::Pending(String::new());
                    let known = SubmittedJob { id, task, key, node, state };
                    self.note("submitted", &known, &place.join(" "))?;
                    self.watch(known, Some(place));
                }
                Err(error) => {
                    let words = format!("{error:#}");
                    for name in &job.place {
                        let tries = self.tries.entry((job.task, name.clone())).or_default();
                        *tries += 1;
                        if *tries >= self.limits.tries {
                            self.barred.insert((job.task, name.clone()), words.clone());
                        }
                    }
                    let event = Event { event: "refused", detail: &words, ..Event::default() };
                    self.journal.note(&Event { node: &job.key, ..event })?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, event: &str, job: &SubmittedJob, detail: &str) -> Result<()> {
        let state = match &job.state {
            JobState::Pending(reason) => format!("waits: {reason}"),
            JobState::Running => "runs".to_owned(),
            JobState::Over(words) => words.clone(),
        };
        let event = format!("{} {event}", job.task);
        let node = job.node.as_deref().unwrap_or_default();
        let is_class = !self.records.contains_key(&job.key);
        let class = if is_class { job.key.as_str() } else { "" };
        let node = if node.is_empty() && !is_class { job.key.as_str() } else { node };
        let (state, job) = (state.trim_end_matches(": ").to_owned(), job.id.clone());
        self.journal.note(&Event { node, class, event: &event, job: &job, state: &state, detail })
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
