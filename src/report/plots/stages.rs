//! Stage times, baseline against best.

use anyhow::Result;
use plotters::prelude::*;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::{Legend, Plot, palette};
use crate::io::number::{digits, percent};
use crate::report::tables::Table;
use crate::results::Results;
use crate::trial::Trial;
use crate::{stats, workload};

/// Seconds per clip of every stage that was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct StagesPlot {
    /// One per stage, in the order of the pipeline.
    pub rows: Vec<Row>,
    /// The whole clip.
    pub clip: Row,
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The stage's name.
    pub name: &'static str,
    /// Median busy seconds per clip over the baseline's ok trials.
    pub baseline_s: Option<f64>,
    /// The same for the finalist.
    pub best_s: Option<f64>,
}

impl StagesPlot {
    /// The stages of a tune; `None` where no baseline and no finalist was timed.
    pub fn of(results: &Results) -> Option<Self> {
        let findings = results.findings();
        let finalist = findings.finalist.as_ref();
        let row = |name: &'static str, of: &dyn Fn(&Trial) -> Option<f64>| Row {
            name,
            baseline_s: median(results.trials_of(&results.space.given.baseline), of),
            best_s: finalist.and_then(|best| median(results.trials_of(&best.knobs), of)),
        };
        let timed = |row: &Row| row.baseline_s.is_some() || row.best_s.is_some();
        let stages = workload::stages().map(|stage| row(stage, &|trial| trial.stage_s(stage)));
        let rows: Vec<Row> = stages.filter(timed).collect();
        let clip = Row {
            name: "whole clip",
            baseline_s: findings.baseline_s,
            best_s: finalist.map(|best| best.score_s),
        };
        (!rows.is_empty()).then_some(Self { rows, clip })
    }

    /// Busy seconds of all stages for each second of wall time: above 1 they overlap.
    pub fn overlap(&self) -> (Option<f64>, Option<f64>) {
        let busy = |side: fn(&Row) -> Option<f64>| {
            Some(self.rows.iter().filter_map(side).sum::<f64>() / side(&self.clip)?)
        };
        (busy(|row| row.baseline_s), busy(|row| row.best_s))
    }

    /// The stage that is busy most of the time, which the others wait for.
    pub fn busiest(&self) -> Option<String> {
        let share = |side: fn(&Row) -> Option<f64>| {
            let whole = side(&self.clip)?;
            let shares = self.rows.iter().filter_map(|row| Some((side(row)? / whole, row.name)));
            shares.max_by(|a, b| a.0.total_cmp(&b.0))
        };
        let (baseline, best) = (share(|row| row.baseline_s)?, share(|row| row.best_s));
        let words = |(share, name): (f64, &str)| format!("{name} ({})", percent(share));
        let best = best.map(|best| format!(", with the best {}", words(best)));
        Some(format!(
            "The busiest stage with the baseline is {}{}.",
            words(baseline),
            best.unwrap_or_default()
        ))
    }

    /// How much of a clip's time every stage is busy: they overlap where these come to more than
    /// the whole.
    pub fn shares(&self) -> Table {
        let mut table = Table::new(["busy share of a clip's time", "#baseline", "#best"]);
        let share = |busy: Option<f64>, whole: Option<f64>| {
            busy.zip(whole).map(|(busy, whole)| percent(busy / whole)).unwrap_or_default()
        };
        for row in &self.rows {
            let baseline = share(row.baseline_s, self.clip.baseline_s);
            table.row([row.name.to_owned(), baseline, share(row.best_s, self.clip.best_s)]);
        }
        let (baseline, best) = self.overlap();
        let all = |overlap: Option<f64>| overlap.map(percent).unwrap_or_default();
        table.row(["all together".to_owned(), all(baseline), all(best)]);
        table
    }

    fn longest(&self) -> f64 {
        let times = |row: &Row| [row.baseline_s, row.best_s];
        let all = self.rows.iter().chain([&self.clip]).flat_map(times);
        all.flatten().fold(1e-9, f64::max)
    }
}

fn median<'a>(
    trials: impl Iterator<Item = &'a Trial>,
    of: &dyn Fn(&Trial) -> Option<f64>,
) -> Option<f64> {
    stats::median(trials.filter_map(of))
}

/// Height of one stage's pair of bars with the gap below.
const PITCH: f64 = 40.0;

impl Plot for StagesPlot {
    fn title(&self) -> String {
        "Stage times, busy seconds per clip".to_owned()
    }

    fn legend(&self) -> Legend {
        let mut legend = vec![(Mark::Square, palette::BASELINE, "baseline")];
        if self.clip.best_s.is_some() {
            legend.push((Mark::Square, palette::BEST, "best"));
        }
        legend
    }

    fn height(&self, _width: f64) -> f64 {
        30.0 + PITCH * (self.rows.len() + 1) as f64 + 12.0
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let name = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let number = canvas.style(TEXT, palette::INK, TextAlign::Left);
        let (left, right) = (94.0, canvas.width() - 62.0);
        let length = |seconds: f64| (right - left) * seconds / self.longest();
        let mut top = 6.0;
        for row in self.rows.iter().chain([&self.clip]) {
            if row == &self.clip {
                canvas.line(&[(12.0, top), (canvas.width() - 14.0, top)], palette::GRID, 1.0)?;
                top += 8.0;
            }
            canvas.text(row.name, (left - 9.0, top + PITCH / 2.0 - 4.0), &name)?;
            let bars = [(row.baseline_s, palette::BASELINE), (row.best_s, palette::BEST)];
            for (i, (seconds, colour)) in bars.into_iter().enumerate() {
                let Some(seconds) = seconds else { continue };
                let y = top + 16.0 * i as f64;
                let end = left + length(seconds).max(1.0);
                canvas.bar((left, y), (end, y + 14.0), colour.rgb().filled())?;
                canvas.text(&digits(seconds), (end + 6.0, y + 7.0), &number)?;
            }
            top += PITCH;
        }
        Ok(())
    }
}
