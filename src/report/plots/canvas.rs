//! Canvas: where a plot is drawn, in pixels that stay the same size to the eye.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::font::FAMILY;
use super::palette::{self, Colour};
use crate::io::printable::line as plain;

/// What plots are drawn on.
pub trait Backend: DrawingBackend<ErrorType: 'static> {}

impl<B: DrawingBackend<ErrorType: 'static>> Backend for B {}

/// A drawing area with a scale: 2 pixels of a bitmap for each of a page.
pub struct Canvas<B: Backend> {
    area: DrawingArea<B, Shift>,
    medium: Medium,
}

/// What a canvas becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Tags; a pixel is a pixel of a page.
    Svg,
    /// Dots; two for each pixel of a page.
    Bitmap,
}

impl Medium {
    /// Dots for each pixel of a page.
    pub fn scale(self) -> f64 {
        match self {
            Self::Svg => 1.0,
            Self::Bitmap => 2.0,
        }
    }

    /// What plotters calls the size of a font whose em has this height.
    fn font_size(self, em: f64) -> f64 {
        match self {
            // It divides by this number when it writes SVG.
            Self::Svg => 1.24 * em,
            // The font's ascent and descent: what ab_glyph scales to.
            Self::Bitmap => 1.164 * em * self.scale(),
        }
    }

    /// How far below the given line plotters has to put words for their small letters to be
    /// centred on it, in ems.
    fn drop(self) -> f64 {
        match self {
            Self::Svg => 0.0,
            // Half of an x (0.547 em), less where plotters puts the base line.
            Self::Bitmap => 0.16,
        }
    }
}

/// The shape that stands for one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A filled circle.
    Dot,
    /// An open circle.
    Ring,
    /// A smaller one, for crowds.
    SmallDot,
    /// A filled square.
    Square,
    /// An open square.
    OpenSquare,
    /// A filled rhombus.
    Diamond,
    /// A cross.
    Cross,
    /// A triangle that points up: off the scale.
    Above,
    /// A triangle that points to the right: off the scale.
    Beyond,
    /// A triangle that points to the left: off the scale.
    Before,
    /// An upright bar.
    Bar,
    /// A line.
    Line,
}

/// Where words stand relative to their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextAlign {
    /// To the right of it.
    Left,
    /// Centred on it.
    Middle,
    /// To the left of it.
    Right,
}

/// Height of ordinary words in pixels of a page.
pub const TEXT: f64 = 12.5;

impl<B: Backend> Canvas<B> {
    /// A canvas over all of `area`, filled with paper.
    pub fn new(area: DrawingArea<B, Shift>, medium: Medium) -> Result<Self> {
        area.fill(&palette::PAPER.rgb())?;
        Ok(Self { area, medium })
    }

    fn px(&self, length: f64) -> i32 {
        (length * self.medium.scale()).round() as i32
    }

    /// Width in pixels of a page.
    pub fn width(&self) -> f64 {
        f64::from(self.area.dim_in_pixel().0) / self.medium.scale()
    }

    /// Height in pixels of a page.
    pub fn height(&self) -> f64 {
        f64::from(self.area.dim_in_pixel().1) / self.medium.scale()
    }

    /// A part of the canvas, from the left and the top, in pixels of a page.
    pub fn part(&self, left: f64, top: f64, width: f64, height: f64) -> Self {
        let area = self
            .area
            .clone()
            .shrink((self.px(left), self.px(top)), (self.px(width).max(1), self.px(height).max(1)));
        Self { area, medium: self.medium }
    }

    /// The style of words of some height.
    pub fn style(&self, em: f64, colour: Colour, anchor: TextAlign) -> TextStyle<'static> {
        self.font(em, FontStyle::Normal, colour, anchor)
    }

    fn font(
        &self,
        em: f64,
        style: FontStyle,
        colour: Colour,
        anchor: TextAlign,
    ) -> TextStyle<'static> {
        let across = match anchor {
            TextAlign::Left => HPos::Left,
            TextAlign::Middle => HPos::Center,
            TextAlign::Right => HPos::Right,
        };
        (FAMILY, self.medium.font_size(em), style)
            .into_font()
            .color(&colour.rgb())
            .pos(Pos::new(across, VPos::Center))
    }

    /// Words whose middle line is at `y`.
    pub fn text(&self, text: &str, at: (f64, f64), style: &TextStyle<'_>) -> Result<()> {
        let em = style.font.get_size() / self.medium.font_size(1.0);
        let y = at.1 + em * self.medium.drop();
        Ok(self.area.draw_text(&plain(text), style, (self.px(at.0), self.px(y)))?)
    }

    /// Bold words that start at a place, around its height.
    pub fn bold(&self, text: &str, at: (f64, f64), em: f64) -> Result<()> {
        self.text(text, at, &self.font(em, FontStyle::Bold, palette::INK, TextAlign::Left))
    }

    /// The width of words in pixels of a page.
    pub fn text_width(&self, text: &str, style: &TextStyle<'_>) -> Result<f64> {
        Ok(f64::from(self.area.estimate_text_size(text, style)?.0) / self.medium.scale())
    }

    /// A filled rectangle from one corner to the other.
    pub fn bar(&self, from: (f64, f64), to: (f64, f64), fill: impl Into<ShapeStyle>) -> Result<()> {
        let corner = |(x, y): (f64, f64)| (self.px(x), self.px(y));
        Ok(self.area.draw(&Rectangle::new([corner(from), corner(to)], fill))?)
    }

    /// A mark around a point.
    pub fn mark(&self, mark: Mark, at: (f64, f64), colour: Colour) -> Result<()> {
        let (x, y) = (self.px(at.0), self.px(at.1));
        let (fill, line) = (colour.rgb().filled(), colour.rgb().stroke_width(self.px(1.6) as u32));
        let r = self.px(3.5);
        let square =
            |style| self.area.draw(&Rectangle::new([(x - r, y - r), (x + r, y + r)], style));
        let polygon = |corners: &[(i32, i32)], r: i32| {
            let corners = corners.iter().map(|(dx, dy)| (x + r * dx, y + r * dy));
            self.area.draw(&Polygon::new(corners.collect::<Vec<_>>(), fill))
        };
        match mark {
            Mark::Dot => self.area.draw(&Circle::new((x, y), r, fill))?,
            Mark::Ring => self.area.draw(&Circle::new((x, y), self.px(4.2), line))?,
            Mark::SmallDot => self.area.draw(&Circle::new((x, y), self.px(2.6), fill))?,
            Mark::Square => square(fill)?,
            Mark::OpenSquare => square(line)?,
            Mark::Diamond => polygon(&[(0, -1), (1, 0), (0, 1), (-1, 0)], self.px(4.8))?,
            Mark::Cross => {
                self.area.draw(&PathElement::new(vec![(x - r, y - r), (x + r, y + r)], line))?;
                self.area.draw(&PathElement::new(vec![(x - r, y + r), (x + r, y - r)], line))?;
            }
            Mark::Above => polygon(&[(0, -1), (1, 1), (-1, 1)], r)?,
            Mark::Beyond => polygon(&[(1, 0), (-1, 1), (-1, -1)], r)?,
            Mark::Before => polygon(&[(-1, 0), (1, 1), (1, -1)], r)?,
            Mark::Bar => self.bar((at.0 - 1.5, at.1 - 8.0), (at.0 + 1.5, at.1 + 8.0), fill)?,
            Mark::Line => self.line(&[(at.0 - 9.0, at.1), (at.0 + 9.0, at.1)], colour, 2.2)?,
        }
        Ok(())
    }

    /// A line through points.
    pub fn line(&self, points: &[(f64, f64)], colour: Colour, width: f64) -> Result<()> {
        let points: Vec<(i32, i32)> =
            points.iter().map(|&(x, y)| (self.px(x), self.px(y))).collect();
        let style = colour.rgb().stroke_width(self.px(width).max(1) as u32);
        Ok(self.area.draw(&PathElement::new(points, style))?)
    }

    /// A dashed level line.
    pub fn dashes(&self, from: (f64, f64), to: (f64, f64), colour: Colour) -> Result<()> {
        const DASH: f64 = 5.0;
        let mut x = from.0;
        while x < to.0 {
            self.line(&[(x, from.1), ((x + DASH).min(to.0), from.1)], colour, 1.6)?;
            x += 1.7 * DASH;
        }
        Ok(())
    }

    /// A bold title, where there is one, and a legend below it; returns what is left.
    pub fn head(&self, title: Option<&str>, legend: &[(Mark, Colour, &str)]) -> Result<Self> {
        let mut top = 4.0;
        if let Some(title) = title {
            self.bold(title, (12.0, top + 14.0), 15.0)?;
            top += 30.0;
        }
        let style = self.style(TEXT, palette::MUTED, TextAlign::Left);
        let mut left = 12.0;
        for (i, &(mark, colour, words)) in legend.iter().enumerate() {
            let width = 24.0 + self.text_width(words, &style)? + 18.0;
            if i > 0 && left + width > self.width() {
                (left, top) = (12.0, top + 19.0);
            }
            self.mark(mark, (left + 9.0, top + 10.0), colour)?;
            self.text(words, (left + 24.0, top + 10.0), &style)?;
            left += width;
        }
        top += if legend.is_empty() { 2.0 } else { 24.0 };
        Ok(self.part(0.0, top, self.width(), self.height() - top))
    }
}
