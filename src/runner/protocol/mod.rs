//! What tuner and worker say to each other.
//!
//! The worker reads a [`Job`] as a line of JSON on stdin and writes [`Message`]s on stdout, one JSON
//! object per line: `ready` once everything is set up and warm, a `sample` for each repetition,
//! then `done`; or `failed` at any point. Then it exits, or waits for another job. stderr is free
//! text for people.

mod path_json;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::knobs::{Settings, Values};
use crate::launch::Effect;
use crate::runner::Repetitions;
use crate::trial::{Outcome, Peak, Quality, Sample};
use crate::workload::custom::module::ModuleJob;
use crate::workload::{Stage, Workload};

/// The version of this protocol; a worker refuses another one.
pub const VERSION: u32 = 5;

/// The variable in which a worker finds [`VERSION`], so that a program which can be one knows that it
/// is to be one now.
pub const PROTOCOL: &str = "WAN22_PROTOCOL";

/// The reference's pictures of a fixed latent.
pub const DECODED: &str = "decoded";
/// The reference's latents of a fixed picture.
pub const ENCODED: &str = "encoded";
/// The reference's first velocity at fixed noise.
pub const PREDICTED: &str = "predicted";
/// The reference's embeddings of a fixed prompt.
pub const EMBEDDED: &str = "embedded";

/// The file of a reference: another size of the job has another one, though its pictures may be as
/// large.
pub fn reference(what: &str, workload: &Workload) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let job: String = workload.to_string().chars().map(plain).collect();
    format!("reference-{what}-{job}.safetensors")
}

/// The files of all references.
pub fn references(workload: &Workload) -> [String; 4] {
    [DECODED, ENCODED, PREDICTED, EMBEDDED].map(|what| reference(what, workload))
}

/// The file in a job's `references` that shows the reference picture.
pub const REFERENCE_VIEW: &str = "reference.png";

/// The frame of the baseline that belongs to [`TRIAL_VIEW`], of a job of the user's own.
pub const TRIAL_REFERENCE_VIEW: &str = "trial-reference.png";

/// The file in a job's `references` that shows the same picture as the last trial made it.
pub const TRIAL_VIEW: &str = "trial.png";

/// One trial's work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The trial's number; every message repeats it.
    pub trial: u64,
    /// What to run, with sizes fixed for the whole tune.
    pub workload: Workload,
    /// How to run it.
    pub settings: Settings,
    /// What only the worker can apply, by the names of knobs: what a command finds in `WAN22_`
    /// variables. What is left out has the worker's own value. Empty for the built-in jobs, whose worker
    /// takes them from the settings.
    #[serde(default)]
    pub knobs: Values,
    /// How often it is measured after the warm-up.
    pub repetitions: Repetitions,
    /// Single batches before, not reported. None where a worker that stayed loaded was seen to need none.
    pub warmup: u32,
    /// Whether frames are wanted: a worker of the user's own then writes those of its last repetition
    /// into `output`, as PNG or JPEG files whose names follow their order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pictures: bool,
    /// The models' stages that they leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cold_stages: Vec<Stage>,
    /// The seconds above which the first repetition is enough: the worker may end the trial there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_above_s: Option<f64>,
    /// Input pictures, JPEG or PNG.
    #[serde(with = "path_json")]
    pub images: Vec<PathBuf>,
    /// Where frames are written; emptied by the tuner.
    #[serde(with = "path_json")]
    pub output: PathBuf,
    /// A model in diffusers layout; random weights without it.
    #[serde(default, with = "path_json")]
    pub weights: Option<PathBuf>,
    /// Where the tune's reference pictures lie; a trial that misses one makes it.
    #[serde(with = "path_json")]
    pub references: PathBuf,
    /// Seeds weights and noise.
    pub seed: u64,
    /// A module of the user's own, to be called instead of the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleJob>,
}

/// One line from the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The job is set up and warmed up.
    Ready {
        /// The job's trial number.
        trial: u64,
        /// Seconds from the worker's start to here.
        setup_s: f64,
        /// Seconds of the last run of the warm-up, by the clock of the samples.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warmup_s: Option<f64>,
        /// What holds in the process.
        #[serde(default)]
        effect: Box<Effect>,
    },
    /// One repetition.
    Sample {
        /// The job's trial number.
        trial: u64,
        /// The repetition.
        sample: Sample,
        /// Seconds of all of it, whatever the sample's are the seconds of; 0 where they are the sample's.
        #[serde(default)]
        wall_s: f64,
    },
    /// The end of a good trial.
    Done {
        /// The job's trial number.
        trial: u64,
        /// Peak resident memory; 0 where the worker does not know.
        #[serde(default)]
        peak_rss_bytes: u64,
        /// Peak memory on a GPU.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak_device_bytes: Option<u64>,
        /// Peak resident memory of each of the models' stages, in the warm-up.
        #[serde(default)]
        stage_rss_bytes: BTreeMap<String, u64>,
        /// How good the picture is.
        #[serde(default)]
        quality: Option<Quality>,
        /// How many frames lie in the job's `output`, where they were wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pictures: Option<u64>,
        /// What this process could do at the most, where it made the reference.
        #[serde(default)]
        peak: Option<Peak>,
    },
    /// The end of a bad one.
    Failed {
        /// The job's trial number.
        trial: u64,
        /// How it failed.
        outcome: Outcome,
        /// What went wrong, in words.
        detail: String,
    },
}
