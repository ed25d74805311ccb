//! The verdict of a tune in one sentence.

use crate::evidence::confirmation::Verdict;
use crate::io::number::{count, percent};
use crate::results::Results;
use crate::stats::Interval;
use crate::trial::Phase;
use crate::workload::custom::sizes;
use crate::workload::{Sizes, Stage};

/// What a tune may claim, in one sentence.
pub fn sentence(results: &Results) -> String {
    let findings = results.findings();
    let Some(confirmation) = &findings.confirmation else {
        return unconfirmed(results);
    };
    let number = count(confirmation.pairs.len(), "pair");
    let pairs = format!("{number}{}", of_slices(results));
    let pairs = match confirmation.nodes.as_slice() {
        [] | [_] => pairs,
        nodes => format!("{pairs} on {} nodes", nodes.len()),
    };
    let metric = results.metric();
    let [better, worse] = metric.better();
    let noun = metric.noun();
    match confirmation.verdict() {
        Verdict::Gain(gain) => format!(
            "Gain: {} {better} {noun}{} than the baseline (95% interval {}, {pairs}).",
            percent(metric.share(gain.mean)),
            of_job(results),
            range(metric.shares(gain))
        ),
        Verdict::NoGain(_) if confirmation.failures > 0 => format!(
            "No gain: the finalist failed {} in its confirmation; the profile keeps the baseline.",
            times(confirmation.failures)
        ),
        Verdict::NoGain(Some(gain)) if gain.high < 0.0 => {
            let gain = metric.shares(gain);
            format!(
                "No gain: the finalist took {} {worse} {noun} than the baseline (95% interval {}, \
                 {pairs}); the profile keeps the baseline.",
                percent(-gain.mean),
                range(Interval { low: -gain.high, mean: -gain.mean, high: -gain.low })
            )
        }
        Verdict::NoGain(Some(gain)) => {
            let gain = metric.shares(gain);
            let word = if gain.mean < 0.0 { worse } else { better };
            let within = match confirmation.is_gain_of_slice() {
                true => "what a slice may differ from the job",
                false => "the noise",
            };
            format!(
                "No significant gain: the finalist took {} {word} {noun} than the baseline, which \
                 is within {within} (95% interval of the saving {}, {pairs}); the profile keeps \
                 the baseline.",
                percent(gain.mean.abs()),
                range(gain)
            )
        }
        Verdict::NoGain(None) => format!(
            "No significant gain: {number} of confirmation can prove nothing, a longer tune has time \
             for more; the profile keeps the baseline."
        ),
    }
}

/// The job that a claim is about, where trials ran a slice or several sizes of it.
fn of_job(results: &Results) -> String {
    let own = &results.proven_on().own_sizes;
    if !own.is_empty() {
        return format!(" at {}", sizes::in_words(own));
    }
    let Some(Sizes { width, height, frames, steps, .. }) = &results.workload.job else {
        return String::new();
    };
    let steps = match results.workload.has(Stage::Denoise) {
        true => format!(" in {}", count(*steps as usize, "step")),
        false => String::new(),
    };
    format!(" of {width}x{height}x{frames}{steps}")
}

/// Of which slices of the job the pairs are.
fn of_slices(results: &Results) -> String {
    let proven = results.proven_on();
    let Sizes { width, height, frames, .. } = proven.sizes;
    match proven.is_slice() {
        true => format!(" of {width}x{height}x{frames} slices"),
        false => String::new(),
    }
}

fn unconfirmed(results: &Results) -> String {
    let measured = results.trials.iter().any(|trial| trial.score().is_some());
    let why = if !measured {
        "no trial succeeded"
    } else if !results.trials.iter().any(|trial| trial.phase == Phase::Search) {
        "there was time for the baseline alone, and no candidate was tried"
    } else if results.findings().finalist.is_none() {
        "no candidate was faster than the baseline"
    } else {
        "no candidate was faster by enough to be worth confirming in the time left"
    };
    format!("No significant gain: {why}; the profile keeps the baseline.")
}

fn range(gain: Interval) -> String {
    format!("{} to {}", percent(gain.low), percent(gain.high))
}

fn times(number: usize) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
