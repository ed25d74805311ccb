//! The profile as a function of the results.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::evidence::confirmation::Verdict;
use crate::knobs::Value;
use crate::knobs::placement::Placement;
use crate::profile::{Evidence, MetricEvidence, NodeEvidence, Profile, short_digest};
use crate::results::Results;

/// The profile that a tune ships: the finalist's settings for a proven gain, else the baseline's.
///
/// Its time is the start of the last trial, so that it can be made again.
///
/// # Errors
/// The machine can't run the settings.
pub fn profile(results: &Results) -> Result<Profile> {
    let baseline = results.baseline();
    let findings = results.findings();
    let verdict = findings.verdict;
    let finalist = findings.confirmation.as_ref().filter(|_| matches!(verdict, Verdict::Gain(_)));
    let knobs = match finalist {
        Some(confirmation) => baseline.knobs.with(&confirmation.finalist),
        None => Ok(baseline.knobs.clone()),
    };
    let knobs = knobs.map_err(anyhow::Error::msg).context("trials.csv: the finalist")?;
    let made = results.trials.last().map_or(&results.tune.started, |trial| &trial.started);
    let profile = Profile::new(&results.machine, &baseline, &knobs, made.clone());
    let mut profile = profile.map_err(anyhow::Error::msg).context("the profile's settings")?;
    profile.tool.clone_from(&results.tune.tool);
    profile.evidence = Some(evidence(results, verdict, &knobs.values()));
    Ok(profile)
}

/// The CPUs of the profile's pools.
///
/// # Errors
/// As [`profile`].
pub fn placement(results: &Results) -> Result<Placement> {
    let settings = profile(results)?.settings(&results.machine, &results.baseline().knobs);
    Ok(settings.map_err(anyhow::Error::msg).context("the profile's settings")?.placement)
}

fn evidence(results: &Results, verdict: Verdict, knobs: &BTreeMap<String, Value>) -> Evidence {
    let findings = results.findings();
    let baseline_s = findings.baseline_s;
    let (word, gain, score_s) = match verdict {
        Verdict::Gain(gain) => {
            ("gain", Some(gain), findings.finalist.as_ref().map(|finalist| finalist.score_s))
        }
        Verdict::NoGain(_) => ("no significant gain", None, baseline_s),
    };
    let metric = results.metric();
    let percent = |saving: f64| 100.0 * metric.share(saving);
    let goal = metric.goal();
    Evidence {
        verdict: word.to_owned(),
        gain_percent: gain.map(|gain| percent(gain.mean)),
        interval_percent: gain.map(|gain| [percent(gain.low), percent(gain.high)]),
        pairs: findings.confirmation.as_ref().map_or(0, |confirmation| confirmation.pairs.len()),
        complete: results.is_complete(),
        baseline_s: baseline_s.filter(|_| goal.is_none()),
        score_s: score_s.filter(|_| goal.is_none()),
        metric: goal.map(|goal| MetricEvidence {
            goal,
            baseline: baseline_s.map(|cost| goal.cost(cost)),
            score: score_s.map(|cost| goal.cost(cost)),
        }),
        quality: results.quality_of(knobs),
        workload: results.proven_on().clone(),
        nodes: findings
            .nodes
            .iter()
            .filter(|node| node.pairs > 0)
            .map(|node| NodeEvidence {
                name: node.name.clone(),
                pairs: node.pairs,
                gain_percent: node.gain.map(|gain| percent(gain.mean)),
            })
            .collect(),
        custom_job: results.tune.custom_job.as_ref().map(|job| short_digest(&job.words())),
    }
}
