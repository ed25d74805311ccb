//! What a terminal shows of a tune.

use super::tables::time_breakdown::TimeBreakdown;
use super::tables::{Table, nodes, pictures, usage, work};
use super::winner::{self, Winner};
use super::{WrittenReport, verdict};
use crate::evidence::findings::Finalist;
use crate::io::number::{digits, percent};
use crate::io::printable::line as plain;
use crate::knobs::Value;
use crate::results::{Folder, Results};
use crate::space::TuneEnd;
use crate::trial::Quality;

/// The verdict in one sentence, baseline against best knob by knob, what the trials came to,
/// where the time went, and where the files are that were `written`.
pub fn summary(results: &Results, folder: &Folder, written: &WrittenReport) -> String {
    let breakdown = TimeBreakdown::of(results);
    let mut text = format!("{}\n", verdict::sentence(results));
    let findings = results.findings();
    if let Some(finalist) = &findings.finalist {
        text.push_str(&format!("\n{}", knobs(results, finalist, work::in_short).to_terminal()));
        text.extend(as_in_the_baseline(results, finalist).map(|sentence| format!("{sentence}\n")));
        text.extend(against_preset(results).map(|sentence| format!("{sentence}\n")));
        text.extend(work::doubt(results).map(|doubt| format!("{doubt}\n")));
    } else if let Some(baseline_s) = findings.baseline_s {
        let metric = results.metric();
        let baseline = digits(metric.shown(baseline_s));
        text.push_str(&format!("\nThe baseline takes {baseline} {}.\n", metric.unit()));
    }
    if let Some(table) = nodes::nodes(results) {
        text.push_str(&format!("\n{}", table.to_terminal()));
    }
    text.extend(nodes::sentences(results).iter().map(|sentence| format!("{sentence}.\n")));
    text.push_str(&format!("\n{}\n", breakdown.trials_line()));
    text.push_str(&format!("{}\n", breakdown.time_line(results.tune.budget_s)));
    text.extend(cut_short(results).map(|sentence| format!("{sentence}\n")));
    let idle = idle(results);
    if !idle.is_empty() {
        text.push_str(&format!("Without a choice on this machine: {}\n", idle.join(", ")));
    }
    let unchanged = pictures::unchanged(results).into_iter();
    for sentence in results.dropped().sentences().into_iter().chain(unchanged) {
        text.push_str(&format!("{sentence}\n"));
    }
    text.push_str(&places(results, folder, written));
    // Names from files must not steer the terminal.
    text.lines().map(|line| format!("{}\n", plain(line))).collect()
}

/// What the best gains on the preset, where the tune began with what ran before and measured both.
pub fn against_preset(results: &Results) -> Option<String> {
    let (saved, metric) = (results.saved_on_preset()?, results.metric());
    let [better, worse] = metric.better();
    let word = if saved < 0.0 { worse } else { better };
    Some(format!(
        "Against the preset {}, which was measured too but not in pairs: {} {word} {}.",
        results.tune.preset,
        percent(metric.share(saved).abs()),
        metric.noun()
    ))
}

/// Where the files are, and how to use them.
fn places(results: &Results, folder: &Folder, written: &WrittenReport) -> String {
    let mut text = String::from(if written.report || written.profile { "\n" } else { "" });
    if written.report {
        text.push_str(&format!("Report   {}\n", folder.report().display()));
    }
    if written.profile {
        let profile = folder.profile();
        let after_exec = winner::after_exec(results, folder.path());
        let command = usage::with_tool(&profile, after_exec.as_deref());
        text.push_str(&format!("Profile  {}\nUse it   {command}\n", profile.display()));
        let line = Winner::of(results).and_then(|winner| winner.line(folder.path()));
        text.extend(line.map(|line| format!("Command  {line}\n")));
    }
    text
}

/// Says that the tune did not go on to its end, where that is known.
pub fn cut_short(results: &Results) -> Option<&'static str> {
    let is_stopped = results.tune.ended == Some(TuneEnd::Stopped);
    is_stopped.then_some(
        "Cut short: it was asked to stop before its budget was spent; `wan22-tune resume` with this \
         folder goes on",
    )
}

/// Baseline against best, in every knob that differs. `words` says how good a picture is.
pub fn knobs(results: &Results, finalist: &Finalist, words: fn(Quality) -> String) -> Table {
    let mut table = Table::new(["", "#baseline", finalist.heading()]);
    let metric = results.metric();
    let shown = |cost: f64| digits(metric.shown(cost));
    let baseline = results.findings().baseline_s.map_or("?".to_owned(), shown);
    table.row([metric.heading().to_owned(), baseline, shown(finalist.score_s)]);
    let quality = |knobs| results.quality_of(knobs).map(words);
    let pictures = (quality(&results.space.given.baseline), quality(&finalist.knobs));
    if let (Some(old), Some(new)) = pictures {
        let is_custom = results.workload.is_custom();
        let reference = if is_custom { "the baseline's" } else { "float32's" };
        table.row([format!("picture against {reference}"), old, new]);
    }
    for (name, old, new) in values(results, finalist).filter(|(_, old, new)| old != new) {
        table.row([name.to_owned(), old.to_string(), new.to_string()]);
    }
    table
}

/// The tuned knobs that the finalist leaves as they are, with their values.
pub fn as_in_the_baseline(results: &Results, finalist: &Finalist) -> Option<String> {
    let same = values(results, finalist).filter(|(_, old, new)| old == new);
    let same: Vec<String> = same.map(|(name, value, _)| format!("{name} {value}")).collect();
    (!same.is_empty()).then(|| format!("As in the baseline: {}", same.join(", ")))
}

/// Name, baseline's value and finalist's value of every knob that had a choice.
fn values<'a>(
    results: &'a Results,
    finalist: &'a Finalist,
) -> impl Iterator<Item = (&'a str, &'a Value, &'a Value)> {
    results.space.knobs.iter().filter_map(|knob| {
        let new = finalist.knobs.get(&knob.name)?;
        let old = results.space.given.baseline.get(&knob.name)?;
        (knob.levels.len() > 1).then_some((knob.name.as_str(), old, new))
    })
}

/// The knobs with a single value on this machine.
pub fn idle(results: &Results) -> Vec<&str> {
    let single = results.space.knobs.iter().filter(|knob| knob.levels.len() < 2);
    single.map(|knob| knob.name.as_str()).collect()
}
