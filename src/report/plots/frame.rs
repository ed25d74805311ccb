//! Frame: two axes with their grid and words.

use anyhow::Result;

use super::canvas::{Backend, Canvas, TEXT, TextAlign};
use super::palette;
use super::scale::Axis;

/// The part of a canvas that data is drawn in.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The horizontal scale.
    pub x: Axis,
    /// The vertical scale.
    pub y: Axis,
}

/// Room for the words at the left, and below.
pub const LEFT: f64 = 52.0;
/// Room for the words below.
pub const BELOW: f64 = 42.0;
/// Between the words of two counts.
const GAP: f64 = 8.0;

impl Frame {
    /// A frame that fills a canvas but for the words.
    pub fn new<B: Backend>(canvas: &Canvas<B>, x: (f64, f64), y: (f64, f64)) -> Self {
        Self {
            x: Axis::new(x, (LEFT, canvas.width() - 14.0)),
            y: Axis::new(y, (canvas.height() - BELOW, 26.0)),
        }
    }

    /// The place of a point.
    pub fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.place(x), self.y.place(y))
    }

    /// Draws the level grid lines with their values, and above them what they mean.
    pub fn draw_rows<B: Backend>(&self, canvas: &Canvas<B>, meaning: &str) -> Result<()> {
        let (left, right) = self.x.places;
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Right);
        for (value, word) in self.y.ticks(((self.y.places.0 - self.y.places.1) / 40.0) as usize) {
            let y = self.y.place(value);
            canvas.line(&[(left, y), (right, y)], palette::GRID, 1.0)?;
            canvas.text(&word, (left - 7.0, y), &style)?;
        }
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Left);
        canvas.text(meaning, (12.0, self.y.places.1 - 15.0), &style)
    }

    /// Draws the bottom axis with its values, and below them what they mean.
    pub fn draw_columns<B: Backend>(&self, canvas: &Canvas<B>, meaning: &str) -> Result<()> {
        let (left, right) = self.x.places;
        let ticks = self.x.ticks(((right - left) / 80.0) as usize);
        self.draw_ticks(canvas, &ticks, meaning)
    }

    /// The same for counts, of which there are no parts: at `counts`, which ascend, as far as
    /// there is room.
    pub fn draw_counts<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        counts: &[f64],
        meaning: &str,
    ) -> Result<()> {
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Middle);
        let longest = format!("{:.0}", counts.last().copied().unwrap_or_default());
        let room = canvas.text_width(&longest, &style)? + GAP;
        self.draw_ticks(canvas, &self.x.ticks_at(counts, room), meaning)
    }

    fn draw_ticks<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        ticks: &[(f64, String)],
        meaning: &str,
    ) -> Result<()> {
        let (left, right) = self.x.places;
        let bottom = self.y.places.0;
        canvas.line(&[(left, bottom), (right, bottom)], palette::MUTED, 1.0)?;
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Middle);
        for (value, word) in ticks {
            let x = self.x.place(*value);
            canvas.line(&[(x, bottom), (x, bottom + 4.0)], palette::MUTED, 1.0)?;
            canvas.text(word, (x, bottom + 13.0), &style)?;
        }
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Right);
        canvas.text(meaning, (right, bottom + 31.0), &style)
    }
}
