//! Frame: the live view as lines that fit a terminal of any size.

use std::time::Duration;

use console::{measure_text_width, truncate_str};

use super::bar::phases;
use super::chart::Chart;
use super::state::{EndedTrial, Spread, State, Summary};
use super::theme::Theme;
use crate::io::number::{count, gain, percent};
use crate::io::printable::line as plain;
use crate::report::plots::shown_scores;
use crate::trial::Outcome;
use crate::workload::metric::Metric;

/// The chart's lines, where there is room.
const CHART: (usize, usize) = (4, 12);
/// From here on there is room for words that a reader can guess.
const WIDE: usize = 60;
/// Less than this of the machine's name says nothing.
const NAME: usize = 12;
/// The width of a line of trials before the candidate.
const LABEL: usize = 10;

/// The view in at most `height` lines of at most `width` columns.
pub fn frame(state: &State, elapsed: Duration, size: (usize, usize), theme: &Theme) -> Vec<String> {
    let (width, height) = size;
    let mut lines = Vec::new();
    // What matters most comes first here, and where there is no room the rest is left out.
    let (head, now) = (head(state, elapsed, width, theme), now(state, theme));
    let [names, bar] = phases(state, elapsed, width, theme);
    let parts = [Some(head), Some(bar), Some(best(state, width, theme)), Some(now)];
    let minor = [names, baseline(state, width, theme), noise(state, width, theme)];
    let spare = height.saturating_sub(parts.len());
    let minor: Vec<Option<String>> =
        minor.into_iter().enumerate().map(|(i, line)| (i < spare).then_some(line)).collect();
    let [head, bar, best, now] = parts;
    let [names, baseline, noise] = &minor[..] else { return lines };
    lines.extend(
        [head, names.clone(), bar, best, baseline.clone(), noise.clone()].into_iter().flatten(),
    );
    let rest = height.saturating_sub(lines.len() + 1);
    lines.extend(middle(state, elapsed, (width, rest), theme));
    lines.extend(now);
    lines.truncate(height);
    lines.iter().map(|line| truncate_str(line, width, "\u{2026}").into_owned()).collect()
}

/// Chart and last trials in `height` lines.
fn middle(state: &State, elapsed: Duration, size: (usize, usize), theme: &Theme) -> Vec<String> {
    let (width, height) = size;
    let mut lines = Vec::new();
    let summary = &state.summary;
    let wanted = (height / 2).min(CHART.1);
    if wanted >= CHART.0 && summary.points.iter().any(|point| point.1.is_some()) {
        lines.push(String::new());
        lines.extend(chart(state, elapsed, (width, wanted - 1), theme));
    }
    let rest = height.saturating_sub(lines.len());
    let gap = usize::from(rest > 3);
    lines.extend(std::iter::repeat_n(String::new(), gap));
    lines.extend(
        summary.last.iter().take(rest - gap).rev().map(|last| ended(last, state.metric, theme)),
    );
    lines
}

fn head(state: &State, elapsed: Duration, width: usize, theme: &Theme) -> String {
    let total = state.budget.total();
    let summary = &state.summary;
    let failed = match summary.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let (time, trials) = (clock(elapsed.min(total)), count(summary.trials, "trial"));
    let right = format!("{time} of {} \u{b7} {trials}{failed}", clock(total));
    let room = width.saturating_sub(measure_text_width(&right) + 2);
    if room < NAME {
        return right;
    }
    let left = truncate_str(&plain(&state.machine), room, "\u{2026}").into_owned();
    let gap = " ".repeat(room + 2 - measure_text_width(&left));
    format!("{}{gap}{right}", theme.strong.apply_to(left))
}

fn best(state: &State, width: usize, theme: &Theme) -> String {
    let Summary { best, confirmation, .. } = &state.summary;
    let Some(best) = best else {
        return format!("{:<LABEL$}nothing measured yet", "best");
    };
    let metric = state.metric;
    let saved = metric.share(state.summary.saved().unwrap_or(0.0));
    let [better, _] = metric.better();
    let proof = match confirmation {
        Some((pairs, Some(saved))) if saved.low.is_finite() => {
            let style = if saved.low > 0.0 { &theme.good } else { &theme.doubtful };
            let gain = gain(metric.shares(*saved));
            format!("{} {better} in {}", style.apply_to(gain), count(*pairs, "pair"))
        }
        Some((pairs, _)) => {
            format!("{} {better} in {}, no proof yet", percent(saved), count(*pairs, "pair"))
        }
        None if saved > 0.0 => format!("{} {better}, unproven", percent(saved)),
        None => "the baseline itself".to_owned(),
    };
    let time = theme.best.apply_to(time(*best, metric, width));
    let range = theme.faint.apply_to(range(*best, metric));
    let time = format!("{:<LABEL$}{time}", "best");
    fitting([time, format!(", {proof}"), format!("; {range}")], width)
}

fn baseline(state: &State, width: usize, theme: &Theme) -> String {
    let Some(spread) = state.summary.baseline else {
        return format!("{:<LABEL$}{}, not measured yet", "baseline", state.preset);
    };
    let time = time(spread, state.metric, width);
    let range = theme.faint.apply_to(range(spread, state.metric));
    let time = format!("{:<LABEL$}{time}", "baseline");
    fitting([time, format!(", {}", state.preset), format!("; {range}")], width)
}

/// As many of a line's parts, the first of which says most, as there is room for: half a number
/// would be another number.
fn fitting(parts: impl IntoIterator<Item = String>, width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let wide = measure_text_width(&line) + measure_text_width(&part);
        if wide > width && !line.is_empty() {
            break;
        }
        line.push_str(&part);
    }
    line
}

fn time(spread: Spread, metric: Metric, width: usize) -> String {
    let unit = match metric.goal() {
        None if width < WIDE => "s",
        _ => metric.unit(),
    };
    format!("{:.3} {unit}", metric.shown(spread.score_s))
}

/// A candidate's fastest and slowest repetition.
fn range(spread: Spread, metric: Metric) -> String {
    let (fastest, slowest) = spread.range_s;
    format!("{:.3} to {:.3}", metric.shown(fastest), metric.shown(slowest))
}

/// The noise light: green while others take less than 3% of a trial's time, red from 10% on.
fn noise(state: &State, width: usize, theme: &Theme) -> String {
    let Some(noise) = state.summary.noise else { return format!("{:<LABEL$}", "noise") };
    let (style, word) = match noise.waited.max(noise.stolen) {
        most if most < 0.03 => (&theme.good, "quiet"),
        most if most < 0.1 => (&theme.doubtful, "disturbed"),
        _ => (&theme.bad, "loud"),
    };
    let light = style.apply_to(format!("\u{25cf} {word}"));
    let (waited, stolen) = (percent(noise.waited), percent(noise.stolen));
    let light = format!("{:<LABEL$}{light}", "noise");
    fitting([light, format!(": threads waited {waited}"), format!(", {stolen} stolen")], width)
}

fn chart(state: &State, elapsed: Duration, size: (usize, usize), theme: &Theme) -> Vec<String> {
    let summary = &state.summary;
    let scores: Vec<f64> = summary.points.iter().filter_map(|point| point.1).collect();
    let metric = state.metric;
    let shown = |cost: f64| metric.shown(cost);
    let baseline = summary.baseline.map(|baseline| baseline.score_s);
    let (low, high) = shown_scores(&scores, baseline, metric.direction());
    let (low, high) = (shown(low).min(shown(high)), shown(low).max(shown(high)));
    let end = state.budget.total().as_secs_f64();
    let last = summary.points.iter().map(|point| point.0).fold(end, f64::max);
    let axis = [high, low].map(|end| format!("{end:.2}"));
    let left = axis.iter().map(String::len).max().unwrap_or(0);
    let mut chart = Chart::new(size.0.saturating_sub(left + 2).max(1), size.1, last, (low, high));
    for (time, score) in &summary.points {
        match score {
            Some(score) => chart.point(*time, shown(*score)),
            None => chart.failure(*time),
        }
    }
    let done = summary.points.last().map_or(0.0, |point| point.0);
    let best: Vec<(f64, f64)> =
        summary.best_so_far.iter().map(|(time, cost)| (*time, shown(*cost))).collect();
    chart.best(&best, elapsed.as_secs_f64().max(done));
    let lines = chart.lines(&theme.best, &theme.faint, &theme.bad);
    let bottom = lines.len() - 1;
    let label = |i: usize| match i {
        0 => axis[0].as_str(),
        i if i == bottom => axis[1].as_str(),
        _ => "",
    };
    lines
        .iter()
        .enumerate()
        .map(|(i, line)| format!("{:>left$} \u{2502}{line}", label(i)).trim_end().to_owned())
        .collect()
}

fn ended(last: &EndedTrial, metric: Metric, theme: &Theme) -> String {
    let EndedTrial { number, phase, outcome, result, tried } = last;
    let result = match (outcome, result) {
        (Outcome::Ok, Ok(score_s)) => {
            let unit = if metric.goal().is_some() { " " } else { "s" };
            format!("{:>9.3} {unit}  ", metric.shown(*score_s))
        }
        _ => format!("{}  ", theme.bad.apply_to(format!("{:>11}", outcome.to_string()))),
    };
    let why = result_detail(last);
    let head = format!("#{number:<4}{phase:<13}");
    format!(
        "{}{result}{}{}",
        theme.faint.apply_to(head),
        plain(tried),
        theme.faint.apply_to(plain(&why))
    )
}

fn result_detail(last: &EndedTrial) -> String {
    match &last.result {
        Err(detail) if !detail.is_empty() => format!(": {detail}"),
        _ => String::new(),
    }
}

fn now(state: &State, theme: &Theme) -> String {
    let Some(current) = &state.current else { return format!("{:<LABEL$}between trials", "now") };
    let pair = current.pair.map(|pair| format!(" {pair}")).unwrap_or_default();
    let seconds = current.since.elapsed().as_secs();
    let phase = theme.strong.apply_to(format!("{}{pair}", current.phase));
    format!("{:<LABEL$}{phase} {seconds} s: {}", "now", plain(&current.tried))
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::state::RunningTrial;
    use super::*;
    use crate::report::fixture::{Made, number, simulated};
    use crate::runner::Repetitions;
    use crate::trial::Phase;
    use crate::tune::budget::Budget;

    fn state(made: &Made, gone: u64) -> State {
        let budget = Budget::on(|| Duration::from_secs(5), Duration::from_secs(240));
        let baseline = made.results.space.given.baseline.clone();
        State {
            machine: "Test CPU: 8 cores, 8 CPUs, 1 node, 1 L3 group".to_owned(),
            preset: "5995wx".to_owned(),
            metric: Metric::SecondsPerClip,
            notes: Vec::new(),
            budget: budget.after(Duration::from_secs(gone)),
            current: None,
            summary: Summary::of(&made.results.trials, &baseline, Repetitions::USUAL),
            repetitions: Repetitions::USUAL,
            baseline,
        }
    }

    fn shown(state: &State, size: (usize, usize)) -> String {
        frame(state, state.budget.gone(), size, &Theme::new(false)).join("\n")
    }

    #[test]
    fn a_search_on_a_usual_terminal() {
        let made = Made::new()
            .baseline(&[4.0])
            .search(&[("vae_tile_size", number(192))], 3.0)
            .search(&[("batch_size", number(4))], 3.5)
            .fails(&[("batch_size", number(1))], Outcome::Timeout, "killed after 30 s");
        let mut state = state(&made, 60);
        state.current = Some(RunningTrial {
            phase: Phase::Search,
            pair: None,
            tried: "batch_size=4 vae_tile_size=192".to_owned(),
            // No second goes by, whatever the machine does meanwhile.
            since: std::time::Instant::now() + Duration::from_secs(3600),
        });
        assert_snapshot!(shown(&state, (79, 23)), @r#"
        Test CPU: 8 cores, 8 CPUs, 1 node, 1 L3 gro…  1:00 of 4:00 · 4 trials, 1 failed
        bas… search                                         confirmation
        █████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
        best      3.000 s per clip, 25.0% less, unproven; 2.970 to 3.060
        baseline  4.000 s per clip, 5995wx; 3.960 to 4.080
        noise     ● quiet: threads waited 1.0%, 1.0% stolen

        4.12 │    ⣀⣀⣀⣀    ×
             │       ⢸
             │       ⢸
             │       ⢸   ⠠
             │       ⢸
             │       ⢸
        2.88 │       ⠈⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠁

        #1   baseline         4.000 s  the baseline
        #2   search           3.000 s  vae_tile_size=192
        #3   search           3.500 s  batch_size=4
        #4   search           timeout  batch_size=1: killed after 30 s
        now       search 0 s: batch_size=4 vae_tile_size=192
        "#);
        assert_snapshot!(shown(&state, (39, 14)), @r#"
        1:00 of 4:00 · 4 trials, 1 failed
          search                  confirmation
        ██▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒▒▒▒
        best      3.000 s, 25.0% less, unproven
        baseline  4.000 s, 5995wx
        noise     ● quiet: threads waited 1.0%

        #1   baseline         4.000 s  the bas…
        #2   search           3.000 s  vae_til…
        #3   search           3.500 s  batch_s…
        #4   search           timeout  batch_s…
        now       search 0 s: batch_size=4 vae…
        "#);
        assert_snapshot!(shown(&state, (30, 4)), @r#"
        1:00 of 4:00 · 4 trials, 1 fa…
        ██▓▓▓▓▓▓░░░░░░░░░░░░▒▒▒▒▒▒▒▒▒▒
        best      3.000 s
        now       search 0 s: batch_s…
        "#);
    }

    #[test]
    fn a_confirmation_has_its_interval() {
        let change = [("vae_tile_size", number(192))];
        let made =
            Made::new().baseline(&[4.0]).search(&change, 3.0).pairs(&change, &[(4.0, 3.0); 5]);
        let text = shown(&state(&made, 150), (79, 8));
        assert_snapshot!(text, @r#"
        Test CPU: 8 cores, 8 CPUs, 1 node, 1 L3 group          2:30 of 4:00 · 12 trials
        bas…     confirmation
        █████▓▓▓▓██████████████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░
        best      3.000 s per clip, 25.0% [24.8, 25.2] less in 5 pairs; 2.970 to 3.060
        baseline  4.000 s per clip, 5995wx; 3.960 to 4.080
        noise     ● quiet: threads waited 1.0%, 1.0% stolen
        #12  confirmation     3.000 s  vae_tile_size=192
        now       between trials
        "#);
    }

    #[test]
    fn no_size_breaks_it_and_every_line_fits() {
        let made = simulated(40);
        let states = [state(&Made::new(), 0), state(&made, 100), state(&made, 10_000)];
        for state in &states {
            for size in [(0, 0), (1, 1), (5, 3), (20, 5), (39, 14), (79, 23), (199, 49), (500, 200)]
            {
                let lines = frame(state, state.budget.gone(), size, &Theme::new(true));
                assert!(lines.len() <= size.1, "{size:?}");
                let widest = lines.iter().map(|line| measure_text_width(line)).max();
                assert!(widest.unwrap_or(0) <= size.0, "{size:?}: {lines:?}");
            }
        }
    }

    #[test]
    fn without_colours_there_is_no_escape() {
        assert!(!shown(&state(&simulated(20), 100), (79, 23)).contains('\u{1b}'));
    }
}
