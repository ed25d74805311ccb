//! Pictures: what was seen of those of the user's own job.

use crate::results::Results;
use crate::trial::Quality;

/// The knobs that should change pictures and changed none, in a sentence.
pub fn unchanged(results: &Results) -> Option<String> {
    let pictures = results.tune.custom_job.as_ref()?.pictures()?;
    let baseline = &results.space.given.baseline;
    let is_without_effect = |knob: &str| {
        let changed = results.trials.iter().filter(|t| t.knobs.get(knob) != baseline.get(knob));
        let mut seen = changed.filter_map(|trial| Some(trial.quality?.psnr_db)).peekable();
        seen.peek().is_some() && seen.all(|psnr_db| psnr_db == Quality::EQUAL_DB)
    };
    let names = results.space.knobs.iter().map(|knob| knob.name.as_str());
    let names = names.filter(|name| pictures.is_to_change(name) && is_without_effect(name));
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| {
        format!(
            "The picture is the baseline's bit for bit in every trial that changed {}: the program may \
             not read it.",
            names.join(", ")
        )
    })
}
