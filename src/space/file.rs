//! The TOML form of a space, before and after it is resolved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AppEntry, ExpertEntry, Range, Scale};
use crate::knobs::{AsIs, Preset, Value};
use crate::workload::custom::CustomJob;
use crate::workload::custom::sink::Sink;
use crate::workload::{Cost, Stage, Workload};

/// The spaces that come with the program, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("pipeline", include_str!("../../search-spaces/pipeline.toml")),
    ("command", include_str!("../../search-spaces/command.toml")),
    ("module", include_str!("../../search-spaces/module.toml")),
    ("diffusers", include_str!("../../search-spaces/apps/diffusers.toml")),
    ("wan2gp", include_str!("../../search-spaces/apps/wan2gp.toml")),
    ("sd-cpp", include_str!("../../search-spaces/apps/sd-cpp.toml")),
    ("sglang", include_str!("../../search-spaces/apps/sglang.toml")),
    ("lightx2v", include_str!("../../search-spaces/apps/lightx2v.toml")),
];

/// The format's version.
pub const SCHEMA: u32 = 1;

/// A file of `search-spaces/`, or the `space.toml` of a results folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceFile {
    /// The format's version: 1.
    pub schema: u32,
    /// What the space is called.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// Written by resolution: the facts that expressions speak of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, i64>,
    /// Written by resolution: the baseline's value of every knob that the tool has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baseline: BTreeMap<String, Value>,
    /// Candidates to try first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expert: Vec<ExpertEntry>,
    /// Written by a tune: what was measured, sizes fixed for all its trials.
    pub workload: Option<Workload>,
    /// Written by a tune: how it was run.
    pub tune: Option<Tune>,
    /// The program that it is for, where it is for one.
    pub app: Option<AppEntry>,
    /// The knobs, in the order in which they are searched and reported.
    #[serde(default)]
    pub knob: toml::Table,
    /// What legal candidates keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraint: Vec<ConstraintEntry>,
    /// The knobs of a worker's own of which nobody said what it runs today; it can be asked.
    #[serde(skip)]
    pub guessed: BTreeSet<String>,
}

/// How a tune was run: what a report needs besides machine, space and journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tune {
    /// Name and version of the program.
    pub tool: String,
    /// The command line, as typed.
    pub command: String,
    /// When it started, ISO 8601.
    pub started: String,
    /// Wall seconds for everything.
    pub budget_s: f64,
    /// Seeds strategy, weights and the order of pairs.
    pub seed: u64,
    /// The strategy.
    pub strategy: String,
    /// The baseline's preset.
    pub preset: Preset,
    /// The caller's variables that decide how libraries run, where the baseline was what they and the
    /// defaults come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_is: Option<BTreeMap<String, String>>,
    /// The knobs that the baseline left to the program.
    #[serde(default, skip_serializing_if = "AsIs::is_empty")]
    pub program_as_is: AsIs,
    /// Repetitions per trial, where the user gave their number, or an older program knew but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetitions: Option<u32>,
    /// The user's own weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The worst picture that may win, dB, where the user said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_psnr_db: Option<f64>,
    /// The command line's words after the program's name, from which a tune that goes on reads
    /// its flags; each as [`arguments::written`](super::arguments::written) has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// What the worker says of itself and of its libtorch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When and for how long it went on after a break.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
    /// How it ended; absent while it runs, and where it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TuneEnd>,
    /// How many trials the journal had then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<usize>,
    /// The user's own job, instead of the pipeline.
    #[serde(rename = "own", default, skip_serializing_if = "Option::is_none")]
    pub custom_job: Option<CustomJob>,
    /// The whole job that the workload stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Workload>,
    /// The slice of the job on which finalists are confirmed, where it is larger than the search's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Workload>,
    /// What each of the models' stages takes for one clip of what its times are of.
    #[serde(default)]
    pub costs: BTreeMap<Stage, Cost>,
    /// The same for one clip of the whole job.
    #[serde(default)]
    pub full_costs: BTreeMap<Stage, Cost>,
}

/// How a tune ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TuneEnd {
    /// Its budget was spent.
    Budget,
    /// More pairs could not change the verdict.
    Decided,
    /// Every legal candidate was measured, and none of them was worth a confirmation.
    Exhausted,
    /// A signal asked it to finish with what it had.
    Stopped,
}

/// A tune went on after a break.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// When, ISO 8601.
    pub started: String,
    /// Wall seconds that it was given; without, what was left of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_s: Option<f64>,
    /// Seconds that the tune had run by then, breaks left out; absent in folders of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_s: Option<f64>,
}

/// What a knob may change of what the job makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(strum::Display, strum::EnumString)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Changes {
    /// Only its time.
    Nothing,
    /// The pictures too.
    Picture,
}

/// One `[knob.NAME]`. Exactly one of `values` and `range` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnobEntry {
    /// What it means in the workload, and why it is worth tuning.
    pub why: String,
    /// All numbers (ordered), all words (names), or true and false.
    pub values: Option<Vec<Value>>,
    /// Numbers between two bounds.
    pub range: Option<Range>,
    /// By what its numbers are near to each other.
    pub scale: Option<Scale>,
    /// For a knob of the command's own: what it runs today.
    pub default: Option<Value>,
    /// Where the command reads it besides its words: `env:VARIABLE` or `json:FILE#/POINTER`.
    pub sink: Option<Sink>,
    /// The flag with which the program of an app takes it: `--profile`, `--tile {}x{}`, or of a switch the
    /// words that are there while it is on.
    pub flag: Option<String>,
    /// A flag of that program beside which it takes no notice of this one.
    pub unless: Option<String>,
    /// Where it stands in the JSON file of an app, as a JSON pointer (RFC 6901).
    pub pointer: Option<String>,
    /// What its numbers count.
    pub unit: Option<String>,
    /// What it may change of what the command makes.
    pub changes: Option<Changes>,
    /// Single values that exist only where an expression over the machine is true.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only_if: BTreeMap<String, String>,
    /// When the knob does anything, over the machine and the other knobs.
    pub when: Option<String>,
    /// Left out of the space unless experts' knobs are asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expert: bool,
    /// Written by resolution: values that the machine can't have, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, String>,
}

/// One `[[constraint]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstraintEntry {
    /// True for legal candidates.
    pub holds: String,
    /// Why candidates have to keep it.
    pub why: String,
}
