//! What a person sees while a tune runs: one live line, or plain lines without a terminal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::budget::Budget;
use crate::own::Yardstick;
use crate::ranking;
use crate::space::Value;
use crate::trial::{Outcome, Phase, Trial};
use crate::tune::{Bench, Order, Watch};

/// The live line.
pub struct Progress {
    line: Option<ProgressBar>,
    budget: Budget,
    /// The baseline's knobs.
    baseline: BTreeMap<String, Value>,
    yardstick: Yardstick,
    /// How far the tune is, after the last trial.
    standing: RefCell<String>,
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
            let left = move |_: &ProgressState, to: &mut dyn fmt::Write| {
                let _ = write!(to, "{}", clock(budget.left()));
            };
            let style = ProgressStyle::with_template("{spinner} {left} left · {wide_msg}");
            line.set_style(style.expect("the template is well formed").with_key("left", left));
            line.enable_steady_tick(Duration::from_millis(250));
            line
        });
        let baseline = bench.baseline.knobs.values();
        let yardstick = Yardstick::of(bench.own.as_ref());
        Self { line, budget, baseline, yardstick, standing: RefCell::default() }
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
        if let Some(line) = &self.line {
            let standing = self.standing.borrow();
            line.set_message(format!(
                "{standing}{} · trying {}",
                order.phase,
                tried(order, &self.baseline)
            ));
        }
    }

    fn finished(&self, trials: &[Trial]) {
        let Some(last) = trials.last() else { return };
        let failed = trials.iter().filter(|trial| trial.outcome != Outcome::Ok).count();
        let standing = format!(
            "{} trials, {failed} failed · {}",
            trials.len(),
            standing(trials, self.yardstick)
        );
        match &self.line {
            Some(line) => line.println(ended(last, self.yardstick)),
            None => {
                let ended = ended(last, self.yardstick);
                eprintln!("{ended} · {} left · {standing}", clock(self.budget.left()));
            }
        }
        self.standing.replace(format!("{standing} · "));
    }

    fn noted(&self, sentence: &str) {
        match &self.line {
            Some(line) => line.println(format!("note: {sentence}")),
            None => eprintln!("note: {sentence}"),
        }
    }
}

fn ended(trial: &Trial, yardstick: Yardstick) -> String {
    let result = match trial.score_s() {
        Some(score) => format!("{:.3} {}", yardstick.shown(score), yardstick.unit()),
        None => format!("{}: {}", trial.outcome, trial.detail),
    };
    format!("#{} {} {result}", trial.number, trial.phase)
}

/// Baseline, best and its gain so far.
fn standing(trials: &[Trial], yardstick: Yardstick) -> String {
    let baseline =
        trials.iter().find(|trial| trial.phase == Phase::Baseline).and_then(Trial::score_s);
    let best = ranking::rank(trials).first().map(|ranked| ranked.score_s);
    match (baseline, best) {
        (Some(baseline), Some(best)) => {
            let gain = 100.0 * yardstick.share(1.0 - best / baseline);
            let [better, _] = yardstick.better();
            let [baseline, best] = [baseline, best].map(|cost| yardstick.shown(cost));
            let s = if yardstick.goal().is_some() { "" } else { " s" };
            format!(
                "baseline {baseline:.3}{s}, best so far {best:.3}{s} ({gain:.1}% {better}, unproven)"
            )
        }
        _ => "nothing to compare yet".to_owned(),
    }
}

/// The candidate in short: what differs from the baseline.
fn tried(order: &Order<'_>, usual: &BTreeMap<String, Value>) -> String {
    let changed = order.values.iter().filter(|(name, value)| usual.get(*name) != Some(*value));
    let words: Vec<String> = changed.map(|(name, value)| format!("{name}={value}")).collect();
    if words.is_empty() { "the baseline".to_owned() } else { words.join(" ") }
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
