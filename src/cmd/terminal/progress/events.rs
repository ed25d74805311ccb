//! Events: what happens, for programs, one JSON object per line on stdout.
//!
//! `started` with machine, baseline and budget; `trial-started` and `trial` for each trial; `note`
//! where the search learnt something that a person should know;
//! `finished` with the folder and the report's JSON. Each has `event` and `time`.

use std::cell::RefCell;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::State;
use crate::report;
use crate::results::{Folder, Results};
use crate::runner::{LocalRunner, TrialRequest};
use crate::space::arguments::written;
use crate::trial::Trial;
use crate::tune::Observer;

/// Writes events to stdout.
pub struct Events(RefCell<State>);

impl Events {
    /// Says what will be used.
    pub fn start(state: State, runner: &LocalRunner) -> Self {
        let machine = &runner.machine;
        emit(event(
            "started",
            json!({
                "tool": crate::TOOL,
                "host": machine.host,
                "fingerprint": machine.fingerprint(),
                "machine": state.machine,
                "notes": state.notes,
                "preset": state.preset,
                "baseline": state.baseline,
                "budget_s": state.budget.total().as_secs_f64(),
            }),
        ));
        Self(RefCell::new(state))
    }
}

impl Observer for Events {
    fn started(&self, request: &TrialRequest) {
        let mut state = self.0.borrow_mut();
        state.start(request);
        emit(event(
            "trial-started",
            json!({
                "node": node(&request.node),
                "phase": request.phase,
                "pair": request.pair,
                "strategy": request.strategy,
                "knobs": request.values,
                "left_s": state.budget.left().as_secs_f64(),
            }),
        ));
    }

    fn finished(&self, trials: &[Trial]) {
        let mut state = self.0.borrow_mut();
        state.finish(trials);
        let (Some(trial), summary) = (trials.last(), &state.summary) else { return };
        // Seconds where these are scored, else the metric as it was printed.
        let metric = state.metric;
        let seconds = |cost: Option<f64>| cost.filter(|_| metric.goal().is_none());
        let metric = |cost: Option<f64>| {
            cost.filter(|_| metric.goal().is_some()).map(|cost| metric.shown(cost))
        };
        let baseline = summary.baseline.map(|baseline| baseline.score_s);
        let best = summary.best.map(|best| best.score_s);
        emit(event(
            "trial",
            json!({
                "trial": trial.number,
                "node": node(&trial.node),
                "phase": trial.phase,
                "pair": trial.pair,
                "outcome": trial.outcome,
                "detail": trial.detail,
                "score_s": seconds(trial.score()),
                "metric": metric(trial.score()),
                "samples_s": trial.samples.iter().map(|sample| sample.seconds).collect::<Vec<_>>(),
                "wall_s": trial.wall_s,
                "knobs": trial.knobs,
                "trials": summary.trials,
                "failed": summary.failed,
                "baseline_s": seconds(baseline),
                "baseline_metric": metric(baseline),
                "best_s": seconds(best),
                "best_metric": metric(best),
                "left_s": state.budget.left().as_secs_f64(),
            }),
        ));
    }

    fn noted(&self, sentence: &str) {
        emit(event("note", json!({ "sentence": sentence })));
    }
}

/// The last event of a tune.
///
/// # Errors
/// A time in the journal that can't be read.
pub fn finished(results: &Results, folder: &Folder) -> Result<String> {
    let report: Value = serde_json::from_str(&report::json(results)?)?;
    let value = event(
        "finished",
        json!({
            "folder": written(folder.path().as_os_str()),
            "profile": written(folder.profile().as_os_str()),
            "report": report,
        }),
    );
    Ok(format!("{value}\n"))
}

/// The node of several that runs a trial.
fn node(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

fn event(name: &str, mut value: Value) -> Value {
    let mut event = json!({ "event": name, "time": Timestamp::now().to_string() });
    if let (Some(event), Some(value)) = (event.as_object_mut(), value.as_object_mut()) {
        event.append(value);
    }
    event
}

/// Whatever goes wrong with stdout, the tune goes on.
#[allow(clippy::needless_pass_by_value, reason = "it reads as a sentence")]
fn emit(event: Value) {
    let _ = crate::io::output::print_json(&format!("{event}\n"));
}
