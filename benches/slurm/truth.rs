//! Truth: what a job's settings cost, by the words that the job is started with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wan22_tune::knobs::Values;

/// The job: it looks up how long to sleep.
const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/slurm/job.sh");

/// A knob, its values and what runs today.
type Knob = (&'static str, &'static [&'static str], &'static str);

/// Knobs like those of the model's pipeline: 27,648 candidates.
const PIPELINE: [Knob; 9] = [
    ("tile", &["128", "256", "384", "512", "768", "1024"], "512"),
    ("vae", &["64", "96", "128", "192", "256", "384", "512", "768"], "384"),
    ("batch", &["1", "2", "4", "8"], "2"),
    ("kind", &["fp32", "bf16", "bf16-vae"], "fp32"),
    ("matmul", &["highest", "medium"], "highest"),
    ("inter", &["1", "2"], "1"),
    ("intra", &["1", "2"], "2"),
    ("pages", &["none", "libtorch", "glibc"], "none"),
    ("heap", &["glibc", "keep"], "glibc"),
];

/// What each candidate costs.
pub struct Truth {
    knobs: Vec<Knob>,
    costs: BTreeMap<String, f64>,
}

impl Truth {
    /// Of all candidates of these knobs.
    pub fn of(knobs: &[Knob], cost: impl Fn(&[&str]) -> f64) -> Self {
        let mut all: Vec<Vec<&str>> = vec![Vec::new()];
        for (_, values, _) in knobs {
            let with = |one: &Vec<&'static str>| {
                values.iter().map(|value| [&one[..], &[value]].concat()).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(with).collect();
        }
        let costs = all.iter().map(|words| (words.join(" "), cost(words))).collect();
        Self { knobs: knobs.to_vec(), costs }
    }

    /// Knobs that help and harm each other, in seconds: 0.13 at best, 0.28 today, 0.34 in the middle.
    pub fn pipeline() -> Self {
        Self::of(&PIPELINE, pipeline_s)
    }

    /// Writes the table of a node on which all takes `factor` times as long, into the folder `tables`.
    pub fn write(&self, tables: &Path, node: &str, factor: f64) -> Result<()> {
        fs::create_dir_all(tables)?;
        let line = |(words, cost): (&String, &f64)| format!("{words}\t{:.4}\n", cost * factor);
        let text: String = self.costs.iter().map(line).collect();
        fs::write(tables.join(node), text).with_context(|| tables.display().to_string())
    }

    /// The words that declare the knobs to a tune, and those of the job behind them.
    pub fn words(&self, tables: &Path) -> Vec<String> {
        let fixed = ["--no-built-in", "--cold"].map(ToOwned::to_owned).into_iter();
        let declared = |(name, values, _): &Knob| format!("--knob={name}={}", values.join("|"));
        let used = |(name, _, today): &Knob| format!("{{{name}={today}}}");
        let job = ["--".to_owned(), JOB.to_owned(), tables.display().to_string()];
        let declared = self.knobs.iter().map(declared);
        fixed.chain(declared).chain(job).chain(self.knobs.iter().map(used)).collect()
    }

    /// How much more these settings cost than the best, as a share.
    pub fn regret(&self, values: &Values) -> Result<f64> {
        let word = |(name, _, _): &Knob| Some(values.get(*name)?.to_string());
        let words: Option<Vec<String>> = self.knobs.iter().map(word).collect();
        let words = words.context("a knob is missing")?.join(" ");
        let cost = self.costs.get(&words).with_context(|| format!("{words}: no candidate"))?;
        Ok(cost / self.costs.values().copied().fold(f64::INFINITY, f64::min) - 1.0)
    }
}

fn pipeline_s(words: &[&str]) -> f64 {
    let number = |place: usize| words[place].parse::<f64>().unwrap_or(f64::NAN);
    let (tile, vae, batch) = (number(0), number(1), number(2));
    let is = |place: usize, word: &str| words[place] == word;
    let mut cost = 0.15;
    cost += 0.05 * (tile / 256.0).log2().abs() * if is(3, "fp32") { 1.0 } else { 0.7 };
    cost += 0.04 * (vae / if is(3, "bf16-vae") { 96.0 } else { 256.0 }).log2().abs();
    cost += 0.035 * (batch * tile / 1024.0).log2().abs();
    cost += match words[3] {
        "fp32" => 0.06,
        "bf16" if tile > 512.0 => 0.08,
        "bf16" => 0.02,
        _ if vae >= 384.0 => 0.09,
        _ => 0.0,
    };
    cost += match (is(4, "medium"), is(3, "fp32")) {
        (true, true) => -0.025,
        (true, false) => 0.01,
        _ => 0.0,
    };
    let is_large = batch >= 4.0;
    cost += if !is(5, "2") {
        0.0
    } else if is_large {
        -0.012
    } else {
        0.02
    };
    cost += if !is(6, "1") {
        0.0
    } else if is_large {
        0.05
    } else {
        0.015
    };
    cost += match words[7] {
        "libtorch" if vae >= 256.0 => -0.015,
        "libtorch" => 0.01,
        "glibc" => 0.006,
        _ => 0.0,
    };
    cost += if !is(8, "keep") {
        0.0
    } else if is(7, "none") {
        -0.012
    } else {
        0.004
    };
    cost
}

/// Words as a shell takes them apart again.
pub fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// The folder of a cluster's tables.
pub fn tables(root: &Path) -> PathBuf {
    root.join("tables")
}
