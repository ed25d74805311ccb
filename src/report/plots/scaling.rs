//! How each stage scales with its threads: what was measured, and the law that fits it.

use anyhow::Result;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::frame::Frame;
use super::{Legend, MODELLED, Plot, columns, palette, spread};
use crate::io::number::percent;
use crate::results::Results;
use crate::search::scaling::{Scaling, StageLaw, Timed};
use crate::trial::Trial;

/// One panel per stage.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingPlot(pub Scaling);

impl ScalingPlot {
    /// The laws of a tune's stages; `None` where no stage was measured on three numbers of threads.
    pub fn of(results: &Results) -> Option<Self> {
        let trials: Vec<&Trial> = results.trials.iter().collect();
        let timed: Vec<Timed> =
            spread(&trials, MODELLED).into_iter().filter_map(Timed::of).collect();
        Scaling::of(&timed).map(Self)
    }

    /// How well the laws predict the whole, in a sentence.
    pub fn sentence(&self) -> String {
        let explained = percent(self.0.explained.clamp(0.0, 1.0));
        let use_of_it = if self.0.holds() {
            "which the search starts from where its models of the stages can't tell the whole"
        } else {
            "too little for the search to start from them"
        };
        format!(
            "Together the laws explain {explained} of the differences in trials that they were not \
             fitted to: {use_of_it}."
        )
    }
}

/// Height of a panel.
const PANEL: f64 = 190.0;
/// Height of a panel's title.
const TITLE: f64 = 22.0;
/// A panel no narrower than this stands beside another.
const NARROWEST: f64 = 320.0;
/// Points of a curve.
const STEPS: usize = 60;

impl Plot for ScalingPlot {
    fn title(&self) -> String {
        "How each stage scales with its threads".to_owned()
    }

    fn legend(&self) -> Legend {
        vec![
            (Mark::Dot, palette::TRIAL, "measured, other knobs as in the baseline"),
            (Mark::Line, palette::BEST, "the law that fits"),
        ]
    }

    fn height(&self, width: f64) -> f64 {
        PANEL * self.0.stages.len().div_ceil(columns(width, NARROWEST)) as f64
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let columns = columns(canvas.width(), NARROWEST);
        let width = canvas.width() / columns as f64;
        for (i, stage) in self.0.stages.iter().enumerate() {
            let (left, top) = ((i % columns) as f64 * width, (i / columns) as f64 * PANEL);
            panel(stage, &canvas.part(left, top, width, PANEL))?;
        }
        Ok(())
    }
}

fn panel<B: Backend>(stage: &StageLaw, canvas: &Canvas<B>) -> Result<()> {
    canvas.bold(stage.stage, (12.0, 12.0), TEXT)?;
    let error = canvas.style(TEXT, palette::MUTED, TextAlign::Right);
    let words = format!("error {} on unseen points", percent(stage.error()));
    canvas.text(&words, (canvas.width() - 14.0, 12.0), &error)?;
    let canvas = canvas.part(0.0, TITLE, canvas.width(), canvas.height() - TITLE);
    let counts = counts(stage);
    let first = counts.first().copied().unwrap_or(1.0);
    let last = counts.last().copied().unwrap_or(1.0).max(first + 1.0);
    let at = |step: usize| first + (last - first) * step as f64 / STEPS as f64;
    let curve: Vec<(f64, f64)> =
        (0..=STEPS).map(|step| (at(step), stage.law.seconds(at(step)))).collect();
    let measured = stage.points.iter().map(|point| point.seconds);
    let most = curve.iter().map(|point| point.1).chain(measured).fold(0.0, f64::max);
    let frame = Frame::new(&canvas, (first, last), (0.0, 1.08 * most));
    frame.draw_rows(&canvas, "seconds per clip")?;
    frame.draw_counts(&canvas, &counts, stage.knob)?;
    let line: Vec<(f64, f64)> = curve.iter().map(|&(x, y)| frame.place(x, y.max(0.0))).collect();
    canvas.line(&line, palette::BEST, 2.0)?;
    for point in &stage.points {
        canvas.mark(Mark::Dot, frame.place(point.threads, point.seconds), palette::TRIAL)?;
    }
    Ok(())
}

/// The numbers of threads that were measured, upwards.
fn counts(stage: &StageLaw) -> Vec<f64> {
    let mut counts: Vec<f64> = stage.points.iter().map(|point| point.threads).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();
    counts
}
