//! Engine: whatever starts jobs on the nodes of a fleet.

mod launcher;
mod slurm;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

pub use launcher::{LauncherEngine, NODE_VARIABLE, this_node};
pub use slurm::{Allocation, BatchJob, Slurm, SlurmOptions, WHOLE_NODE, Warned, limit};

use super::Node;

/// What a job does on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[derive(strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Task {
    /// Says what machine it is.
    Probe,
    /// Tunes, or goes on with a tune.
    Tune,
    /// Proves the profile of its class again.
    Verify,
}

/// A job to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineJob {
    /// The task.
    pub task: Task,
    /// What it is for: a node, or a class. With the task it names the job.
    pub key: String,
    /// The nodes of which one is to run it, the best first.
    pub place: Place,
    /// CPUs that the node has to give it, where that is known.
    pub cpus: Option<usize>,
    /// The results whose profile is to be verified.
    pub subject: Option<PathBuf>,
}

/// The nodes of which one is to run a job.
pub type Place = Vec<String>;

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits, for the engine's reason.
    Pending(String),
    /// It runs.
    Running,
    /// It is over; with the engine's words, which say little of what came out.
    Over(String),
}

/// A job that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedJob {
    /// The engine's number of it.
    pub id: String,
    /// Its task.
    pub task: Task,
    /// What it is for, as [`EngineJob::key`].
    pub key: String,
    /// Where it runs or ran.
    pub node: Option<String>,
    /// How it stands.
    pub state: JobState,
}

impl SubmittedJob {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, JobState::Over(_))
    }
}

/// What a job has to know of its fleet.
#[derive(Clone, Debug)]
pub struct Site {
    /// This program.
    pub program: PathBuf,
    /// The fleet's folder, absolute.
    pub folder: PathBuf,
    /// Where the tune's own paths start.
    pub work_folder: PathBuf,
    /// How long a job of a task may take.
    pub tune_limit: Duration,
}

impl Site {
    /// The words that a node runs for a job.
    pub fn words(&self, job: &EngineJob) -> Vec<String> {
        let text = |path: &std::path::Path| path.display().to_string();
        let mut words = vec![text(&self.program), "fleet".to_owned(), text(&self.folder)];
        words.extend([format!("--here={}", job.task), format!("--key={}", job.key)]);
        words.extend(job.subject.as_deref().map(|path| format!("--of={}", text(path))));
        words.extend(job.cpus.filter(|_| job.task != Task::Probe).map(|n| format!("--cpus={n}")));
        words
    }

    /// The most that a job takes: a probe is a matter of seconds.
    fn limit(&self, task: Task) -> Duration {
        if task == Task::Probe { Duration::from_secs(120) } else { self.tune_limit }
    }
}

/// A program of the engine's does not answer, or has no answer itself, from which nothing follows.
#[derive(Debug, thiserror::Error)]
#[error("{program}: {why}")]
pub struct Silent {
    /// The program.
    pub program: String,
    /// How long it was given, or what it says.
    pub why: String,
}

/// Whatever starts jobs on nodes.
pub trait Engine {
    /// The nodes that there are.
    ///
    /// # Errors
    /// It does not say.
    fn nodes(&mut self) -> Result<Vec<Node>>;

    /// Starts a job, and returns the engine's number of it.
    ///
    /// # Errors
    /// It is refused; [`Silent`] where nobody answers.
    fn submit(&mut self, job: &EngineJob) -> Result<String>;

    /// What would be typed to start it.
    fn described(&self, job: &EngineJob) -> String;

    /// This fleet's jobs, those that ended a while ago perhaps not among them.
    ///
    /// # Errors
    /// No answer, from which nothing follows.
    fn jobs(&mut self) -> Result<Vec<SubmittedJob>>;

    /// Ends a job.
    fn cancel(&mut self, id: &str);

    /// Has a job that waits for its time start now.
    fn hurry(&mut self, id: &str) {
        let _ = id;
    }

    /// How long after a job's end what it wrote may not be seen yet.
    fn settles(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether jobs run on without whoever started them.
    fn is_lasting(&self) -> bool;
}
