//! Rules: what follows from a job that failed, can't be had, or is on the wrong node.

use std::time::Duration;

use anyhow::Result;

use super::{Coordinator, Watched};
use crate::fleet::engine::{JobState, SubmittedJob, Task};
use crate::fleet::folder::NodeStatus;
use crate::fleet::plan::{Barred, group, groups};
use crate::io::{exit_code, input};

/// More is no log of jobs.
const LARGEST_BYTES: u64 = 64 << 20;

/// What is told of a line of it.
const MOST_LETTERS: usize = 300;

impl Coordinator<'_> {
    /// Draws the consequences of a job that is over and of what it left.
    pub(super) fn judge(&mut self, job: &Watched, status: Option<NodeStatus>) -> Result<()> {
        let SubmittedJob { task, key, node, state, .. } = &job.known;
        let known = &job.known;
        if self.is_made(known) {
            return self.note("done", known, "");
        }
        let code = status.as_ref().and_then(|status| status.status);
        let words = match (&status, state) {
            (Some(status), _) if !status.detail.is_empty() => status.detail.clone(),
            (Some(_), JobState::Over(words)) => {
                format!("it was killed, or its node died ({words})")
            }
            (Some(_), _) => "it was killed, or its node died".to_owned(),
            (None, JobState::Over(words)) => self.unstarted(words, known),
            (None, _) => "it is gone, and its program did not start".to_owned(),
        };
        if code == Some(exit_code::USAGE.into()) {
            self.note("failed", known, &words)?;
            self.usage = Some(words);
            self.cancel();
            return Ok(());
        }
        if *task == Task::Tune
            && self.trials(*task, key) > job.trials
            && code != Some(exit_code::FAILURE.into())
        {
            return self.note("stopped", known, "it goes on with what is left");
        }
        let nodes = node.clone().map_or_else(|| job.place.clone().unwrap_or_default(), |n| vec![n]);
        let nodes = if nodes.is_empty() { self.nodes_of(job) } else { nodes };
        let is_broken = status.is_some_and(|status| status.is_broken);
        for name in nodes {
            let tries = self.tries.entry((*task, name.clone())).or_default();
            *tries += 1;
            if is_broken || *tries >= self.limits.tries {
                self.barred.insert((*task, name), words.clone());
            }
        }
        self.note("failed", known, &words)
    }

    /// What there is to say of a job whose program left nothing.
    fn unstarted(&self, words: &str, job: &Known) -> String {
        let log = self.folder.log().join(format!("{}-{}.log", job.task, job.key));
        let said = input::text(&log, LARGEST_BYTES).unwrap_or_default();
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map(|line| line.trim().chars().take(MOST_LETTERS).collect::<String>());
        let log = log.display();
        let more = match last {
            _ if words.contains("JobLaunchFailure") => format!("can its node write {log}?"),
            Some(last) => format!("{last}; see {log}"),
            None => format!("see {log}"),
        };
        format!("its program did not start ({words}): {more}")
    }

    /// Whether what a job is for is there.
    fn is_made(&self, job: &SubmittedJob) -> bool {
        match job.task {
            Task::Probe => self.records.get(&job.key).is_some_and(|record| record.class.is_some()),
            task @ (Task::Tune | Task::Verify) => {
                let (all, scope) = ((&self.records, &Barred::new()), self.limits.scope);
                let group = group(&self.records, scope, &job.key);
                group.is_none_or(|group| group.missing(task, all, scope).is_none())
            }
        }
    }

    /// A job that may run on several nodes does not leave that on which it began.
    pub(super) fn hold_to_place(&mut self) -> Result<()> {
        let groups = groups(&self.records, self.limits.scope);
        let strays = self.watched.values().filter(|job| {
            let begun = groups.iter().find(|group| group.key == job.known.key);
            let begun = begun.and_then(|group| group.begun(&self.records, &self.barred));
            let is_there = |begun: &String| {
                job.place.as_ref().is_some_and(|place| place.as_slice() == [begun.clone()])
            };
            let waits = matches!(job.known.state, JobState::Pending(_));
            waits && job.known.task == Task::Tune && begun.is_some_and(|begun| !is_there(begun))
        });
        for job in strays.map(|job| job.known.clone()).collect::<Vec<_>>() {
            self.drop_job(&job, "its tune began on another node")?;
        }
        Ok(())
    }

    /// Ends jobs that wait for a node which can't be had.
    pub(super) fn give_up(&mut self, now: Duration) -> Result<()> {
        let mut ends = Vec::new();
        for job in self.watched.values_mut() {
            let reason = match &job.known.state {
                JobState::Pending(reason) if is_unreachable(reason) => reason.clone(),
                _ => {
                    job.unreachable = None;
                    continue;
                }
            };
            if now >= *job.unreachable.get_or_insert(now) + self.limits.patience {
                ends.push((job.clone(), reason));
            }
        }
        for (job, reason) in ends {
            self.drop_job(&job.known, &format!("unreachable: {reason}"))?;
            for name in job.place.clone().unwrap_or_else(|| self.nodes_of(&job)) {
                let of_engine = self.records.get(&name).and_then(|r| r.node.reason.clone());
                let why = of_engine.map_or_else(String::new, |why| format!(" ({why})"));
                let why = format!("unreachable: {reason}{why}");
                self.barred.insert((job.known.task, name), why);
            }
        }
        Ok(())
    }

    /// Jobs that the engine may have taken: none is submitted twice.
    pub(super) fn unsure(&self) -> impl Iterator<Item = SubmittedJob> {
        self.unsure.keys().map(|(task, key)| {
            let (id, state) = (String::new(), JobState::Pending(String::new()));
            SubmittedJob { id, task: *task, key: key.clone(), node: None, state }
        })
    }

    /// Forgets what was unsure of jobs that are there by now, or that would be.
    pub(super) fn settle_unsure(&mut self, now: Duration) {
        let patience = self.engine.settles() * 2;
        let watched = &self.watched;
        let is_there = |(task, key): &(Task, String)| {
            watched.values().any(|job| job.known.task == *task && job.known.key == *key)
        };
        self.unsure.retain(|job, since| !is_there(job) && now < *since + patience);
    }

    /// Whether a job waits for what another one is for: the engine was given up on it, and took it late.
    pub(super) fn is_twin(&self, job: &SubmittedJob) -> bool {
        let waits = matches!(job.state, JobState::Pending(_));
        waits && self.jobs().any(|other| other.task == job.task && other.key == job.key)
    }

    pub(super) fn drop_job(&mut self, job: &SubmittedJob, why: &str) -> Result<()> {
        self.engine.cancel(&job.id);
        self.watched.remove(&job.id);
        self.past.insert(job.id.clone());
        self.note("cancelled", job, why)
    }
}

/// Whether a job that waits for this reason waits for somebody to mend something, not for its turn.
fn is_unreachable(reason: &str) -> bool {
    let words = [
        "NotAvail",
        "NotAllowed",
        "PartitionConfig",
        "PerJob",
        "NodeDown",
        "DOWN",
        "Reserv",
        "PartitionDown",
        "PartitionInactive",
        "BadConstraints",
        "Held",
        "held",
        "launch failed",
        "InvalidAccount",
        "InvalidQOS",
        "Licenses",
        "NodeLimit",
        "TimeLimit",
    ];
    words.iter().any(|word| reason.contains(word))
}
