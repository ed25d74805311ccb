//! Bar: the live view's line of what was spent in each phase.

use std::time::Duration;

use super::state::State;
use super::theme::Theme;
use crate::trial::Phase;

/// The budget by phase: names, and a bar of what was spent in each, what is left, and what is kept
/// for the confirmation.
pub fn phases(state: &State, elapsed: Duration, width: usize, theme: &Theme) -> [String; 2] {
    let summary = &state.summary;
    let mut segments: Vec<(String, f64)> =
        summary.spent.iter().map(|(phase, seconds)| (phase.to_string(), *seconds)).collect();
    let known: f64 = segments.iter().map(|segment| segment.1).sum();
    if let Some(current) = &state.current {
        let running = (elapsed.as_secs_f64() - known).max(0.0);
        match segments.iter_mut().find(|segment| segment.0 == current.phase.to_string()) {
            Some(segment) => segment.1 += running,
            None => segments.push((current.phase.to_string(), running)),
        }
    }
    // What is left is all that it can still take, whatever breaks there were before.
    let gone: f64 = segments.iter().map(|segment| segment.1).sum();
    let whole = gone.max(elapsed.as_secs_f64()) + state.budget.left().as_secs_f64();
    let cells = |seconds: f64| (seconds / whole.max(1e-9) * width as f64).round() as usize;
    let confirming = segments.iter().any(|s| s.0 == Phase::Confirmation.to_string());
    let kept = summary
        .pairs
        .filter(|_| !confirming)
        .map_or(0.0, |pairs| state.budget.reserve(pairs).as_secs_f64());
    let (mut names, mut bar, mut used) = (String::new(), String::new(), 0);
    for (i, (name, seconds)) in segments.iter().enumerate() {
        let length = cells(*seconds).max(1).min(width.saturating_sub(used));
        let fill = if i % 2 == 0 { "\u{2588}" } else { "\u{2593}" };
        bar.push_str(&theme.best.apply_to(fill.repeat(length)).to_string());
        names.push_str(&label(name, length));
        used += length;
    }
    let kept = cells(kept).min(width.saturating_sub(used));
    let open = width.saturating_sub(used + kept);
    bar.push_str(&theme.faint.apply_to("\u{2591}".repeat(open)).to_string());
    bar.push_str(&theme.faint.apply_to("\u{2592}".repeat(kept)).to_string());
    names.push_str(&label("", open));
    names.push_str(&label(if kept > 12 { "confirmation" } else { "" }, kept));
    [theme.faint.apply_to(names.trim_end()).to_string(), bar]
}

/// A name in exactly `width` columns; cut, or left out where less than three letters of it fit.
fn label(name: &str, width: usize) -> String {
    let shown = match width {
        _ if name.len() < width => name.to_owned(),
        5.. => format!("{}\u{2026}", &name[..width - 2]),
        _ => String::new(),
    };
    format!("{shown:<width$}")
}
