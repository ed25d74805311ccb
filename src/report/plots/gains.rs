//! The gains of many runs, each with its interval.

use anyhow::Result;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::palette::{self, Colour};
use super::scale::Axis;
use super::{Legend, Plot};
use crate::stats::Interval;

/// One row per run.
#[derive(Clone, Debug, PartialEq)]
pub struct GainsPlot {
    /// The runs.
    pub rows: Vec<Row>,
    /// What their gains are.
    pub title: String,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it gained over its own baseline.
    pub over_baseline: Option<Interval>,
    /// What it gained over libtorch's defaults.
    pub over_defaults: Option<Interval>,
}

/// Height of a row.
const PITCH: f64 = 26.0;
/// Height below the rows.
const FOOT: f64 = 44.0;
/// A name takes no larger share of the width.
const NAMES: f64 = 0.4;

impl Row {
    fn gains(&self) -> [(Option<Interval>, Mark, Colour); 2] {
        [
            (self.over_baseline, Mark::Square, palette::BEST),
            (self.over_defaults, Mark::Diamond, palette::CONFIRMED),
        ]
    }

    /// The name, cut to `room`.
    fn draw_name<B: Backend>(&self, canvas: &Canvas<B>, room: f64, y: f64) -> Result<()> {
        let style = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let mut name = self.name.clone();
        while canvas.text_width(&name, &style)? > room - 22.0 && name.chars().count() > 2 {
            let shorter: String = name.chars().take(name.chars().count() - 2).collect();
            name = format!("{shorter}\u{2026}");
        }
        canvas.text(&name, (room - 10.0, y), &style)
    }
}

impl GainsPlot {
    /// The shares that the axis shows, zero among them.
    fn shown(&self) -> (f64, f64) {
        let all = self.rows.iter().flat_map(Row::gains).filter_map(|(gain, ..)| gain);
        let ends = all.flat_map(|gain| [gain.low, gain.mean, gain.high]);
        // An interval that reaches far below nothing says no more than that it does.
        let ends: Vec<f64> = ends.filter(|end| end.is_finite()).map(|end| end.max(-1.0)).collect();
        let low = ends.iter().copied().fold(0.0, f64::min);
        let high = ends.iter().copied().fold(0.05, f64::max);
        (low - 0.03 * (high - low), high + 0.03 * (high - low))
    }
}

impl Plot for GainsPlot {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn legend(&self) -> Legend {
        vec![
            (Mark::Square, palette::BEST, "over its own baseline"),
            (Mark::Diamond, palette::CONFIRMED, "over libtorch's defaults"),
            (Mark::Line, palette::MUTED, "95% interval"),
        ]
    }

    fn height(&self, _width: f64) -> f64 {
        PITCH * self.rows.len() as f64 + FOOT
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let style = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let mut names = 0.0_f64;
        for row in &self.rows {
            names = names.max(canvas.text_width(&row.name, &style)? + 24.0);
        }
        let left = names.min(NAMES * canvas.width());
        let (low, high) = self.shown();
        let x = Axis::new((100.0 * low, 100.0 * high), (left, canvas.width() - 16.0));
        let bottom = PITCH * self.rows.len() as f64;
        let muted = canvas.style(TEXT, palette::MUTED, TextAlign::Middle);
        for (value, word) in x.ticks(((x.places.1 - x.places.0) / 60.0) as usize) {
            let at = x.place(value);
            let colour = if value == 0.0 { palette::MUTED } else { palette::GRID };
            canvas.line(&[(at, 0.0), (at, bottom)], colour, 1.0)?;
            canvas.text(&format!("{word}%"), (at, bottom + 13.0), &muted)?;
        }
        for (i, row) in self.rows.iter().enumerate() {
            let y = PITCH * (i as f64 + 0.5);
            row.draw_name(canvas, left, y)?;
            for (offset, (gain, mark, colour)) in [-5.0, 5.0].into_iter().zip(row.gains()) {
                let Some(gain) = gain else { continue };
                let (from, to) = (x.place(100.0 * gain.low), x.place(100.0 * gain.high));
                canvas.line(&[(from, y + offset), (to, y + offset)], colour, 1.3)?;
                canvas.mark(mark, (x.place(100.0 * gain.mean), y + offset), colour)?;
            }
        }
        Ok(())
    }
}
