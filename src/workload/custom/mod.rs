//! Custom job: the user's own, measured instead of the pipeline.

pub mod module;
pub mod pictures;
pub mod printed;
pub mod sink;
pub mod sizes;
pub mod template;
mod worker;

use std::path::Path;

use serde::{Deserialize, Serialize};

use module::ModuleJob;
use pictures::PictureJob;
use printed::MetricSource;
use sink::Sinks;
use sizes::{JobSize, OwnSizes};
pub use worker::WorkerJob;

use super::metric::{Direction, Metric};
use crate::knobs::Value;

/// A job of the user's, as `space.toml` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomJob {
    /// Any program, one fresh process per repetition.
    Command(CommandJob),
    /// A TorchScript module that the worker calls.
    Module(ModuleJob),
    /// A program that speaks the worker's protocol, and may stay loaded from trial to trial.
    Worker(WorkerJob),
}

/// A command that is run as production would run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandJob {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The folder in which it runs.
    pub folder: String,
    /// The variable in which it finds the path of its profile.
    pub profile_env: String,
    /// Runs before the measured ones of each trial, not reported.
    pub warmup: u32,
    /// The longest that one run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
    /// What to score instead of wall time, as [`MetricSource::parse`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The metric's direction.
    #[serde(default)]
    pub goal: Direction,
    /// Where the values of knobs go besides its words.
    #[serde(default, skip_serializing_if = "Sinks::is_empty")]
    pub sinks: Sinks,
    /// A shell command that is given each run's output and fails where it is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Which of what it makes are pictures, to be compared with the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureJob>,
    /// What it can be as large as, where it has sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<JobSize>,
}

impl CommandJob {
    /// Where its metric stands.
    ///
    /// # Errors
    /// As [`MetricSource::parse`]: never for a command whose flags were accepted.
    pub fn source(&self) -> Result<Option<MetricSource>, String> {
        self.metric.as_deref().map(MetricSource::parse).transpose()
    }

    /// The same at these sizes.
    #[must_use]
    pub fn at(&self, sizes: &OwnSizes) -> Self {
        let words = self.words.iter().map(|word| template::sized(word, sizes)).collect();
        Self { words, ..self.clone() }
    }

    /// The same as a whole.
    #[must_use]
    pub fn whole(&self) -> Self {
        self.at(&sizes::whole(&self.sizes))
    }

    /// The value that it runs with today of the knob called `name`, whose values are of the kind of
    /// `like`; `None` where it reads the knob from its `WAN22_` variable alone.
    ///
    /// # Errors
    /// Nothing says what it is, and how to say so.
    pub fn today(&self, name: &str, like: &Value) -> Result<Option<Value>, String> {
        let meant = template::meant(&self.words, &|known| known == name);
        let uses: Vec<_> =
            meant.into_iter().map(|(_, one)| one).filter(|one| one.name == name).collect();
        if let Some(text) = uses.iter().find_map(|one| one.today) {
            let switch = || template::switch(text).map(Value::Switch);
            return match like {
                Value::Switch(_) => Ok(switch()),
                like => like.kind().read(text).or_else(|_| Ok(Value::guess(text))).map(Some),
            };
        }
        if uses.iter().any(|one| one.words.is_some()) {
            return Ok(Some(Value::Switch(false)));
        }
        let sink = self.sinks.get(name);
        let there = sink.map(|sink| sink.today(self.folder.as_ref())).transpose()?.flatten();
        let there = there.map(|value| like.kind().read(&value.to_string()).unwrap_or(value));
        let is_known = there.is_some() || (uses.is_empty() && sink.is_none());
        let cure =
            format!("write {{{name}=VALUE}} in the command, what you run without the profile");
        if is_known { Ok(there) } else { Err(format!("nothing says what {name} is today: {cure}")) }
    }
}

impl CustomJob {
    /// What its score counts.
    pub fn metric(&self) -> Metric {
        match self {
            Self::Command(CommandJob { metric: None, .. }) => Metric::SecondsPerRun,
            Self::Command(CommandJob { goal, .. }) => Metric::Printed(*goal),
            Self::Module(_) => Metric::SecondsPerCall,
            Self::Worker(_) => Metric::SecondsPerRun,
        }
    }

    /// What its workload is called. For a command and a module it is also the name of the space that
    /// comes with the program; a worker is tuned in a command's.
    pub fn space(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Module(_) => "module",
            Self::Worker(_) => "worker",
        }
    }

    /// How long a run takes of what was not said to be scored otherwise, by [`CustomJob::space`].
    pub fn timed(space: &str) -> Metric {
        if space == "module" { Metric::SecondsPerCall } else { Metric::SecondsPerRun }
    }

    /// What tells the job from others of its kind, one word a line.
    pub fn words(&self) -> String {
        match self {
            Self::Command(command) => command.words.join("\n"),
            Self::Module(module) => [module.file.as_str(), &module.inputs].join("\n"),
            Self::Worker(worker) => worker.words.join("\n"),
        }
    }

    /// The job in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Command(command) => command.words.join(" "),
            Self::Module(module) => format!("{} of {}", module.file, module.inputs),
            Self::Worker(worker) => worker.words.join(" "),
        }
    }

    /// What it can be as large as.
    pub fn sizes(&self) -> &[JobSize] {
        match self {
            Self::Command(command) => &command.sizes,
            Self::Worker(worker) => &worker.sizes,
            Self::Module(_) => &[],
        }
    }

    /// The folder in which it runs.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Command(command) => Some(command.folder.as_ref()),
            Self::Worker(worker) => Some(worker.folder.as_ref()),
            Self::Module(_) => None,
        }
    }

    /// Which of what it makes are pictures.
    pub fn pictures(&self) -> Option<&PictureJob> {
        match self {
            Self::Command(command) => command.pictures.as_ref(),
            Self::Worker(worker) => worker.pictures.as_ref(),
            Self::Module(_) => None,
        }
    }

    /// How it is measured, beside [`CustomJob::describe`], by name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let command = match self {
            Self::Command(command) => command,
            Self::Worker(worker) => return worker.facts(),
            Self::Module(_) => return Vec::new(),
        };
        let CommandJob {
            folder,
            profile_env,
            warmup,
            timeout_s,
            metric,
            goal,
            check,
            pictures,
            ..
        } = command;
        let scored = match metric {
            None => "seconds from launch to exit".to_owned(),
            Some(metric) => format!("{metric}, goal {goal}"),
        };
        let mut facts = vec![
            ("its folder", folder.clone()),
            ("profile handed over in", profile_env.clone()),
            ("scored", scored),
        ];
        facts.extend((*warmup > 0).then(|| ("warm-up runs", warmup.to_string())));
        facts.extend(timeout_s.map(|seconds| ("timeout", format!("{seconds} s per run"))));
        facts.extend(check.clone().map(|check| ("check", check)));
        let files = pictures.iter().filter_map(|pictures| pictures.files.clone());
        facts.extend(files.map(|files| ("pictures", files)));
        facts
    }
}
