//! Work: how near each of the models' stages comes to what the machine can do, and what that means
//! for a whole job.

use std::collections::BTreeMap;

use super::contender::{self, Contender};
use super::number::{bytes, digits, percent, span};
use super::table::Table;
use crate::results::Results;
use crate::space::Value;
use crate::stats;
use crate::trial::{Peak, Quality, Trial};
use crate::workload::Stage;

/// The rates of the models' stages under some knobs, in 10^9 operations a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(BTreeMap<Stage, f64>);

impl Rates {
    /// The median over the ok trials of `knobs`.
    pub fn of(results: &Results, knobs: &BTreeMap<String, Value>) -> Self {
        let rate = |(stage, cost): (&Stage, &crate::workload::Cost)| {
            let seconds = |trial: &Trial| trial.stage_s((*stage).into());
            let times: Vec<f64> =
                contender::trials_of(results, knobs).filter_map(seconds).collect();
            let time = stats::median(&times).filter(|time| *time > 0.0)?;
            (cost.flops > 0.0).then_some((*stage, cost.flops / time / 1e9))
        };
        Self(results.tune.costs.iter().filter_map(rate).collect())
    }

    /// Seconds that one clip of the whole job would take at these rates, its models' stages one
    /// after the other; `None` where a stage was not measured.
    pub fn whole_job_s(&self, results: &Results) -> Option<f64> {
        let costs = &results.tune.full_costs;
        let second = |(stage, cost): (&Stage, &crate::workload::Cost)| {
            Some(cost.flops / (self.0.get(stage)? * 1e9))
        };
        let seconds: Option<Vec<f64>> = costs.iter().map(second).collect();
        seconds.filter(|seconds| !seconds.is_empty()).map(|seconds| seconds.iter().sum())
    }
}

/// What the trial that made the reference measured as the machine's peak.
pub fn peak(results: &Results) -> Option<Peak> {
    results.trials.iter().find_map(|trial| trial.peak)
}

/// One row a stage: its arithmetic, its share here and in a whole job, and how fast it runs.
pub fn table(results: &Results) -> Table {
    let best = Contender::of(results).map(|best| Rates::of(results, &best.knobs));
    let baseline = Rates::of(results, &results.space.given.baseline);
    let mut titles = vec![
        "stage",
        "#GFLOP a clip",
        "#share",
        "#of a whole job",
        "#peak memory",
        "#baseline, GFLOP/s",
    ];
    titles.extend(best.as_ref().map(|_| "#best, GFLOP/s"));
    let mut table = Table::new(titles);
    let total = |costs: &BTreeMap<Stage, crate::workload::Cost>| {
        costs.values().map(|cost| cost.flops).sum::<f64>().max(1.0)
    };
    let (here, whole) = (&results.tune.costs, &results.tune.full_costs);
    for (stage, cost) in here {
        let of_whole = whole.get(stage).map_or(0.0, |cost| cost.flops) / total(whole);
        let mut row = vec![
            stage.to_string(),
            digits(cost.flops / 1e9),
            percent(cost.flops / total(here)),
            percent(of_whole),
            memory(results, *stage),
            rate(results, &baseline, *stage),
        ];
        row.extend(best.as_ref().map(|best| rate(results, best, *stage)));
        table.row(row);
    }
    table
}

fn rate(results: &Results, rates: &Rates, stage: Stage) -> String {
    let Some(rate) = rates.0.get(&stage) else { return String::new() };
    match peak(results) {
        Some(peak) => format!("{} ({})", digits(*rate), percent(rate / peak.gflops)),
        None => digits(*rate),
    }
}

/// The most that a stage had resident in any trial of the baseline.
fn memory(results: &Results, stage: Stage) -> String {
    let trials = contender::trials_of(results, &results.space.given.baseline);
    let most = trials.filter_map(|trial| trial.stage_rss_bytes.get(<&str>::from(stage))).max();
    most.map(|most| bytes(*most)).unwrap_or_default()
}

/// What the rates come to, in sentences.
pub fn sentences(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(peak) = peak(results) {
        let (gflops, gb_s) = (digits(peak.gflops), digits(peak.gb_s));
        sentences.push(format!(
            "In brackets the share of {gflops} GFLOP/s, which a product of large float32 matrices \
             reached on this machine under the baseline; it copied {gb_s} GB/s."
        ));
    }
    let whole = |knobs: &BTreeMap<String, Value>| Rates::of(results, knobs).whole_job_s(results);
    if let Some(baseline_s) = whole(&results.space.given.baseline) {
        let best = Contender::of(results).and_then(|best| whole(&best.knobs));
        let best = best.map(|best| format!(", {} with the best", span(best))).unwrap_or_default();
        sentences.push(format!(
            "At these rates a clip of the whole job would take {} with the baseline{best}: an \
             estimate from small sizes, not a measurement.",
            span(baseline_s)
        ));
    }
    sentences
}

/// The worst picture that any ok trial of `knobs` made.
pub fn quality(results: &Results, knobs: &BTreeMap<String, Value>) -> Option<Quality> {
    let qualities = contender::trials_of(results, knobs).filter_map(|trial| trial.quality);
    qualities.min_by(|a, b| a.worst_db().total_cmp(&b.worst_db()))
}

/// A quality in words.
pub fn in_words(quality: Quality) -> String {
    if quality.psnr_db >= Quality::EQUAL_DB {
        return "equal".to_owned();
    }
    let seams = quality.seam_psnr_db.map(|db| format!(", {db:.1} dB at seams")).unwrap_or_default();
    format!("{:.1} dB{seams}, SSIM {:.4}", quality.psnr_db, quality.ssim)
}
