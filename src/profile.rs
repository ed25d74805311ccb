//! Profile: the settings to ship, with their evidence and the machine's fingerprint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::launch::{self, Launch};
use crate::machine::{Fingerprint, Machine};
use crate::settings::{Baseline, HardwareProfile, Knobs, OptimalSettings, Settings, Workers};
use crate::space::Value;

/// The format's version.
pub const SCHEMA: u32 = 1;

/// A profile is a page of text; whatever is larger is none.
const LARGEST_BYTES: u64 = 1 << 20;

/// The settings to ship. The first three keys are the WAN22 system optimizer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub candidate: BTreeMap<String, Value>,
    /// What proves it; `None` for a profile that was never measured.
    pub evidence: Option<Evidence>,
    /// The machine that it was made on.
    pub machine: MachineMark,
    /// Name and version of the program that made it.
    pub tool: String,
}

/// Pool sizes by the WAN22 optimizer's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineMark {
    /// Host name, for people.
    pub host: String,
    /// What tells it from others.
    pub fingerprint: Fingerprint,
}

/// What proves a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `gain` or `no significant gain`.
    pub verdict: String,
    /// Less time a clip than the baseline, percent, measured by confirmation pairs only.
    pub gain_percent: Option<f64>,
    /// 95% confidence interval of the gain, valid at whichever pair the test stopped.
    pub interval_percent: Option<[f64; 2]>,
    /// Confirmation pairs.
    pub pairs: usize,
    /// Median seconds a clip of the baseline's confirmation trials.
    pub baseline_s: Option<f64>,
    /// Median seconds a clip of these settings' confirmation trials.
    pub score_s: Option<f64>,
    /// The worst picture that these settings made, against the same latent decoded whole in
    /// float32.
    #[serde(default)]
    pub quality: Option<crate::trial::Quality>,
    /// The workload that was measured.
    pub workload: crate::workload::Workload,
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
            candidate: knobs.values(),
            evidence: None,
            machine: MachineMark { host: machine.host.clone(), fingerprint: machine.fingerprint() },
            tool: crate::TOOL.to_owned(),
        })
    }

    /// The knobs that it stands for.
    ///
    /// # Errors
    /// The first knob that is missing, unknown or out of its range.
    pub fn knobs(&self, baseline: &Knobs) -> Result<Knobs, String> {
        let known = baseline.values();
        if let Some(odd) = self.candidate.keys().find(|name| !known.contains_key(*name)) {
            return Err(format!("/candidate/{odd}: no such knob"));
        }
        baseline.with(self.candidate.iter().map(|(name, value)| (name.as_str(), value)))
    }

    /// What it means on this machine.
    ///
    /// # Errors
    /// Why the machine can't run it.
    pub fn settings(&self, machine: &Machine, baseline: &Knobs) -> Result<Settings, String> {
        self.knobs(baseline)?.resolve(machine)
    }

    /// Reads a profile and checks whatever it would do to a process.
    ///
    /// # Errors
    /// The file, where in it, and what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("profile {}", path.display());
        let file = File::open(path).with_context(place)?;
        let metadata = file.metadata().with_context(place)?;
        ensure!(metadata.is_file(), "{}: not a regular file", place());
        ensure!(metadata.len() <= LARGEST_BYTES, "{}: larger than 1 MiB", place());
        let mut text = String::new();
        file.take(LARGEST_BYTES).read_to_string(&mut text).with_context(place)?;
        let profile: Self = serde_json::from_str(&text).with_context(place)?;
        if profile.schema != SCHEMA {
            bail!("{}: /schema: this program reads {SCHEMA}, not {}", place(), profile.schema);
        }
        launch::environment::check(&profile.launch.environment)
            .map_err(|problem| anyhow::anyhow!("{}: /launch/{problem}", place()))?;
        Ok(profile)
    }

    /// Replaces the file, so that a reader sees the old profile or the new one.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        durable::replace(path, text.as_bytes())
    }
}
