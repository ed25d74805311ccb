//! Work: how near each of the models' stages comes to what the machine can do, and what that means
//! for a whole job.

use std::collections::BTreeMap;

use super::{Table, fidelity};
use crate::io::number::{bytes, digits, percent, span};
use crate::knobs::{Knobs, MatmulPrecision, Precision, Value};
use crate::results::Results;
use crate::stats;
use crate::trial::{Peak, Quality, Trial};
use crate::workload::{Cost, Stage};

/// How fast a stage of the models runs, and how fast it could.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    /// 10^9 operations per second.
    gflops: f64,
    /// 10^9 bytes of weights read a second; a batch reads them once.
    gb_s: f64,
    /// What large products in the stage's kind of numbers reached, where that was measured.
    peak_gflops: Option<f64>,
}

/// The rates of the models' stages under some knobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(BTreeMap<Stage, Rate>);

impl Rates {
    /// The median over the ok trials of `knobs`.
    pub fn of(results: &Results, knobs: &BTreeMap<String, Value>) -> Self {
        let trials = || results.trials_of(knobs);
        let Some(knobs) = trials().next().and_then(|trial| results.knobs(trial).ok()) else {
            return Self(BTreeMap::new());
        };
        let rate = |(stage, cost): (&Stage, &Cost)| {
            let seconds = |trial: &Trial| trial.stage_s((*stage).into());
            let time = stats::median(trials().filter_map(seconds)).filter(|time| *time > 0.0)?;
            let rate = Rate {
                gflops: cost.flops / time / 1e9,
                gb_s: weights_bytes(results, &knobs, *stage, cost) / time / 1e9,
                peak_gflops: peak(results).and_then(|peak| peak_gflops(peak, &knobs, *stage)),
            };
            (cost.flops > 0.0).then_some((*stage, rate))
        };
        Self(results.tune.costs.iter().filter_map(rate).collect())
    }

    /// Seconds that one clip of the whole job would take at these rates, its models' stages one
    /// after the other; `None` where none was measured. A stage that the small job has too little
    /// of (the text encoder of the smallest) is taken to be as slow as the slowest.
    pub fn whole_job_s(&self, results: &Results) -> Option<f64> {
        let slowest = self.0.values().map(|rate| rate.gflops).reduce(f64::min)?;
        let second = |(stage, cost): (&Stage, &Cost)| {
            cost.flops / (self.0.get(stage).map_or(slowest, |rate| rate.gflops) * 1e9)
        };
        Some(results.tune.full_costs.iter().map(second).sum())
    }
}

/// Bytes of weights that a stage reads for one clip.
fn weights_bytes(results: &Results, knobs: &Knobs, stage: Stage, cost: &Cost) -> f64 {
    let clips = results.workload.sizes.clips.max(1);
    let batches = f64::from(clips.div_ceil(knobs.batch_size.max(1))) / f64::from(clips);
    batches * cost.weights * cost.passes * knobs.precision.bytes_in(stage)
}

/// The peak of the numbers that a stage multiplies.
fn peak_gflops(peak: Peak, knobs: &Knobs, stage: Stage) -> Option<f64> {
    if knobs.precision.bytes_in(stage) < Precision::Fp32.bytes_in(stage) {
        return peak.bf16_gflops;
    }
    // bfloat16 products where the processor has them, float32 ones where it has not.
    let medium = knobs.matmul_precision == MatmulPrecision::Medium;
    let halves = peak.bf16_gflops.filter(|_| medium);
    Some(halves.unwrap_or(0.0).max(peak.gflops))
}

/// What the trial that made the reference measured as the machine's peak.
pub fn peak(results: &Results) -> Option<Peak> {
    results.trials.iter().find_map(|trial| trial.peak)
}

/// One row per stage: its arithmetic, its share here and in a whole job, its weights and memory.
pub fn sizes(results: &Results) -> Table {
    let mut table = Table::new([
        "stage",
        "#GFLOP a clip",
        "#share",
        "#of a whole job",
        "#weights",
        "#peak memory",
    ]);
    let total =
        |costs: &BTreeMap<Stage, Cost>| costs.values().map(|cost| cost.flops).sum::<f64>().max(1.0);
    let (here, whole) = (&results.tune.costs, &results.tune.full_costs);
    for (stage, cost) in here {
        let of_whole = whole.get(stage).map_or(0.0, |cost| cost.flops) / total(whole);
        table.row([
            stage.to_string(),
            digits(cost.flops / 1e9),
            percent(cost.flops / total(here)),
            percent(of_whole),
            bytes((4.0 * cost.weights) as u64),
            memory(results, *stage),
        ]);
    }
    table
}

/// One row per stage: how fast it computes and reads its weights, with the baseline and the best.
pub fn speeds(results: &Results) -> Table {
    let findings = results.findings();
    let best = findings.finalist.as_ref().map(|best| Rates::of(results, &best.knobs));
    let baseline = Rates::of(results, &results.space.given.baseline);
    let mut titles = vec!["stage", "#baseline, GFLOP/s", "#GB/s"];
    titles.extend(best.iter().flat_map(|_| ["#best, GFLOP/s", "#GB/s"]));
    let mut table = Table::new(titles);
    for stage in baseline.0.keys() {
        let mut row = vec![stage.to_string()];
        for rates in [Some(&baseline), best.as_ref()].into_iter().flatten() {
            row.extend(rates.cells(*stage, peak(results)));
        }
        table.row(row);
    }
    table
}

impl Rates {
    /// Operations and bytes per second, each with its share of the peak.
    fn cells(&self, stage: Stage, peak: Option<Peak>) -> [String; 2] {
        let Some(rate) = self.0.get(&stage) else { return Default::default() };
        let cell = |value: f64, peak: Option<f64>| match peak {
            Some(peak) => format!("{} ({})", digits(value), percent(value / peak)),
            None => digits(value),
        };
        [cell(rate.gflops, rate.peak_gflops), cell(rate.gb_s, peak.map(|peak| peak.gb_s))]
    }
}

/// The most that a stage had resident in any trial of the baseline.
fn memory(results: &Results, stage: Stage) -> String {
    let trials = results.trials_of(&results.space.given.baseline);
    let most = trials.filter_map(|trial| trial.stage_rss_bytes.get(<&str>::from(stage))).max();
    most.map(|most| bytes(*most)).unwrap_or_default()
}

/// What the rates come to, in sentences.
pub fn sentences(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(peak) = peak(results) {
        let (gflops, gb_s) = (digits(peak.gflops), digits(peak.gb_s));
        let halves = peak.bf16_gflops.map(|halves| format!(" ({} in bfloat16)", digits(halves)));
        sentences.push(format!(
            "In brackets the share of {gflops} GFLOP/s{}, which a product of large float32 matrices \
             reached on this machine under the baseline, and of the {gb_s} GB/s at which it copied. \
             Weights are what float32 takes; a batch reads them once for all its clips. No stage can \
             do much better than the one or the other lets it; what stays in caches can.",
            halves.unwrap_or_default()
        ));
    }
    if let Some((baseline_s, best_s)) = whole_job_s(results) {
        let best = best_s.map(|best_s| format!(", {} with the best", span(best_s)));
        sentences.push(format!(
            "At these rates a clip of the whole job would take {} with the baseline{}: an \
             estimate from small sizes, not a measurement.",
            span(baseline_s),
            best.unwrap_or_default()
        ));
    }
    sentences.extend(doubt(results));
    sentences.extend(fidelity::sentences(results));
    sentences
}

/// Seconds that a clip of the whole job would take at the stages' rates, with the baseline and with
/// the best.
fn whole_job_s(results: &Results) -> Option<(f64, Option<f64>)> {
    if results.workload.job.is_some() {
        // Its score is the whole job's.
        return None;
    }
    let whole = |knobs: &BTreeMap<String, Value>| Rates::of(results, knobs).whole_job_s(results);
    let baseline_s = whole(&results.space.given.baseline)?;
    let best_s = results.findings().finalist.as_ref().and_then(|best| whole(&best.knobs));
    Some((baseline_s, best_s))
}

/// That what is better for the small job may be worse for the whole one, whose stages have other
/// shares.
pub fn doubt(results: &Results) -> Option<String> {
    let (baseline_s, best_s) = whole_job_s(results)?;
    let best_s = best_s.filter(|best_s| *best_s > baseline_s)?;
    Some(format!(
        "Mind that this is the small job's: by its stages' rates a clip of the whole job would take \
         {} with the best and {} with the baseline. A longer --budget measures sizes nearer to it.",
        span(best_s),
        span(baseline_s)
    ))
}

/// The worst ratio of a quality.
pub fn in_short(quality: Quality) -> String {
    match quality.worst_db() {
        worst if worst >= Quality::EQUAL_DB => "equal".to_owned(),
        worst => format!("{worst:.1} dB"),
    }
}

/// A quality in words.
pub fn in_words(quality: Quality) -> String {
    if quality.worst_db() >= Quality::EQUAL_DB {
        return "equal".to_owned();
    }
    let other = |db: &f64| *db < Quality::EQUAL_DB;
    let ratio = |db: Option<f64>, what| db.filter(other).map(|db| format!(", {db:.1} dB {what}"));
    let seams = ratio(quality.seam_psnr_db, "at seams").unwrap_or_default();
    let prediction = ratio(quality.prediction_db, "in a step").unwrap_or_default();
    let embedding = ratio(quality.embedding_db, "in a prompt").unwrap_or_default();
    let seam_ssim = quality.seam_ssim.map(|ssim| format!(" ({ssim:.4} at seams)"));
    format!(
        "{:.1} dB{seams}{prediction}{embedding}, SSIM {:.4}{}",
        quality.psnr_db,
        quality.ssim,
        seam_ssim.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Made, number, word};

    /// The fixture's clip of 3 s spends half of it in denoise and a tenth in every other stage.
    #[test]
    fn rates_are_operations_over_busy_time() {
        let results = Made::new().baseline(&[3.0]).results;
        let rates = Rates::of(&results, &results.space.given.baseline);
        let [denoise, decode] =
            [Stage::Denoise, Stage::Decode].map(|s| results.tune.costs[&s].flops);
        assert!((rates.0[&Stage::Denoise].gflops / (denoise / 1.5 / 1e9) - 1.0).abs() < 1e-9);
        assert!((rates.0[&Stage::Decode].gflops / (decode / 0.3 / 1e9) - 1.0).abs() < 1e-9);
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

    /// Five clips in batches of 4 read the weights twice; halves are half as many bytes, and are
    /// held against products of halves.
    #[test]
    fn weights_are_read_once_a_batch_and_measured_against_their_own_peak() {
        let mut results = Made::new().baseline(&[3.0]).results;
        results.workload.sizes.clips = 5;
        let set = |results: &mut Results, name: &str, value: Value| {
            results.space.given.baseline.insert(name.to_owned(), value.clone());
            results.trials[0].knobs.insert(name.to_owned(), value);
        };
        set(&mut results, "batch_size", number(4));
        let peak = Peak { gflops: 100.0, bf16_gflops: Some(800.0), gb_s: 10.0 };
        results.trials[0].peak = Some(peak);
        let cost = results.tune.costs[&Stage::Denoise];
        let rates = |results: &Results| Rates::of(results, &results.space.given.baseline);
        let plain = rates(&results).0[&Stage::Denoise];
        let read = 4.0 * cost.weights * cost.passes * 2.0 / 5.0;
        assert!((plain.gb_s / (read / 1.5 / 1e9) - 1.0).abs() < 1e-9);
        assert_eq!(plain.peak_gflops, Some(100.0));
        set(&mut results, "precision", word("bf16"));
        let halved = rates(&results);
        assert!((halved.0[&Stage::Denoise].gb_s / plain.gb_s - 0.5).abs() < 1e-9);
        assert_eq!(halved.0[&Stage::Denoise].peak_gflops, Some(800.0));
        assert_eq!(halved.0[&Stage::Decode].peak_gflops, Some(100.0), "the VAE stays in float32");
        let cells = Rates(BTreeMap::from([(
            Stage::Text,
            Rate { gflops: 50.0, gb_s: 5.0, peak_gflops: Some(100.0) },
        )]));
        assert_eq!(cells.cells(Stage::Text, Some(peak)), ["50.0 (50.0%)", "5.00 (50.0%)"]);
    }

    /// The best decodes three times as fast and denoises at half the speed: a gain for the small
    /// job, a loss for the whole one, of which 96% is denoising.
    #[test]
    fn a_gain_that_is_the_small_jobs_alone_is_doubted() {
        let change = [("vae_tile_size", number(192))];
        let mut results = Made::new().baseline(&[3.0]).search(&change, 2.9).results;
        // Times of a folder whose score is the small job's.
        results.workload.job = None;
        let set = |trial: &mut Trial, stage: &str, seconds: f64| {
            for sample in &mut trial.samples {
                sample.stages.insert(stage.to_owned(), seconds);
            }
        };
        set(&mut results.trials[1], "decode", 0.1);
        assert_eq!(doubt(&results), None);
        set(&mut results.trials[1], "denoise", 3.0);
        let doubt = doubt(&results).unwrap();
        assert!(doubt.starts_with("Mind that this is the small job's: "), "{doubt}");
        assert!(sentences(&results).contains(&doubt));
    }

    #[test]
    fn a_picture_is_equal_or_some_decibels_off() {
        let quality = |psnr_db, seam_psnr_db: Option<f64>| {
            let (prediction_db, embedding_db) = (seam_psnr_db.map(|_| 44.04), Some(50.0));
            let seam_ssim = seam_psnr_db.map(|_| 0.91234);
            Quality { psnr_db, ssim: 0.98765, seam_psnr_db, seam_ssim, prediction_db, embedding_db }
        };
        let equal = Quality { psnr_db: 200.0, ssim: 1.0, ..Quality::default() };
        assert_eq!(in_words(equal), "equal");
        let tiled = in_words(quality(41.26, Some(33.0)));
        let wanted = "41.3 dB, 33.0 dB at seams, 44.0 dB in a step, 50.0 dB in a prompt, \
                      SSIM 0.9877 (0.9123 at seams)";
        assert_eq!(tiled, wanted);
    }
}
