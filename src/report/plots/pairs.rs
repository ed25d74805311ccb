//! Pairs of knobs: the median score for every two values, where enough of them were measured.

use anyhow::Result;
use plotters::prelude::*;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::palette::{self, Colour};
use super::{Legend, Plot, columns};
use crate::evidence::ranking::Ranked;
use crate::io::number::digits;
use crate::knobs::Value;
use crate::results::Results;
use crate::space::KnobDomain;
use crate::stats;
use crate::workload::metric::Metric;

/// The pairs that are known to interact on some machine, the likeliest first.
const LIKELY: [(&str, &str); 6] = [
    ("intra_op_threads", "affinity"),
    ("intra_op_threads", "preprocess_workers"),
    ("intra_op_threads", "memory_mode"),
    ("affinity", "memory_mode"),
    ("batch_size", "intra_op_threads"),
    ("vae_tile_size", "batch_size"),
];

/// The pairs that the data allow.
#[derive(Clone, Debug, PartialEq)]
pub struct PairsPlot {
    /// One grid per pair of knobs.
    pub grids: Vec<Grid>,
    /// What scores count.
    pub metric: Metric,
}

/// The costs over two knobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The knob whose values are columns.
    pub across: String,
    /// The knob whose values are rows.
    pub down: String,
    /// The columns' values.
    pub columns: Vec<Value>,
    /// The rows' values, each with the median cost in every column.
    pub rows: Vec<(Value, Vec<Option<f64>>)>,
}

impl PairsPlot {
    /// The likely pairs of which at least half of all cells were measured; `None` without any.
    pub fn of(results: &Results) -> Option<Self> {
        let findings = results.findings();
        let grid = |(across, down): (&str, &str)| {
            let (_, across) = results.space.knob(across)?;
            let (_, down) = results.space.knob(down)?;
            Grid::of(&findings.ranking, across, down)
        };
        let grids: Vec<Grid> = LIKELY.into_iter().filter_map(grid).collect();
        let metric = results.metric();
        (!grids.is_empty()).then_some(Self { grids, metric })
    }
}

impl Grid {
    fn of(ranking: &[Ranked], across: &KnobDomain, down: &KnobDomain) -> Option<Self> {
        let columns = measured(ranking, across);
        let cell = |row: &Value, column: &Value| {
            let here = ranking.iter().filter(|ranked| {
                ranked.knobs.get(&across.name) == Some(column)
                    && ranked.knobs.get(&down.name) == Some(row)
            });
            stats::median(here.map(|ranked| ranked.score_s))
        };
        let row = |value: Value| {
            let cells = columns.iter().map(|column| cell(&value, column)).collect();
            (value, cells)
        };
        let rows: Vec<(Value, Vec<Option<f64>>)> =
            measured(ranking, down).into_iter().map(row).collect();
        let all = columns.len() * rows.len();
        let filled = rows.iter().flat_map(|row| &row.1).flatten().count();
        (columns.len() > 1 && rows.len() > 1 && 2 * filled >= all).then(|| Self {
            across: across.name.clone(),
            down: down.name.clone(),
            columns,
            rows,
        })
    }

    fn height(&self) -> f64 {
        HEAD + CELL * self.rows.len() as f64 + FOOT
    }

    /// The median of the fastest cell.
    fn fastest(&self) -> f64 {
        let scores = self.rows.iter().flat_map(|row| &row.1).flatten().copied();
        scores.fold(f64::INFINITY, f64::min)
    }
}

/// The values of a knob that some candidate had, in the order of its levels.
fn measured(ranking: &[Ranked], knob: &KnobDomain) -> Vec<Value> {
    let had = |value: &&Value| ranking.iter().any(|r| r.knobs.get(&knob.name) == Some(*value));
    knob.levels.iter().filter(had).cloned().collect()
}

/// Height of a grid's head.
const HEAD: f64 = 58.0;
/// Height of a cell.
const CELL: f64 = 24.0;
/// Height below the cells.
const FOOT: f64 = 20.0;
/// A grid no narrower than this stands beside another.
const NARROWEST: f64 = 400.0;

/// The colours of cells: each up to so much worse than the grid's best.
const SHADES: [(f64, &str); 5] = [
    (0.02, "at most 2% worse than the best"),
    (0.05, "5%"),
    (0.1, "10%"),
    (0.25, "25%"),
    (f64::INFINITY, "more"),
];

/// The colour of a cell with this score.
fn shade(score: f64, fastest: f64) -> Colour {
    let slower = score / fastest - 1.0;
    let step = SHADES.iter().position(|&(most, _)| slower <= most).unwrap_or_default();
    palette::HEAT[step]
}

impl Plot for PairsPlot {
    fn title(&self) -> String {
        format!("Pairs of knobs, median {}", self.metric.heading())
    }

    fn legend(&self) -> Legend {
        let entry = |(colour, (_, words))| (Mark::Square, colour, words);
        palette::HEAT.into_iter().zip(SHADES).map(entry).collect()
    }

    fn height(&self, width: f64) -> f64 {
        let heights = |row: &[Grid]| row.iter().map(Grid::height).fold(0.0, f64::max);
        self.grids.chunks(columns(width, NARROWEST)).map(heights).sum()
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let columns = columns(canvas.width(), NARROWEST);
        let width = canvas.width() / columns as f64;
        let mut top = 0.0;
        for row in self.grids.chunks(columns) {
            for (i, grid) in row.iter().enumerate() {
                let part = canvas.part(i as f64 * width, top, width, grid.height());
                grid.draw(&part, self.metric)?;
            }
            top += row.iter().map(Grid::height).fold(0.0, f64::max);
        }
        Ok(())
    }
}

impl Grid {
    fn draw<B: Backend>(&self, canvas: &Canvas<B>, metric: Metric) -> Result<()> {
        canvas.bold(&format!("{} by {}", self.down, self.across), (12.0, 18.0), TEXT)?;
        let ends = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let middle = canvas.style(TEXT, palette::INK, TextAlign::Middle);
        let fastest = self.fastest();
        let mut left = 0.0_f64;
        for (value, _) in &self.rows {
            left = left.max(22.0 + canvas.text_width(&value.to_string(), &ends)?);
        }
        let width = (canvas.width() - 14.0 - left) / self.columns.len() as f64;
        for (i, value) in self.columns.iter().enumerate() {
            canvas.text(&value.to_string(), (left + width * (i as f64 + 0.5), 44.0), &middle)?;
        }
        for (i, (value, cells)) in self.rows.iter().enumerate() {
            let top = HEAD + CELL * i as f64;
            canvas.text(&value.to_string(), (left - 8.0, top + CELL / 2.0), &ends)?;
            for (j, score) in cells.iter().enumerate() {
                let Some(score) = *score else { continue };
                let x = left + width * j as f64;
                let fill = shade(score, fastest).rgb().filled();
                canvas.bar((x + 1.0, top + 1.0), (x + width - 1.0, top + CELL - 1.0), fill)?;
                let number = digits(metric.shown(score));
                if canvas.text_width(&number, &middle)? < width {
                    canvas.text(&number, (x + width / 2.0, top + CELL / 2.0), &middle)?;
                }
            }
        }
        Ok(())
    }
}
