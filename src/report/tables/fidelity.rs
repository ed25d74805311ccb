//! Fidelity: what trials of a slice say of the whole job, in sentences.

use strum::VariantArray;

use super::facts::described;
use crate::evidence::blame;
use crate::io::number::{count, percent, span};
use crate::knobs::Values;
use crate::results::Results;
use crate::stats;
use crate::trial::{Phase, Trial};
use crate::workload::custom::sizes;
use crate::workload::{Sizes, Stage};

/// Knobs that change a single stage.
const OF_STAGE: [(&str, Stage); 2] =
    [("tile_size", Stage::Encode), ("vae_tile_size", Stage::Decode)];

/// What was measured of the job, how far the sizes agree, and which knobs can't matter for it; nothing
/// where trials ran the job itself.
pub fn sentences(results: &Results) -> Vec<String> {
    let Some(job) = results.workload.job.as_ref().filter(|_| results.workload.is_slice()) else {
        return Vec::new();
    };
    let mut sentences = vec![scored(results)];
    sentences.extend(results.tune.confirmation.as_ref().map(|slice| {
        format!(
            "Finalists were confirmed on a larger slice: {}.{}",
            described(slice),
            agreement(results).unwrap_or_default()
        )
    }));
    sentences.extend(shares(results, job));
    sentences
}

/// On which sizes of the user's own job it was searched, and of which one the claim is;
/// `None` where it has none.
pub fn of_own_sizes(results: &Results) -> Option<String> {
    let job = results.tune.custom_job.as_ref().filter(|job| !job.sizes().is_empty())?;
    let [searched, proven] = [&results.workload, results.proven_on()];
    let mut text = format!("The search ran the job at {}", described(searched));
    if proven == searched {
        text += ", and so did the pairs.";
    } else {
        let agreement = agreement(results).unwrap_or_default();
        text += &format!(", the pairs at {}.{agreement}", described(proven));
    }
    let tested = blame::memory_tests(&results.trials);
    let (tested, failed): (Vec<&Trial>, Vec<&Trial>) =
        tested.partition(|trial| trial.score().is_some());
    if let Some(test) = tested.iter().chain(&failed).next() {
        let all = count(tested.len() + failed.len(), "finalist");
        text += &format!(
            " Before, {all} ran with the whole job's memory ({}), and {} failed.",
            test.workload,
            failed.len()
        );
    }
    let whole = sizes::whole(job.sizes());
    if proven.own_sizes != whole {
        text += &format!(" What is claimed is not of the whole job, {}.", sizes::in_words(&whole));
    }
    Some(text)
}

/// How a score comes from what ran.
fn scored(results: &Results) -> String {
    let baseline = results.trials_of(&results.space.given.baseline);
    let ran_s = |trial: &Trial| trial.samples.iter().find_map(|sample| sample.slice_s);
    let ran_s = baseline.filter_map(ran_s).next();
    let ran = ran_s
        .map(|seconds| format!(" The baseline's first repetition ran {} of it.", span(seconds)));
    format!(
        "Seconds are those of the whole job: what each stage took in a slice, times how often the job \
         does it, counted in tiles with their overlap, latent frames, blocks, steps and tokens.{}",
        ran.unwrap_or_default()
    )
}

/// How alike the two slices rank the candidates that both ran.
fn agreement(results: &Results) -> Option<String> {
    let median = |values: &Values, confirms: bool| {
        let of = |trial: &&Trial| {
            trial.knobs == *values
                && trial.phase != Phase::Calibration
                && (trial.phase == Phase::Confirmation) == confirms
        };
        let scores = results.trials.iter().filter(of).filter_map(Trial::score);
        stats::median(scores)
    };
    let seen = stats::distinct(results.trials.iter().map(|trial| &trial.knobs));
    let both = |values: &Values| Some((median(values, false)?, median(values, true)?));
    let (searched, confirmed): (Vec<f64>, Vec<f64>) = seen.into_iter().filter_map(both).unzip();
    let correlation = stats::rank_correlation(&searched, &confirmed)?;
    Some(match searched.len() {
        2 if correlation > 0.0 => " Both rank baseline and finalist alike.".to_owned(),
        2 => " The two rank baseline and finalist the other way round.".to_owned(),
        candidates => format!(
            " The rank correlation of the {candidates} candidates that both ran is {correlation:.2}."
        ),
    })
}

/// The stages' shares of the job's time, and what follows for knobs of one stage.
fn shares(results: &Results, job: &Sizes) -> Option<String> {
    let baseline = results.trials_of(&results.space.given.baseline).next()?;
    let stages = baseline.stages_s();
    let all: f64 = stages.values().sum();
    let share = |stage: Stage| stages.get(&stage.to_string()).map(|seconds| seconds / all);
    let models = Stage::VARIANTS.iter().filter(|stage| stage.model().is_some());
    let mut shares: Vec<_> = models.filter_map(|stage| Some((share(*stage)?, stage))).collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let parts = shares.iter().map(|(share, stage)| format!("{stage} {}", percent(*share)));
    let parts: Vec<String> = parts.collect();
    let limits = OF_STAGE.into_iter().filter_map(|(knob, stage)| {
        results.space.knob(knob)?;
        Some(format!("{knob} changes only {stage}, {} of it", percent(share(stage)?)))
    });
    let batches =
        (job.clips == 1).then(|| "batch_size has no choice, since one clip is made".to_owned());
    let limits: Vec<String> = limits.chain(batches).collect();
    (!parts.is_empty()).then(|| {
        let therefore = limits.iter().map(|limit| format!("; {limit}"));
        let therefore: String = therefore.collect();
        format!("Of the job's time under the baseline: {}{therefore}.", parts.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Made, number};

    #[test]
    fn a_slice_says_what_it_stands_for_and_which_knobs_decide_nothing() {
        let change = [("vae_tile_size", number(192))];
        let made =
            Made::new().baseline(&[4.0]).search(&change, 3.0).pairs(&change, &[(4.0, 3.0); 5]);
        let mut results = made.results;
        results.tune.confirmation = Some(results.workload.clone());
        let all = sentences(&results).join("\n");
        assert!(all.contains("Both rank baseline and finalist alike."), "{all}");
        // The fixture's denoising is half of a clip's time, every other stage a tenth, without text.
        assert!(all.contains("denoise 45.5%, encode 9.1%, decode 9.1%"), "{all}");
        assert!(all.contains("vae_tile_size changes only decode, 9.1% of it"), "{all}");
        results.workload.job = None;
        assert!(sentences(&results).is_empty());
    }
}
