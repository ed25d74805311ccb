//! Lines: a log for pipes and files, one line per trial.

use std::cell::RefCell;

use super::state::{EndedTrial, State};
use crate::cmd::terminal::tell;
use crate::io::number::{count, percent, span};
use crate::io::printable::line as plain;
use crate::runner::TrialRequest;
use crate::trial::Trial;
use crate::tune::Observer;
use crate::workload::metric::Metric;

/// Writes a line per trial to stderr.
pub struct Lines(RefCell<State>);

impl Lines {
    /// Says what will be used.
    pub fn start(state: State) -> Self {
        for line in opening(&state) {
            tell(&plain(&line));
        }
        Self(RefCell::new(state))
    }
}

impl Observer for Lines {
    fn started(&self, request: &TrialRequest) {
        self.0.borrow_mut().start(request);
    }

    fn finished(&self, trials: &[Trial]) {
        let mut state = self.0.borrow_mut();
        state.finish(trials);
        tell(&plain(&line(&state)));
    }

    fn noted(&self, sentence: &str) {
        tell(&format!("note: {}", plain(sentence)));
    }
}

/// The machine, the baseline, the budget, and what a reader should know.
pub fn opening(state: &State) -> Vec<String> {
    let budget = span(state.budget.total().as_secs_f64());
    let mut lines = vec![format!("{}; baseline {}; budget {budget}", state.machine, state.preset)];
    lines.extend(state.notes.iter().map(|note| format!("note: {note}")));
    lines
}

/// The last trial and how far the tune is.
fn line(state: &State) -> String {
    let State { summary, metric, .. } = state;
    let s = if metric.goal().is_some() { "" } else { " s" };
    let ended = summary.last.first().map(|last| ended(last, *metric)).unwrap_or_default();
    let left = span(state.budget.left().as_secs_f64().round());
    let best = match (summary.baseline, summary.best, summary.saved()) {
        (Some(baseline), Some(best), Some(saved)) => format!(
            "baseline {:.3}{s}, best so far {:.3}{s} ({} {}, unproven)",
            metric.shown(baseline.score_s),
            metric.shown(best.score_s),
            percent(metric.share(saved)),
            metric.better()[0]
        ),
        _ => "nothing to compare yet".to_owned(),
    };
    let counts = format!("{}, {} failed", count(summary.trials, "trial"), summary.failed);
    format!("{ended} · {left} left · {counts} · {best}")
}

fn ended(last: &EndedTrial, metric: Metric) -> String {
    let result = match &last.result {
        Ok(score_s) => format!("{:.3} {}", metric.shown(*score_s), metric.unit()),
        Err(detail) => format!("{}: {detail}", last.outcome),
    };
    format!("#{} {} {result}", last.number, last.phase)
}
