//! Fake: an engine in memory, whose jobs have fates.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::fleet::engine::{Engine, EngineJob, JobState, Silent, SubmittedJob, Task};
use crate::fleet::{Folder, Node, NodeStatus, Probe, Verified};
use crate::machine::Machine;
use crate::report::fixture::{Made, number};
use crate::results;

/// What becomes of a job: how it stands at each look, then what it leaves.
#[derive(Clone)]
pub struct Fate(pub Vec<JobState>, pub Leaves);

#[derive(Clone)]
pub enum Leaves {
    /// What it was for.
    All,
    /// Trials of a tune that was cut short, and the exit status, where it came to one.
    Trials(usize, Option<i32>),
    /// A status without a trial, and what it said.
    Fails(i32, &'static str),
    /// A baseline that does not run.
    Broken,
    /// A tune whose budget was over before it had a profile.
    Short,
    /// Nothing: its program did not start.
    Nothing,
    /// A profile that does not hold.
    Denial,
}

pub fn waits(reason: &str) -> JobState {
    JobState::Pending(reason.to_owned())
}

/// It runs, and then leaves something.
pub fn then(leaves: Leaves) -> Fate {
    Fate(vec![JobState::Running], leaves)
}

/// It waits for a reason, indefinitely.
pub fn stuck(reason: &str) -> Fate {
    Fate(vec![waits(reason); 1000], Leaves::All)
}

pub struct Job {
    pub known: SubmittedJob,
    pub place: Vec<String>,
    pub fate: Fate,
    pub looks: usize,
    /// Looks at which nobody sees it yet.
    pub hidden: usize,
}

/// An engine in memory.
pub struct Fake {
    pub folder: Folder,
    pub nodes: Vec<Node>,
    /// The fates of a task on a node, one per start; after the last the job does what it is for.
    pub fates: BTreeMap<(Task, String), Vec<Fate>>,
    pub jobs: RefCell<Vec<Job>>,
    /// What was done, in words.
    pub told: RefCell<Vec<String>>,
    pub silent: bool,
    /// Of the next submissions, none of which is answered, at how many looks nobody sees them.
    pub unanswered: Vec<usize>,
    pub lag: Duration,
}

impl Fake {
    fn node_of(&self, job: &EngineJob) -> String {
        // The first node on which nothing runs takes it.
        let jobs = self.jobs.borrow();
        let is_free = |name: &&String| {
            !jobs.iter().any(|job| !job.known.is_over() && job.place == [(*name).clone()])
        };
        job.place.iter().find(is_free).unwrap_or(&job.place[0]).clone()
    }

    fn leave(&self, known: &SubmittedJob, node: &str, leaves: &Leaves) {
        let mut status = NodeStatus {
            task: known.task.to_string(),
            job: Some(known.id.clone()),
            ..NodeStatus::default()
        };
        let folder = &self.folder;
        match leaves {
            Leaves::All => {
                status.status = Some(0);
                match known.task {
                    Task::Probe => {
                        let machine =
                            Machine::from_synthetic("package:1 [numa] core:4 pu:1").unwrap();
                        folder.put_probe(node, &Probe { worker: None, machine }).unwrap();
                    }
                    Task::Tune => write_results(folder, node, 9, true),
                    Task::Verify => self.say(node, true),
                }
            }
            Leaves::Denial => self.say(node, false),
            Leaves::Trials(trials, code) => {
                write_results(folder, node, *trials, false);
                status.status = *code;
            }
            Leaves::Fails(code, words) => {
                (status.status, status.detail) = (Some(*code), (*words).to_owned());
            }
            Leaves::Broken => {
                (status.status, status.is_broken) = (Some(1), true);
                "the baseline fails".clone_into(&mut status.detail);
            }
            Leaves::Short => {
                write_results(folder, node, 9, true);
                fs::remove_file(folder.results(node).join("r/profile.json")).unwrap();
                (status.status, status.detail) = (Some(1), "the budget was over".to_owned());
            }
            Leaves::Nothing => return,
        }
        folder.put_status(node, &status).unwrap();
    }

    fn say(&self, node: &str, holds: bool) {
        let of =
            self.folder.names().into_iter().find(|name| self.folder.tuned(name).done().is_some());
        let profile = format!("nodes/{}/results/r/profile.json", of.unwrap()).into();
        let finding = "said".to_owned();
        let verified = Verified { profile, holds: Some(holds), finding, gain: None };
        self.folder.put_verified(node, &verified).unwrap();
    }
}

/// A results folder with this number of trials.
pub fn write_results(folder: &Folder, node: &str, trials: usize, is_over: bool) {
    let finalist = [("tile_size", number(256))];
    let mut made = Made::new().baseline(&vec![2.0; if is_over { 1 } else { trials }]);
    if is_over {
        made = made
            .search(&finalist, 1.0)
            .pairs(&finalist, &[(2.0, 1.0), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0)]);
        made.results.tune.ended = Some(crate::space::TuneEnd::Decided);
    }
    let path = folder.results(node).join("r");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    let results = results::Folder::new(&path);
    made.write(&results);
    if is_over {
        let profile = crate::profile::build::profile(&made.results).unwrap();
        profile.write(&results.profile()).unwrap();
    }
}

impl Engine for Fake {
    fn nodes(&mut self) -> Result<Vec<Node>> {
        Ok(self.nodes.clone())
    }

    fn submit(&mut self, job: &EngineJob) -> Result<String> {
        let node = self.node_of(job);
        let fates = self.fates.entry((job.task, node.clone())).or_default();
        let fate = if fates.is_empty() { then(Leaves::All) } else { fates.remove(0) };
        let mut jobs = self.jobs.borrow_mut();
        let id = (jobs.len() + 1).to_string();
        let state = waits("");
        let known = SubmittedJob {
            id: id.clone(),
            task: job.task,
            key: job.key.clone(),
            node: None,
            state,
        };
        let answer = self.unanswered.pop();
        let hidden = answer.unwrap_or_default();
        jobs.push(Job { known, place: vec![node.clone()], fate, looks: 0, hidden });
        self.told.borrow_mut().push(format!("{} {node}", job.task));
        match answer {
            Some(_) => bail!(Silent { program: "submit".to_owned(), why: "busy".to_owned() }),
            None => Ok(id),
        }
    }

    fn described(&self, _: &EngineJob) -> String {
        String::new()
    }

    fn jobs(&mut self) -> Result<Vec<SubmittedJob>> {
        anyhow::ensure!(!self.silent, "no answer");
        let mut jobs = self.jobs.borrow_mut();
        for job in jobs.iter_mut().filter(|job| !job.known.is_over()) {
            if job.hidden > 0 {
                job.hidden -= 1;
                continue;
            }
            let Fate(states, leaves) = &job.fate;
            job.known.state =
                states.get(job.looks).cloned().unwrap_or(JobState::Over("ENDED".into()));
            job.looks += 1;
            let is_waiting = matches!(job.known.state, JobState::Pending(_));
            job.known.node = (!is_waiting).then(|| job.place[0].clone());
            if job.known.is_over() {
                self.leave(&job.known, &job.place[0], leaves);
            }
        }
        Ok(jobs.iter().filter(|job| job.hidden == 0).map(|job| job.known.clone()).collect())
    }

    fn cancel(&mut self, id: &str) {
        let mut jobs = self.jobs.borrow_mut();
        let job = jobs.iter_mut().find(|job| job.known.id == id).unwrap();
        job.known.state = JobState::Over("CANCELLED".into());
        self.told.borrow_mut().push(format!("cancel {}", job.place[0]));
    }

    fn hurry(&mut self, id: &str) {
        self.told.borrow_mut().push(format!("hurry {id}"));
    }

    fn settles(&self) -> Duration {
        self.lag
    }

    fn is_lasting(&self) -> bool {
        true
    }
}
