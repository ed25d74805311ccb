//! Every trial as a table, and the failures grouped by cause.

use std::collections::BTreeMap;

use super::Table;
use crate::evidence::drift::Drift;
use crate::io::number::{bytes, digits, maybe};
use crate::io::printable::shortened;
use crate::report::clock::Clock;
use crate::results::Results;
use crate::trial::{Outcome, Phase, Sample, Trial};
use crate::workload::metric::Metric;

/// Every trial with what differs between trials: the knobs that have a choice, and results.
pub fn all(results: &Results) -> Table {
    let knobs = results.space.knobs.iter().filter(|knob| knob.levels.len() > 1);
    let knobs: Vec<(&str, bool)> = knobs.map(|knob| (knob.name.as_str(), knob.ordered)).collect();
    let title = |(name, ordered): &(&str, bool)| {
        if *ordered { format!("#{name}") } else { (*name).to_owned() }
    };
    let metric = results.metric();
    let score = format!("#{}", metric.column());
    let fixed = ["#trial", "#start, s", "phase", "outcome", &score, "#fastest", "#slowest"];
    let rest = ["#peak memory, GiB", "#trial, s", "#overhead, s", "#waiting, %", "detail"];
    let mut titles: Vec<String> = fixed.map(str::to_owned).to_vec();
    titles.extend(knobs.iter().map(title));
    titles.extend(rest.map(str::to_owned));
    let has_nodes = results.trials.iter().any(|trial| !trial.node.is_empty());
    titles.extend(has_nodes.then(|| "node".to_owned()));
    let has_gpus = results.trials.iter().any(|trial| trial.peak_device_bytes.is_some());
    titles.extend(has_gpus.then(|| "#peak device memory, GiB".to_owned()));
    let mut table = Table::new(&titles);
    let clock = Clock::of(results).ok();
    let findings = results.findings();
    let drift = &findings.drift;
    for trial in &results.trials {
        let mut cells = identity(trial, clock, metric);
        if is_invalidated(trial, drift) {
            cells[2].push_str(", invalidated");
        }
        let value = |(name, _): &(&str, bool)| maybe(trial.knobs.get(*name));
        cells.extend(knobs.iter().map(value));
        cells.extend(measured(trial));
        cells.extend(has_nodes.then(|| trial.node.clone()));
        cells.extend(has_gpus.then(|| maybe(trial.peak_device_bytes.map(gib))));
        table.row(cells);
    }
    table
}

/// Whether the machine changed too much around a trial of the search to say what it was worth.
fn is_invalidated(trial: &Trial, drift: &Drift) -> bool {
    matches!(trial.phase, Phase::Search | Phase::Repeat) && drift.is_invalidated(trial)
}

fn identity(trial: &Trial, clock: Option<Clock>, metric: Metric) -> Vec<String> {
    let start_s = clock.and_then(|clock| clock.start_s(trial).ok());
    let ok = trial.samples.iter().map(Sample::cost).filter(|_| trial.outcome == Outcome::Ok);
    let shown = |cost: f64| digits(metric.shown(cost));
    let phase = match trial.pair {
        Some(pair) => format!("{} {pair}", trial.phase),
        None => trial.phase.to_string(),
    };
    vec![
        trial.number.to_string(),
        maybe(start_s.map(|start_s| format!("{start_s:.1}"))),
        phase,
        trial.outcome.to_string(),
        maybe(trial.score().map(shown)),
        maybe(ok.clone().reduce(f64::min).map(shown)),
        maybe(ok.reduce(f64::max).map(shown)),
    ]
}

fn gib(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 30))
}

fn measured(trial: &Trial) -> [String; 5] {
    [
        maybe(trial.peak_rss_bytes.map(gib)),
        format!("{:.1}", trial.wall_s),
        format!("{:.1}", trial.overhead_s),
        maybe(trial.run_queue_share().map(|share| format!("{:.1}", 100.0 * share))),
        trial.detail.clone(),
    ]
}

/// Failures grouped by outcome and by what they say but for the numbers in it, the most frequent
/// first.
pub fn failures(results: &Results) -> Table {
    let mut causes: BTreeMap<(Outcome, String), Vec<&Trial>> = BTreeMap::new();
    for trial in results.trials.iter().filter(|trial| trial.outcome != Outcome::Ok) {
        let cause = (trial.outcome, without_numbers(&trial.detail));
        causes.entry(cause).or_default().push(trial);
    }
    let mut causes: Vec<((Outcome, String), Vec<&Trial>)> = causes.into_iter().collect();
    causes.sort_by_key(|(_, trials)| std::cmp::Reverse(trials.len()));
    let mut table = Table::new(["#times", "outcome", "cause", "trials"]);
    for ((outcome, cause), trials) in causes {
        let numbers: Vec<String> = trials.iter().map(|trial| trial.number.to_string()).collect();
        let same = trials.iter().all(|trial| trial.detail == trials[0].detail);
        let cause = if same { trials[0].detail.clone() } else { cause };
        let times = trials.len().to_string();
        table.row([times, outcome.to_string(), cause, shortened(&numbers)]);
    }
    table
}

/// A message with every number replaced by `#`: what remains is the kind of the failure.
fn without_numbers(detail: &str) -> String {
    let mut kind = String::new();
    let mut chars = detail.chars().peekable();
    while let Some(c) = chars.next() {
        // A digit inside a word, as in `fp32`, is no number.
        let inside = kind.chars().last().is_some_and(|last| last.is_alphabetic() || last == '_');
        if !c.is_ascii_digit() || inside {
            kind.push(c);
            continue;
        }
        kind.push('#');
        while chars.next_if(|&c| c.is_ascii_digit() || c == '.').is_some() {}
    }
    kind
}

/// Median busy seconds per clip of every stage, by the number of intra-op threads, over all ok
/// trials; without rows where only one number was measured.
pub fn scaling(results: &Results) -> Table {
    let mut stages: Vec<&str> = crate::workload::stages().collect();
    stages.retain(|stage| results.trials.iter().any(|trial| trial.stage_s(stage).is_some()));
    let titles: Vec<String> =
        ["intra_op_threads", "trials"].iter().chain(&stages).map(|t| format!("#{t}")).collect();
    let mut table = Table::new(&titles);
    let mut groups: BTreeMap<&crate::knobs::Value, Vec<&Trial>> = BTreeMap::new();
    for trial in results.trials.iter().filter(|trial| trial.score().is_some()) {
        if let Some(threads) = trial.knobs.get("intra_op_threads") {
            groups.entry(threads).or_default().push(trial);
        }
    }
    for (threads, trials) in groups.iter().filter(|_| groups.len() > 1) {
        let median = |stage: &&str| {
            let times = trials.iter().filter_map(|trial| trial.stage_s(stage));
            maybe(crate::stats::median(times).map(digits))
        };
        let head = [threads.to_string(), trials.len().to_string()];
        table.row(head.into_iter().chain(stages.iter().map(median)));
    }
    table
}

/// The largest peak memory of an ok trial, and that on a GPU.
pub fn peak_memory(results: &Results) -> [Option<String>; 2] {
    let ok = || results.trials.iter().filter(|trial| trial.outcome == Outcome::Ok);
    let host = ok().filter_map(|trial| trial.peak_rss_bytes).max();
    [host, ok().filter_map(|trial| trial.peak_device_bytes).max()].map(|peak| peak.map(bytes))
}
