//! What a person sees while a tune runs: one live line, or plain lines without a terminal.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::budget::Budget;
use crate::ranking;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::{Bench, Order, Watch};

/// The live line.
pub struct Progress {
    line: Option<ProgressBar>,
    budget: Budget,
    /// Words for the line: the phase and what is being tried.
    current: Cell<u64>,
}

impl Progress {
    /// Says what will be used, and starts the line.
    pub fn new(bench: &Bench, budget: Budget) -> Self {
        let machine = &bench.machine;
        eprintln!(
            "{}: {} cores, {} CPUs, {} node(s), {} L3 group(s); baseline {}; budget {}",
            machine.cpu.model,
            machine.core_count(),
            machine.thread_limit(),
            machine.memory_nodes().len(),
            machine.l3_groups.len(),
            bench.baseline.preset,
            clock(budget.total()),
        );
        for note in &machine.notes {
            eprintln!("note: {note}");
        }
        let line = std::io::stderr().is_terminal().then(|| {
            let line = ProgressBar::new(budget.total().as_secs());
            let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}");
            line.set_style(style.expect("the template is well formed"));
            line.enable_steady_tick(Duration::from_millis(250));
            line
        });
        Self { line, budget, current: Cell::new(0) }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn started(&self, order: &Order<'_>) {
        self.current.set(self.current.get() + 1);
        if let Some(line) = &self.line {
            line.set_prefix(format!("{} left", clock(self.budget.left())));
            line.set_message(format!("{} · trying {}", order.phase, tried(order)));
        }
    }

    fn finished(&self, trials: &[Trial]) {
        let Some(last) = trials.last() else { return };
        let failed = trials.iter().filter(|trial| trial.outcome != Outcome::Ok).count();
        let done = format!("{} trials, {failed} failed", trials.len());
        let text = format!("{} left · {done} · {}", clock(self.budget.left()), standing(trials));
        match &self.line {
            Some(line) => line.println(format!("{} · {text}", ended(last))),
            None => eprintln!("{} · {text}", ended(last)),
        }
    }
}

fn ended(trial: &Trial) -> String {
    let result = match trial.score_s() {
        Some(score) => format!("{score:.3} s a clip"),
        None => format!("{}: {}", trial.outcome, trial.detail),
    };
    format!("#{} {} {result}", trial.number, trial.phase)
}

/// Baseline, best and its gain so far.
fn standing(trials: &[Trial]) -> String {
    let baseline =
        trials.iter().find(|trial| trial.phase == Phase::Baseline).and_then(Trial::score_s);
    let best = ranking::rank(trials).first().map(|ranked| ranked.score_s);
    match (baseline, best) {
        (Some(baseline), Some(best)) => {
            let gain = 100.0 * (1.0 - best / baseline);
            format!("baseline {baseline:.3} s, best so far {best:.3} s ({gain:.1}% less, unproven)")
        }
        _ => "nothing to compare yet".to_owned(),
    }
}

/// The candidate in short.
fn tried(order: &Order<'_>) -> String {
    let words: Vec<String> = order.knobs.values().iter().map(|(k, v)| format!("{k}={v}")).collect();
    words.join(" ")
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
