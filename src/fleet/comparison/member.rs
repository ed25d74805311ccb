//! Member: one machine's tune, condensed to what a comparison needs.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::Traits;
use super::gain;
use crate::evidence::confirmation::{Confirmation, Verdict};
use crate::knobs::{Value, Values};
use crate::results::{Folder, Results};
use crate::space::{Candidate, Space};
use crate::stats::{self, Interval};
use crate::workload::custom::{CommandJob, CustomJob};
use crate::workload::metric::Metric;

/// One results folder of a fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it is called: the folder's name, or the whole path where two have the same.
    pub name: String,
    /// The folder.
    pub path: String,
    /// The machine.
    pub traits: Traits,
    /// The job's name: only folders of the same job can be measured against each other.
    pub job: String,
    /// What was measured, with its sizes.
    pub workload: String,
    /// What its scores count.
    pub metric: Metric,
    /// When the tune started.
    pub started: String,
    /// Trials, and how many of them failed.
    pub trials: (usize, usize),
    /// What of the journal is missing or could not be used, and why.
    pub lost: Vec<String>,
    /// Whether a gain may be claimed; if not, the profile is the baseline.
    pub proven: bool,
    /// Share of cost (time, or what a metric comes to as a cost) that the finalist saves over the
    /// baseline, by the confirmation's pairs.
    pub gain: Option<Interval>,
    /// Share of cost that the profile saves over libtorch's own defaults; infinite ends where
    /// nothing says how noisy the machine is.
    pub over_defaults: Option<Interval>,
    /// The profile's value of every knob.
    pub profile: Values,
    /// The baseline's value of every knob.
    pub baseline: Values,
    /// The space as resolved there.
    pub space: Space,
    /// Median cost of every candidate that succeeded, confirmation included.
    pub measured: HashMap<Candidate, f64>,
}

impl Member {
    /// Reads a folder.
    ///
    /// # Errors
    /// The file that is missing or makes no sense.
    pub fn open(path: &Path) -> Result<Self> {
        let results = Results::open(&Folder::new(path))?;
        Self::of(results, path).with_context(|| path.display().to_string())
    }

    fn of(results: Results, path: &Path) -> Result<Self> {
        let profile = crate::profile::build::profile(&results)?.values();
        let failed = results.trials.iter().filter(|trial| trial.outcome.is_failure()).count();
        let findings = results.findings();
        let gain = findings.confirmation.as_ref().and_then(Confirmation::gain);
        Ok(Self {
            name: name(path),
            path: path.display().to_string(),
            traits: Traits::of(&results.machine),
            job: job(&results),
            workload: results.workload.to_string(),
            metric: results.metric(),
            started: results.tune.started.clone(),
            trials: (results.trials.len(), failed),
            proven: matches!(findings.verdict, Verdict::Gain(_)),
            gain: gain.filter(|gain| gain.low.is_finite()),
            lost: results.lost.clone(),
            over_defaults: gain::over_defaults(&results, &profile),
            measured: measured(&results),
            baseline: results.space.given.baseline.clone(),
            space: results.space,
            profile,
        })
    }

    /// The share of cost that the profile saves over the baseline: none without proof.
    pub fn shipped_gain(&self) -> f64 {
        self.gain.filter(|_| self.proven).map_or(0.0, |gain| gain.mean)
    }

    /// What the finalist saves over the baseline and the profile over libtorch's defaults, as
    /// shares of the number that the run is known by.
    pub fn shown_gains(&self) -> [Option<Interval>; 2] {
        [self.gain, self.over_defaults].map(|gain| gain.map(|gain| self.metric.shares(gain)))
    }
}

fn job(results: &Results) -> String {
    match &results.tune.custom_job {
        None => results.workload.name.clone(),
        // One command can be scored by several of the numbers that it prints.
        Some(job @ CustomJob::Command(CommandJob { metric: Some(metric), goal, .. })) => {
            format!("{} ({metric}, goal {goal})", job.describe())
        }
        Some(job) => job.describe(),
    }
}

fn name(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into())
}

/// The candidate of `space` with these values; `None` where one of them is not the space's.
pub(super) fn candidate(space: &Space, baseline: &Values, knobs: &Values) -> Option<Candidate> {
    let tuned = |name: &String| space.knob(name).is_some();
    // What an older version's folder does not know of it left as it was.
    let rests = |(name, value): (&String, &Value)| {
        tuned(name) || baseline.get(name).is_none_or(|usual| usual == value)
    };
    knobs.iter().all(rests).then(|| space.candidate(knobs)).flatten()
}

fn measured(results: &Results) -> HashMap<Candidate, f64> {
    let mut scores: HashMap<Candidate, Vec<f64>> = HashMap::new();
    let space = &results.space;
    for trial in results.trials.iter().filter(|trial| trial.phase.is_comparable()) {
        let found = candidate(space, &space.given.baseline, &trial.knobs);
        if let (Some(score), Some(candidate)) = (trial.score(), found) {
            scores.entry(candidate).or_default().push(score);
        }
    }
    let median =
        |(candidate, scores): (Candidate, Vec<f64>)| Some((candidate, stats::median(&scores)?));
    scores.into_iter().filter_map(median).collect()
}
