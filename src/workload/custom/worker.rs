//! Worker job: a program of the user's own that speaks the worker's protocol.

use serde::{Deserialize, Serialize};

use super::pictures::PictureJob;
use super::sizes::JobSize;

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
    /// The pictures that it makes or hands over, to be compared with the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureJob>,
    /// What it can be as large as, where it has sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<JobSize>,
}

impl WorkerJob {
    /// How it is run, by name.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let files = self.pictures.iter().filter_map(|pictures| pictures.files.clone());
        let mut facts = vec![
            ("its folder", self.folder.clone()),
            ("profile handed over in", self.profile_env.clone()),
            ("a process", "a worker that may stay loaded from trial to trial".to_owned()),
        ];
        facts.extend(files.map(|files| ("pictures", files)));
        facts
    }
}
