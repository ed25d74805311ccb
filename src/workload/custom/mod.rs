//! Custom job: the user's own, measured instead of the pipeline.

pub mod metric;
pub mod module;
pub mod pictures;
pub mod sink;
pub mod sizes;
pub mod template;
mod worker;

use std::path::Path;

use serde::{Deserialize, Serialize};

use metric::{Direction, Source};
use module::ModuleJob;
use pictures::PictureJob;
use sink::Sinks;
use sizes::{JobSize, OwnSizes};
pub use worker::WorkerJob;

use crate::knobs::Value;
use crate::stats::Interval;

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
    /// What to score instead of wall time, as [`Source::parse`] reads it.
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
    /// As [`Source::parse`]: never for a command whose flags were accepted.
    pub fn source(&self) -> Result<Option<Source>, String> {
        self.metric.as_deref().map(Source::parse).transpose()
    }
}

impl CommandJob {
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
}

impl CustomJob {
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

/// What a score counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The pipeline's time, by clip.
    SecondsPerClip,
    /// A command's time from start to end.
    SecondsPerRun,
    /// A module's time from call to return.
    SecondsPerCall,
    /// A number that the command prints.
    Printed(Direction),
}

impl Metric {
    /// The metric of a tune: the pipeline's, or that of the user's own job.
    pub fn of(own: Option<&CustomJob>) -> Self {
        own.map_or(Self::SecondsPerClip, CustomJob::metric)
    }

    /// How costs turn into the numbers that a person knows, and back.
    pub fn direction(self) -> Direction {
        self.goal().unwrap_or_default()
    }

    /// The direction of a metric.
    pub fn goal(self) -> Option<Direction> {
        match self {
            Self::Printed(goal) => Some(goal),
            _ => None,
        }
    }

    /// The number that a person knows, from a cost, which is what is to be small.
    pub fn shown(self, cost: f64) -> f64 {
        self.direction().cost(cost)
    }

    /// What the number counts, as a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "seconds per clip",
            Self::SecondsPerRun => "seconds per run",
            Self::SecondsPerCall => "seconds per call",
            Self::Printed(Direction::Min) => "metric (less is better)",
            Self::Printed(Direction::Max) => "metric (more is better)",
        }
    }

    /// The same, as monitoring names it.
    pub fn gauge(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "clip_seconds",
            Self::SecondsPerRun => "run_seconds",
            Self::SecondsPerCall => "call_seconds",
            Self::Printed(_) => "metric",
        }
    }

    /// The same, short, after a number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "s per clip",
            Self::SecondsPerRun => "s per run",
            Self::SecondsPerCall => "s per call",
            Self::Printed(_) => "(metric)",
        }
    }

    /// The same, as the heading of a column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Printed(_) => "metric",
            _ => self.unit(),
        }
    }

    /// What there is several times more of with a gain, and the words after that number.
    pub fn factor(self) -> [&'static str; 2] {
        match self {
            Self::SecondsPerClip => ["clips in the same time", "as many"],
            Self::SecondsPerRun => ["runs in the same time", "as many"],
            Self::SecondsPerCall => ["calls in the same time", "as many"],
            Self::Printed(_) => ["metric", "as good"],
        }
    }

    /// What there is less or more of, after a share.
    pub fn noun(self) -> &'static str {
        match self {
            Self::SecondsPerClip => "time per clip",
            Self::SecondsPerRun => "time per run",
            Self::SecondsPerCall => "time per call",
            Self::Printed(_) => "of the metric",
        }
    }

    /// A saving of cost as a share of the baseline's number: of time or of a metric to be small
    /// the very saving, of one to be large what is won.
    pub fn share(self, saving: f64) -> f64 {
        match self {
            Self::Printed(Direction::Max) => 1.0 / (1.0 - saving) - 1.0,
            _ => saving,
        }
    }

    /// The same of a saving with its interval.
    pub fn shares(self, saved: Interval) -> Interval {
        let share = |saving| self.share(saving);
        Interval { low: share(saved.low), mean: share(saved.mean), high: share(saved.high) }
    }

    /// What costs a share more than something else, as a share of that one's number: how much more
    /// of time or of a metric to be small, or how much less of one to be large.
    pub fn lost(self, regret: f64) -> f64 {
        match self {
            Self::Printed(Direction::Max) => 1.0 - 1.0 / (1.0 + regret),
            _ => regret,
        }
    }

    /// The word for a change for the better, and the one for the worse.
    pub fn better(self) -> [&'static str; 2] {
        match self {
            Self::Printed(Direction::Max) => ["more", "less"],
            _ => ["less", "more"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_to_be_large_is_shown_as_printed_and_won_as_a_share_of_the_baselines() {
        let fps = Metric::Printed(Direction::Max);
        // 20 frames per second instead of 16 are a quarter more, in a fifth less time.
        assert_eq!(fps.shown(1.0 / 16.0), 16.0);
        assert!((fps.share(1.0 - 16.0 / 20.0) - 0.25).abs() < 1e-12);
        // At a quarter more cost 16 are left of 20: a fifth less.
        assert!((fps.lost(0.25) - 0.2).abs() < 1e-12);
        assert_eq!(Metric::SecondsPerRun.lost(0.25), 0.25);
        assert_eq!(Metric::SecondsPerRun.share(0.2), 0.2);
        assert_eq!(Metric::SecondsPerRun.shown(2.0), 2.0);
    }
}
