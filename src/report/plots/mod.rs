//! Plots: each is made from results as plain data, and drawn the same as SVG and as PNG.

pub mod canvas;
pub mod drift;
pub mod font;
mod frame;
pub mod gains;
pub mod importance;
pub mod pairs;
pub mod palette;
pub mod placement;
pub mod progress;
pub mod response;
mod scale;
pub mod scaling;
pub mod stages;

use anyhow::{Context, Result};
use image::ImageEncoder;
use image::codecs::png::PngEncoder;
use plotters::prelude::*;

use canvas::{Backend, Canvas, Mark, Medium};
use palette::Colour;

use crate::stats;
use crate::workload::metric::Direction;

/// What marks mean.
pub type Legend = Vec<(Mark, Colour, &'static str)>;

/// Something to draw.
pub trait Plot {
    /// What it shows.
    fn title(&self) -> String;

    /// What its marks mean.
    fn legend(&self) -> Legend;

    /// Its height in pixels of a page, without title and legend, at a width.
    fn height(&self, width: f64) -> f64;

    /// Draws it below title and legend.
    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()>;
}

/// Pixels of a page: of files and wide windows.
const WIDE: f64 = 860.0;
/// The same for narrow windows.
const NARROW: f64 = 340.0;

/// A plot as the files and the page want it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The files' name.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// A stand-alone file.
    pub svg: String,
    /// The same as a bitmap.
    pub png: Vec<u8>,
    /// Elements for a page: without a title.
    pub wide: Elements,
    /// The same for narrow windows.
    pub narrow: Elements,
}

/// The inside of an SVG document.
#[derive(Clone, Debug)]
pub struct Elements {
    /// Pixels across.
    pub width: f64,
    /// Pixels down.
    pub height: f64,
    /// The tags of the SVG.
    pub text: String,
}

impl Picture {
    /// Draws a plot.
    pub fn new(name: &'static str, plot: &impl Plot) -> Result<Self> {
        let place = || format!("drawing {name}");
        font::register();
        let file = elements(plot, WIDE, true).with_context(place)?;
        let style = [font::css(), palette::dark_css("svg")].concat();
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" \
             viewBox=\"0 0 {0} {1}\" role=\"img\">\n<title>{2}</title>\n<style>\n{style}</style>\n\
             {3}</svg>\n",
            file.width,
            file.height,
            plot.title(),
            file.text
        );
        Ok(Self {
            name,
            title: plot.title(),
            svg,
            png: png(plot).with_context(place)?,
            wide: elements(plot, WIDE, false).with_context(place)?,
            narrow: elements(plot, NARROW, false).with_context(place)?,
        })
    }
}

fn elements(plot: &impl Plot, width: f64, titled: bool) -> Result<Elements> {
    let height = full_height(plot, width, titled)?;
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, (width as u32, height as u32));
    draw(plot, &backend.into_drawing_area(), Medium::Svg, titled)?;
    // The outer tag is written by whoever knows what the document is for.
    let inside = text.split_once(">\n").and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let (inside, _) = inside.context("an SVG document has an outer tag")?;
    Ok(Elements { width, height, text: inside.to_owned() })
}

fn png(plot: &impl Plot) -> Result<Vec<u8>> {
    let size = |length: f64| (Medium::Bitmap.scale() * length) as u32;
    let (width, height) = (size(WIDE), size(full_height(plot, WIDE, true)?));
    let mut pixels = vec![0; (3 * width * height) as usize];
    let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
    draw(plot, &backend.into_drawing_area(), Medium::Bitmap, true)?;
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    encoder.write_image(&pixels, width, height, image::ExtendedColorType::Rgb8)?;
    Ok(file)
}

fn draw<B: Backend>(
    plot: &impl Plot,
    area: &DrawingArea<B, plotters::coord::Shift>,
    medium: Medium,
    titled: bool,
) -> Result<()> {
    let canvas = Canvas::new(area.clone(), medium)?;
    plot.draw(&canvas.head(titled.then(|| plot.title()).as_deref(), &plot.legend())?)?;
    Ok(area.present()?)
}

/// The plot's height with title and legend, found by drawing these onto a scrap.
fn full_height(plot: &impl Plot, width: f64, titled: bool) -> Result<f64> {
    const SCRAP: f64 = 2000.0;
    let mut scrap = String::new();
    let backend = SVGBackend::with_string(&mut scrap, (width as u32, SCRAP as u32));
    let canvas = Canvas::new(backend.into_drawing_area(), Medium::Svg)?;
    let rest = canvas.head(titled.then(|| plot.title()).as_deref(), &plot.legend())?;
    Ok(SCRAP - rest.height() + plot.height(width))
}

/// Columns of panels of at least this width: two beside each other where there is room.
fn columns(width: f64, narrowest: f64) -> usize {
    ((width / narrowest) as usize).clamp(1, 2)
}

/// The most trials that models for a plot are fitted to: more take longer and say no more.
pub(crate) const MODELLED: usize = 500;

/// At most `most` of `all`, evenly spread, the first included.
pub(crate) fn spread<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    let count = all.len().min(most);
    (0..count).map(|i| all[i * all.len() / count].clone()).collect()
}

/// The scores that an axis shows: a trial far slower than the baseline is marked at the axis's
/// end instead, so that the differences that matter can be seen.
pub(crate) fn shown_scores(scores: &[f64], baseline_s: Option<f64>, goal: Direction) -> (f64, f64) {
    let low = scores.iter().copied().reduce(f64::min);
    let high = scores.iter().copied().reduce(f64::max);
    let (Some(low), Some(high)) = (low, high) else {
        return (0.0, 1.0);
    };
    let middle = baseline_s.into_iter().chain(stats::median(scores)).fold(low, f64::max);
    let high = high.min(1.6 * middle);
    with_margin((low, high), 0.12, 0.05, goal)
}

/// Costs a little beyond these, by a share of the difference of their numbers; where these hardly
/// differ, of a share of the larger.
fn with_margin((low, high): (f64, f64), share: f64, least: f64, goal: Direction) -> (f64, f64) {
    let widened = |low: f64, high: f64| {
        let margin = share * (high - low).max(least * high);
        ((low - margin).max(0.0), high + margin)
    };
    match goal {
        Direction::Min => widened(low, high),
        Direction::Max => {
            let (less, more) = widened(goal.cost(high), goal.cost(low));
            (goal.cost(more), goal.cost(less))
        }
    }
}

/// The unit of a time axis.
#[derive(Clone, Copy, Debug)]
pub struct TimeUnit {
    /// Its name.
    pub word: &'static str,
    seconds: f64,
}

impl TimeUnit {
    /// The unit for an axis of this length: seconds up to five minutes, minutes up to five hours.
    pub fn fitting(seconds: f64) -> Self {
        let (word, seconds) = match seconds {
            s if s <= 300.0 => ("seconds", 1.0),
            s if s <= 18_000.0 => ("minutes", 60.0),
            _ => ("hours", 3600.0),
        };
        Self { word, seconds }
    }

    /// Seconds in this unit.
    pub fn of(self, seconds: f64) -> f64 {
        seconds / self.seconds
    }
}
