//! Profile: the settings to ship, with their evidence and the machine's fingerprint.

mod adapt;
mod agreement;
pub mod build;
mod check;
mod error;
pub mod export;
mod machine_match;
mod part;
mod proof;
mod quota;
mod read;
pub mod signature;
mod store;
pub mod verification;
mod wan22;

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::io::atomic_write;
use crate::knobs::{
    AsIs, Baseline, HardwareProfile, Knobs, OptimalSettings, Settings, Values, Workers, as_is,
};
use crate::launch::Launch;
use crate::machine::{CpuSet, Fingerprint, Machine};
use crate::workload::custom::CustomJob;
use crate::workload::metric::{Direction, Metric};

/// The format's version.
pub const SCHEMA: u32 = 1;

pub use adapt::Adapted;
pub use error::ProfileError;
pub use machine_match::ThisMachine;
pub use part::{MachinePart, short_digest};
pub use proof::Proof;
pub use read::{located, text, unmarked};
pub use store::Store;
pub use store::entry::Entry;
pub use store::file_name::FileName;

/// The settings to ship. The first three keys are the WAN22 system optimizer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The machine, as the WAN22 optimizer describes it.
    pub hardware_profile: HardwareProfile,
    /// The settings, as the WAN22 optimizer stores them.
    pub optimal_settings: OptimalSettings,
    /// When it was made, ISO 8601.
    pub timestamp: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// How to start a process under these settings.
    pub launch: Launch,
    /// Pool sizes of the image pipeline, by the WAN22 optimizer's names.
    pub workers: WorkerSplit,
    /// The value of every knob.
    pub candidate: Values,
    /// The values of the knobs that only the tuned command has.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub custom_knobs: Values,
    /// The knobs whose values are not handed over: the program keeps what it has by itself.
    #[serde(default, skip_serializing_if = "AsIs::is_empty")]
    pub program_as_is: AsIs,
    /// What proves it; `None` for a profile that was never measured.
    pub evidence: Option<Evidence>,
    /// The machine that it was made on.
    pub machine: MachineId,
    /// Name and version of the program that made it.
    pub tool: String,
}

/// Pool sizes by the WAN22 optimizer's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the WAN22 system optimizer's names")]
pub struct WorkerSplit {
    pub preprocessing_workers: usize,
    pub io_workers: usize,
    pub batch_processing_workers: usize,
}

impl From<Workers> for WorkerSplit {
    fn from(workers: Workers) -> Self {
        Self {
            preprocessing_workers: workers.preprocess,
            io_workers: workers.io,
            batch_processing_workers: workers.batch,
        }
    }
}

/// Which machine a profile was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineId {
    /// Host name, for people.
    pub host: String,
    /// What tells it from others.
    pub fingerprint: Fingerprint,
    /// The CPUs that the tune was allowed to use; all of the machine's in profiles that do not
    /// tell.
    #[serde(default, skip_serializing_if = "CpuSet::is_empty")]
    pub allowed: CpuSet,
    /// How many CPUs the machine has, where the tune was not allowed to use all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<usize>,
    /// The quota that the tune ran under, CPU seconds per second, where it was less than the CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<f64>,
}

impl MachineId {
    fn of(machine: &Machine) -> Self {
        // Whatever the kernel calls a host, what is shipped is a plain word.
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let host: String = machine.host.chars().map(plain).collect();
        let host: String =
            host.replace("..", "-").trim_matches(['.', '-']).chars().take(255).collect();
        let cpus = machine.cores.iter().map(|core| core.cpus.len()).sum();
        Self {
            host: if host.is_empty() { "unknown".to_owned() } else { host },
            fingerprint: machine.fingerprint(),
            allowed: machine.allowed.clone(),
            cpus: Some(cpus).filter(|&cpus| machine.allowed.len() < cpus),
            cpu_quota: machine.quota_ceiling().and(machine.limits.cpu_quota),
        }
    }
}

/// What proves a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `gain` or `no significant gain`.
    pub verdict: String,
    /// Less time (or less or more of a metric) than the baseline, percent, measured by confirmation
    /// pairs only.
    pub gain_percent: Option<f64>,
    /// 95% confidence interval of the gain, valid at whichever pair the test stopped.
    pub interval_percent: Option<[f64; 2]>,
    /// Confirmation pairs.
    pub pairs: usize,
    /// Whether the tune went on until its end; `false` where it was cut short. Absent where nothing
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Median seconds per clip of the baseline's confirmation trials.
    pub baseline_s: Option<f64>,
    /// Median seconds per clip of these settings' confirmation trials.
    pub score_s: Option<f64>,
    /// The same of a number that the user's own command printed, where that was scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricEvidence>,
    /// The worst picture that these settings made, against the same latent decoded whole in
    /// float32.
    #[serde(default)]
    pub quality: Option<crate::trial::Quality>,
    /// The workload that was measured.
    pub workload: crate::workload::Workload,
    /// Tells the user's own command or module from others: a digest of its words. Absent where
    /// that was not what was measured, and in profiles of older versions.
    #[serde(rename = "own", default, skip_serializing_if = "Option::is_none")]
    pub custom_job: Option<String>,
    /// What each node gained by itself, where several of a class were tuned together; the gain above is
    /// of the class then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeEvidence>,
}

/// What one of several nodes shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeEvidence {
    /// Its name.
    pub name: String,
    /// Confirmation pairs there.
    pub pairs: usize,
    /// Less time (or less or more of a metric) than the baseline there, percent.
    pub gain_percent: Option<f64>,
}

/// What proves a profile where a number was scored instead of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricEvidence {
    /// Whether little or much of it is good; [`Evidence::gain_percent`] is so much less or more.
    pub goal: Direction,
    /// Median of the baseline's confirmation trials.
    pub baseline: Option<f64>,
    /// Median of these settings' confirmation trials.
    pub score: Option<f64>,
}

impl Evidence {
    /// What was scored.
    pub fn metric(&self) -> Metric {
        match &self.metric {
            Some(metric) => Metric::Printed(metric.goal),
            None if self.workload.is_custom() => CustomJob::timed(&self.workload.name),
            None => Metric::SecondsPerClip,
        }
    }

    /// The baseline's and these settings' scores, as a person knows them.
    pub fn scores(&self) -> [Option<f64>; 2] {
        match &self.metric {
            Some(metric) => [metric.baseline, metric.score],
            None => [self.baseline_s, self.score_s],
        }
    }
}

#[cfg(test)]
impl Profile {
    /// The profile of a machine's baseline.
    fn of_baseline(preset: crate::knobs::Preset, machine: &Machine) -> Self {
        let baseline = Baseline::fit(preset, machine);
        let made = "2026-11-24T10:00:00Z".to_owned();
        Self::new(machine, &baseline, &baseline.knobs, made).unwrap()
    }
}

impl Profile {
    /// The profile of some knobs on a machine, made at `timestamp` (ISO 8601).
    ///
    /// # Errors
    /// Why the machine can't run them.
    pub fn new(
        machine: &Machine,
        baseline: &Baseline,
        knobs: &Knobs,
        timestamp: String,
    ) -> Result<Self, String> {
        let settings = knobs.resolve(machine)?;
        Ok(Self {
            hardware_profile: HardwareProfile::of(machine),
            optimal_settings: OptimalSettings::tuned(baseline, knobs, &settings, machine),
            timestamp,
            schema: SCHEMA,
            launch: Launch::of(&settings),
            workers: settings.workers.into(),
            candidate: knobs.built_in(),
            custom_knobs: knobs.custom.clone(),
            program_as_is: as_is::of_program(&knobs.as_is),
            evidence: None,
            machine: MachineId::of(machine),
            tool: crate::TOOL.to_owned(),
        })
    }

    /// The knobs that it stands for.
    ///
    /// # Errors
    /// The first knob that is missing, unknown or out of its range.
    pub fn knobs(&self, baseline: &Knobs) -> Result<Knobs, String> {
        let known = baseline.built_in();
        if let Some(odd) = self.candidate.keys().find(|name| !known.contains_key(*name)) {
            return Err(format!("/candidate/{odd}: no such knob"));
        }
        let values = self.values();
        let knobs = baseline.with(&values)?;
        Ok(Knobs { as_is: self.as_is(), ..knobs })
    }

    /// The knobs that it leaves alone.
    fn as_is(&self) -> AsIs {
        self.launch.as_is.union(&self.program_as_is).cloned().collect()
    }

    /// Every knob's value, the command's own knobs included.
    pub fn values(&self) -> Values {
        let mut values = self.candidate.clone();
        values.extend(self.custom_knobs.clone());
        values
    }

    /// What it means on this machine.
    ///
    /// # Errors
    /// Why the machine can't run it.
    pub fn settings(&self, machine: &Machine, baseline: &Knobs) -> Result<Settings, String> {
        self.knobs(baseline)?.resolve(machine)
    }

    /// The format as a JSON schema, generated from these types.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
        text + "\n"
    }

    /// Replaces the file, so that a reader sees the old profile or the new one.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        atomic_write::replace(path, text.as_bytes())
    }
}
