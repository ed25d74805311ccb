//! Worker job: a program of the user's own that speaks the worker's protocol.

use serde::{Deserialize, Serialize};

/// A program that is told a job by a message and answers with its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerJob {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The folder in which it runs.
    pub folder: String,
    /// The variable in which it finds the path of its profile.
    pub profile_env: String,
}

impl WorkerJob {
    /// How it is run, by name.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("its folder", self.folder.clone()),
            ("profile handed over in", self.profile_env.clone()),
            ("a process", "a worker that may stay loaded from trial to trial".to_owned()),
        ]
    }
}
