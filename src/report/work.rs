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
use crate::workload::{Cost, Stage};

/// The rates of the models' stages under some knobs, in 10^9 operations a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(BTreeMap<Stage, f64>);

impl Rates {
    /// The median over the ok trials of `knobs`.
    pub fn of(results: &Results, knobs: &BTreeMap<String, Value>) -> Self {
        let rate = |(stage, cost): (&Stage, &Cost)| {
            let seconds = |trial: &Trial| trial.stage_s((*stage).into());
            let times: Vec<f64> =
                contender::trials_of(results, knobs).filter_map(seconds).collect();
            let time = stats::median(&times).filter(|time| *time > 0.0)?;
            (cost.flops > 0.0).then_some((*stage, cost.flops / time / 1e9))
        };
        Self(results.tune.costs.iter().filter_map(rate).collect())
    }

    /// Seconds that one clip of the whole job would take at these rates, its models' stages one
    /// after the other; `None` where none was measured. A stage that the small job has too little
    /// of (the text encoder of the smallest) is taken to be as slow as the slowest.
    pub fn whole_job_s(&self, results: &Results) -> Option<f64> {
        let slowest = self.0.values().copied().reduce(f64::min)?;
        let second = |(stage, cost): (&Stage, &Cost)| {
            cost.flops / (self.0.get(stage).unwrap_or(&slowest) * 1e9)
        };
        Some(results.tune.full_costs.iter().map(second).sum())
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
    let total =
        |costs: &BTreeMap<Stage, Cost>| costs.values().map(|cost| cost.flops).sum::<f64>().max(1.0);
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
    if quality.worst_db() >= Quality::EQUAL_DB {
        return "equal".to_owned();
    }
    let ratio = |db: Option<f64>, what| db.map(|db| format!(", {db:.1} dB {what}"));
    let seams = ratio(quality.seam_psnr_db, "at seams").unwrap_or_default();
    let prediction = ratio(quality.prediction_db, "in a step").unwrap_or_default();
    format!("{:.1} dB{seams}{prediction}, SSIM {:.4}", quality.psnr_db, quality.ssim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::Made;

    /// The fixture's clip of 3 s spends half of it in denoise and a tenth in every other stage.
    #[test]
    fn rates_are_operations_over_busy_time() {
        let results = Made::new().baseline(&[3.0]).results;
        let rates = Rates::of(&results, &results.space.given.baseline);
        let [denoise, decode] =
            [Stage::Denoise, Stage::Decode].map(|s| results.tune.costs[&s].flops);
        assert!((rates.0[&Stage::Denoise] / (denoise / 1.5 / 1e9) - 1.0).abs() < 1e-9);
        assert!((rates.0[&Stage::Decode] / (decode / 0.3 / 1e9) - 1.0).abs() < 1e-9);
        assert!(!rates.0.contains_key(&Stage::Text), "the fixture has no time of it");
        let whole = &results.tune.full_costs;
        let mut expected = 0.0;
        for (stage, busy) in [(Stage::Denoise, 1.5), (Stage::Decode, 0.3), (Stage::Encode, 0.3)] {
            expected += whole[&stage].flops / results.tune.costs[&stage].flops * busy;
        }
        let encode = results.tune.costs[&Stage::Encode].flops / 0.3;
        expected += whole[&Stage::Text].flops / encode;
        assert!((rates.whole_job_s(&results).unwrap() / expected - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_picture_is_equal_or_so_many_decibels_off() {
        let quality = |psnr_db, seam_psnr_db: Option<f64>| {
            let prediction_db = seam_psnr_db.map(|_| 44.04);
            Quality { psnr_db, ssim: 0.98765, seam_psnr_db, prediction_db }
        };
        assert_eq!(in_words(quality(200.0, None)), "equal");
        let tiled = in_words(quality(41.26, Some(33.0)));
        assert_eq!(tiled, "41.3 dB, 33.0 dB at seams, 44.0 dB in a step, SSIM 0.9877");
    }
}
