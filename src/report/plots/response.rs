//! What each knob does: the scores of all candidates by the knob's value.

use std::collections::BTreeMap;

use anyhow::Result;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::scale::Axis;
use super::{Legend, Plot, columns, palette, shown_scores};
use crate::io::number::digits;
use crate::knobs::Value;
use crate::results::Results;
use crate::space::{self, KnobDomain};
use crate::stats;
use crate::workload::metric::{Direction, Metric};

/// One panel a knob that has a choice.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponsePlot {
    /// The panels, in the space's order.
    pub panels: Vec<Panel>,
    /// The costs that the axis shows.
    pub shown: (f64, f64),
    /// What scores count.
    pub metric: Metric,
}

/// One knob.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The knob's name.
    pub knob: String,
    /// By what its rows are near to each other; `None` where they stand one below the other.
    pub scale: Option<space::Scale>,
    /// One a value that was measured, in the order of the knob's levels.
    pub rows: Vec<Row>,
}

/// One value of a knob.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The value.
    pub value: Value,
    /// Whether it is the baseline's.
    pub baseline: bool,
    /// Seconds per clip of every candidate with this value, ascending; its other knobs vary.
    pub scores: Vec<f64>,
    /// Their median.
    pub median_s: f64,
}

impl ResponsePlot {
    /// The response of every knob; `None` where no knob was measured at two values.
    pub fn of(results: &Results) -> Option<Self> {
        let candidates: Vec<(BTreeMap<String, Value>, f64)> = results
            .findings()
            .ranking
            .clone()
            .into_iter()
            .map(|ranked| (ranked.knobs, ranked.score_s))
            .collect();
        let panel = |knob: &KnobDomain| Panel {
            knob: knob.name.clone(),
            scale: knob.scale,
            rows: rows(knob, &candidates),
        };
        let panels = results.space.knobs.iter().map(panel).filter(|panel| panel.rows.len() > 1);
        let panels: Vec<Panel> = panels.collect();
        let scores: Vec<f64> = candidates.iter().map(|candidate| candidate.1).collect();
        let metric = results.metric();
        let shown = shown_scores(&scores, results.findings().baseline_s, metric.direction());
        (!panels.is_empty()).then_some(Self { panels, shown, metric })
    }
}

fn rows(knob: &KnobDomain, candidates: &[(BTreeMap<String, Value>, f64)]) -> Vec<Row> {
    let row = |(level, value): (usize, &Value)| {
        let has_value = |(knobs, _): &&(BTreeMap<String, Value>, f64)| {
            knobs.get(&knob.name).is_some_and(|of_candidate| of_candidate == value)
        };
        let mut scores: Vec<f64> = candidates.iter().filter(has_value).map(|c| c.1).collect();
        scores.sort_by(f64::total_cmp);
        let median_s = stats::median(&scores)?;
        Some(Row { value: value.clone(), baseline: level == knob.baseline, scores, median_s })
    };
    knob.levels.iter().enumerate().filter_map(row).collect()
}

/// Height of a panel's head.
const HEAD: f64 = 40.0;
/// Height of a row.
const ROW: f64 = 22.0;
/// The rows whose height a knob with a scale takes at the most, however many values it has.
const MOST_ROWS: usize = 14;
/// What words of two rows keep apart.
const LINE: f64 = 13.0;
/// Height below the rows.
const FOOT: f64 = 40.0;
/// A panel no narrower than this stands beside another.
const NARROWEST: f64 = 320.0;

impl Panel {
    fn height(&self) -> f64 {
        self.bottom() + FOOT
    }

    /// Where its rows end.
    fn bottom(&self) -> f64 {
        let most = if self.scale.is_some() { MOST_ROWS } else { self.rows.len() };
        HEAD + ROW * self.rows.len().min(most) as f64
    }

    /// The height at which each row stands, downwards: on an axis where the knob has a scale.
    fn places(&self) -> Vec<f64> {
        let (first, last) = (HEAD + ROW / 2.0, self.bottom() - ROW / 2.0);
        let place = |row: &Row| Some(self.scale?.place(row.value.number()?));
        let places: Option<Vec<f64>> = self.rows.iter().map(place).collect();
        let (values, ends) = match places {
            Some(places) => {
                let ends = (places[0], places[places.len() - 1]);
                (places, ends)
            }
            None => {
                let steps = (0..self.rows.len()).map(|step| step as f64);
                (steps.collect(), (0.0, self.rows.len() as f64 - 1.0))
            }
        };
        let axis = Axis::new(ends, (first, last));
        values.into_iter().map(|value| axis.place(value)).collect()
    }

    /// Which rows have room for words: the first, and those far enough below the last that has.
    fn with_words(places: &[f64]) -> Vec<bool> {
        let mut last = f64::NEG_INFINITY;
        let mut has_room = |place: &f64| {
            let has_room = place - last >= LINE;
            last = if has_room { *place } else { last };
            has_room
        };
        places.iter().map(&mut has_room).collect()
    }
}

/// The left and top of every panel in `columns` columns, each below the shortest column, and the
/// height of all.
fn arrange(panels: &[Panel], columns: usize, width: f64) -> (Vec<(f64, f64)>, f64) {
    let mut heights = vec![0.0; columns];
    let mut places = Vec::new();
    for panel in panels {
        let shortest = heights.iter().copied().reduce(f64::min).unwrap_or_default();
        let column = heights.iter().position(|&height| height == shortest).unwrap_or_default();
        places.push((column as f64 * width / columns as f64, shortest));
        heights[column] += panel.height();
    }
    (places, heights.into_iter().fold(0.0, f64::max))
}

impl Plot for ResponsePlot {
    fn title(&self) -> String {
        format!("What each knob does, {} by value", self.metric.heading())
    }

    fn legend(&self) -> Legend {
        vec![
            (Mark::Dot, palette::TRIAL, "candidate with this value"),
            (Mark::Bar, palette::INK, "their median"),
            (Mark::Bar, palette::BEST, "the best median"),
            (Mark::Square, palette::BASELINE, "the baseline's value"),
        ]
    }

    fn height(&self, width: f64) -> f64 {
        arrange(&self.panels, columns(width, NARROWEST), width).1
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let columns = columns(canvas.width(), NARROWEST);
        let words = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let mut widest = 0.0_f64;
        for row in self.panels.iter().flat_map(|panel| &panel.rows) {
            widest = widest.max(canvas.text_width(&row.value.to_string(), &words)?);
        }
        let (places, _) = arrange(&self.panels, columns, canvas.width());
        for (panel, (left, top)) in self.panels.iter().zip(places) {
            let part = canvas.part(left, top, canvas.width() / columns as f64, panel.height());
            panel.draw(&part, widest, self)?;
        }
        Ok(())
    }
}

impl Panel {
    fn draw<B: Backend>(&self, canvas: &Canvas<B>, widest: f64, all: &ResponsePlot) -> Result<()> {
        let is_log = self.scale == Some(space::Scale::Log);
        let title = format!("{}{}", self.knob, if is_log { " (logarithmic)" } else { "" });
        canvas.bold(&title, (12.0, 20.0), TEXT)?;
        let name = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let muted = canvas.style(TEXT, palette::MUTED, TextAlign::Middle);
        let places = (30.0 + widest + 10.0, canvas.width() - 64.0);
        let x = Axis { values: all.shown, places, goal: all.metric.direction() };
        let bottom = self.bottom();
        for (value, word) in x.ticks(((places.1 - places.0) / 45.0) as usize) {
            let x = x.place(value);
            canvas.line(&[(x, HEAD - 4.0), (x, bottom)], palette::GRID, 1.0)?;
            canvas.text(&word, (x, bottom + 11.0), &muted)?;
        }
        let fastest = self.rows.iter().map(|row| row.median_s).fold(f64::INFINITY, f64::min);
        let heights = self.places();
        let median = |(row, y): (&Row, &f64)| (x.place(row.median_s), *y);
        let curve: Vec<(f64, f64)> = self.rows.iter().zip(&heights).map(median).collect();
        if self.scale.is_some() {
            canvas.line(&curve, palette::GRID, 1.5)?;
        }
        let words = Self::with_words(&heights);
        for ((row, y), has_words) in self.rows.iter().zip(heights).zip(words) {
            if has_words {
                canvas.text(&row.value.to_string(), (places.0 - 10.0, y), &name)?;
            }
            if row.baseline {
                canvas.mark(Mark::Square, (16.0, y), palette::BASELINE)?;
            }
            row.draw(canvas, x, y, (row.median_s == fastest, has_words))?;
        }
        Ok(())
    }
}

impl Row {
    fn draw<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        x: Axis,
        y: f64,
        (fastest, has_words): (bool, bool),
    ) -> Result<()> {
        for &score in &self.scores {
            let mark = match x.goal {
                _ if score <= x.values.1 => Mark::SmallDot,
                Direction::Min => Mark::Beyond,
                Direction::Max => Mark::Before,
            };
            canvas.mark(mark, (x.place(score), y), palette::TRIAL)?;
        }
        let colour = if fastest { palette::BEST } else { palette::INK };
        canvas.mark(Mark::Bar, (x.place(self.median_s), y), colour)?;
        if !has_words {
            return Ok(());
        }
        let number = canvas.style(TEXT, colour, TextAlign::Right);
        canvas.text(&digits(x.goal.cost(self.median_s)), (canvas.width() - 12.0, y), &number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(scale: Option<space::Scale>) -> Panel {
        let row = |number: f64| Row {
            value: Value::float(number).unwrap(),
            baseline: false,
            scores: vec![1.0],
            median_s: 1.0,
        };
        let rows = [0.01, 0.1, 1.0].map(row).to_vec();
        Panel { knob: "threshold".to_owned(), scale, rows }
    }

    #[test]
    fn rows_stand_where_their_values_lie_and_have_words_where_there_is_room() {
        // From the middle of the first of three rows to the middle of the last: 44 pixels.
        let (first, last) = (HEAD + 11.0, HEAD + 55.0);
        for (scale, middle, words) in [
            (None, first + 22.0, [true; 3]),
            (Some(space::Scale::Log), first + 22.0, [true; 3]),
            // A tenth of 0.99 from the first: 4 pixels.
            (Some(space::Scale::Linear), first + 4.0, [true, false, true]),
        ] {
            let places = panel(scale).places();
            for (place, expected) in places.iter().zip([first, middle, last]) {
                assert!((place - expected).abs() < 1e-9, "{scale:?}: {places:?}");
            }
            assert_eq!(Panel::with_words(&places), words);
        }
    }

    #[test]
    fn many_values_of_a_knob_with_a_scale_take_no_more_height() {
        let mut panel = panel(Some(space::Scale::Log));
        panel.rows = (0..200).map(|_| panel.rows[0].clone()).collect();
        assert_eq!(panel.height(), HEAD + 14.0 * ROW + FOOT);
        panel.scale = None;
        assert_eq!(panel.height(), HEAD + 200.0 * ROW + FOOT);
    }
}
