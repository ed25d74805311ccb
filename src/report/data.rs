//! The report for programs: JSON of what was found, CSV of the ranking.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::plots::drift::DriftPlot;
use super::plots::importance::ImportancePlot;
use super::plots::stages::{Row, StagesPlot};
use super::tables::time_breakdown::TimeBreakdown;
use super::verdict;
use super::winner::Winner;
use crate::evidence::confirmation::{Confirmation, Verdict};
use crate::io::printable::cell;
use crate::results::Results;
use crate::search::importance::{Importance, Response};
use crate::stats::Interval;

/// The version of the JSON's form.
pub const SCHEMA: u32 = 1;

/// What was found, as JSON; seconds and shares, `null` where something is not known. Where a metric
/// is scored instead of seconds, `score_s` is `null` and `metric` the number as it is printed.
///
/// # Errors
/// A time in the journal that can't be read.
pub fn json(results: &Results) -> Result<String> {
    let breakdown = TimeBreakdown::of(results);
    let drift = DriftPlot::of(results)?;
    let findings = results.findings();
    let confirmation = findings.confirmation.as_ref();
    let gain = confirmation.and_then(Confirmation::gain);
    let (metric, baseline_s) = (results.metric(), findings.baseline_s);
    let (is_time, shown) = (metric.goal().is_none(), |cost| metric.shown(cost));
    let value = json!({
        "schema": SCHEMA,
        "verdict": {
            "claim": matches!(findings.verdict, Verdict::Gain(_)),
            "sentence": verdict::sentence(results),
            "gain": gain.filter(|gain| gain.low.is_finite()).map(interval),
            "pairs": confirmation.map_or(0, |confirmation| confirmation.pairs.len()),
            "failures": confirmation.map_or(0, |confirmation| confirmation.failures),
        },
        "goal": metric.goal(),
        "baseline": {
            "score_s": baseline_s.filter(|_| is_time),
            "metric": baseline_s.filter(|_| !is_time).map(shown),
            "knobs": results.space.given.baseline,
        },
        "best": findings.finalist.as_ref().map(|best| json!({
            "score_s": is_time.then_some(best.score_s),
            "metric": (!is_time).then(|| shown(best.score_s)),
            "confirmed": best.confirmed,
            "knobs": best.knobs,
        })),
        "command": Winner::of(results).and_then(|winner| winner.line(Path::new(""))),
        "stages": StagesPlot::of(results).map(|stages| stages.rows.iter().map(stage).collect::<Vec<_>>()),
        "trials": {
            "total": breakdown.trials(),
            "failed": breakdown.failed(),
            "outcomes": breakdown.outcomes,
            "lost": results.lost,
        },
        "complete": results.is_complete(),
        "dropped": results.dropped().sentences(),
        "importance": ImportancePlot::of(results).map(|s| s.0.iter().map(importance).collect::<Vec<_>>()),
        "time": {
            "budget_s": results.tune.budget_s,
            "spent_s": breakdown.spent_s,
            "measured_s": breakdown.measured_s,
            "overhead_s": breakdown.overhead_s,
            "overhead_share": breakdown.overhead_share,
        },
        "noise": {
            "baseline_repeats": drift.as_ref().map_or(0, |drift| drift.repeats.len()),
            "deviation": drift.as_ref().and_then(DriftPlot::spread),
            "slowdown": drift.as_ref().and_then(DriftPlot::slowdown),
        },
        "machine": { "host": results.machine.host, "fingerprint": results.machine.fingerprint() },
        "workload": results.workload,
        "tune": results.tune,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
}

fn interval(gain: Interval) -> Value {
    json!({ "mean": gain.mean, "low": gain.low, "high": gain.high })
}

fn stage(row: &Row) -> Value {
    json!({ "stage": row.name, "baseline_s": row.baseline_s, "best_s": row.best_s })
}

/// What a knob explains and how the cost answers to it, with the errors of both.
fn importance(one: &Importance) -> Value {
    let response = |at: &Response| {
        json!({
            "value": at.value, "ratio": at.ratio, "log_error": at.error, "observed": at.observed,
        })
    };
    let curve: Vec<Value> = one.curve.iter().map(response).collect();
    json!({ "knob": one.knob, "share": one.share, "error": one.error, "curve": curve })
}

/// The ranking, one row per candidate, best first; columns named as in the journal, which has
/// `metric` where that is scored.
pub fn csv(results: &Results) -> Result<String> {
    let names: Vec<&String> = results.space.given.baseline.keys().collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let metric = results.metric();
    let score = if metric.goal().is_some() { "metric" } else { "score_s" };
    let fixed = ["rank", score, "trials", "baseline"].map(str::to_owned);
    let names_of_knobs = names.iter().map(|name| cell(&format!("knob.{name}")));
    writer.write_record(fixed.into_iter().chain(names_of_knobs))?;
    for (i, ranked) in results.findings().ranking.iter().enumerate() {
        let is_baseline = ranked.knobs == results.space.given.baseline;
        let head = [
            (i + 1).to_string(),
            metric.shown(ranked.score_s).to_string(),
            ranked.trials.to_string(),
            is_baseline.to_string(),
        ];
        let value = |name: &&String| ranked.knobs.get(*name).map(|value| cell(&value.to_string()));
        writer.write_record(
            head.into_iter().chain(names.iter().map(|n| value(n).unwrap_or_default())),
        )?;
    }
    String::from_utf8(writer.into_inner().context("the ranking")?).context("the ranking")
}
