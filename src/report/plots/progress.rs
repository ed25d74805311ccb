//! Best so far against time, with every trial.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use plotters::prelude::*;
use strum::VariantArray;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::frame::Frame;
use super::palette::{self, Colour};
use super::{Legend, Plot, TimeUnit, shown_scores};
use crate::knobs::Value;
use crate::report::clock::Clock;
use crate::results::Results;
use crate::stats;
use crate::trial::{Phase, Trial};
use crate::workload::metric::Metric;

/// The course of a tune.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressPlot {
    /// Every trial, at its end.
    pub points: Vec<Point>,
    /// When the best so far changed, and to which cost.
    pub best: Vec<(f64, f64)>,
    /// The baseline's cost.
    pub baseline_s: Option<f64>,
    /// The phases in order, each from its first trial on, to the next one's start.
    pub phases: Vec<(Phase, f64, f64)>,
    /// The end of the last trial, seconds since the start.
    pub end_s: f64,
    /// What scores count.
    pub metric: Metric,
}

/// One trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its end, seconds since the tune's start.
    pub end_s: f64,
    /// Seconds per clip, or what else its cost is, if it succeeded.
    pub score_s: Option<f64>,
    /// What it was for.
    pub kind: TrialKind,
}

/// What a trial was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialKind {
    /// A candidate of the search.
    Search,
    /// A candidate of the search that was measured before.
    Again,
    /// The baseline.
    Baseline,
    /// The baseline again, to see the machine drift.
    Sentinel,
    /// Not counted: the machine's speed jumped around it.
    Invalidated,
    /// The finalist in a confirmation pair.
    Finalist,
}

impl ProgressPlot {
    /// The course of a tune; `None` where it made no trial.
    ///
    /// # Errors
    /// A time in the journal that can't be read.
    pub fn of(results: &Results) -> Result<Option<Self>> {
        let clock = Clock::of(results)?;
        let (mut points, mut seen) = (Vec::new(), BTreeSet::new());
        let mut best = BestSoFar::default();
        let findings = results.findings();
        let drift = &findings.drift;
        for trial in counted(results) {
            let end_s = clock.end_s(trial)?;
            let score_s = trial.score();
            let seen = !seen.insert(&trial.knobs);
            let kind = match kind(results, trial, seen) {
                TrialKind::Search | TrialKind::Again if drift.is_invalidated(trial) => {
                    TrialKind::Invalidated
                }
                kind => kind,
            };
            points.push(Point { end_s, score_s, kind });
            if kind != TrialKind::Invalidated {
                best.see(trial, end_s);
            }
        }
        let end_s = points.iter().map(|point| point.end_s).fold(0.0, f64::max);
        let phases = phases(results, &clock, end_s)?;
        let baseline_s = results.findings().baseline_s;
        let (best, metric) = (best.changes, results.metric());
        let progress = Self { points, best, baseline_s, phases, end_s, metric };
        Ok((!progress.points.is_empty()).then_some(progress))
    }

    /// The costs that the axis shows.
    fn shown(&self) -> (f64, f64) {
        let scores: Vec<f64> = self.points.iter().filter_map(|point| point.score_s).collect();
        shown_scores(&scores, self.baseline_s, self.metric.direction())
    }
}

fn counted(results: &Results) -> impl Iterator<Item = &Trial> {
    results.trials.iter().filter(|trial| trial.phase.is_comparable())
}

fn kind(results: &Results, trial: &Trial, seen: bool) -> TrialKind {
    match trial.phase {
        Phase::Sentinel => TrialKind::Sentinel,
        _ if results.is_baseline(trial) => TrialKind::Baseline,
        Phase::Confirmation => TrialKind::Finalist,
        _ if seen => TrialKind::Again,
        _ => TrialKind::Search,
    }
}

/// The ranking's first, as trials come in.
#[derive(Default)]
pub(crate) struct BestSoFar<'a> {
    scores: BTreeMap<&'a BTreeMap<String, Value>, Vec<f64>>,
    /// By the bits of what is above zero, which are in its order; with how many have it.
    medians: BTreeMap<u64, usize>,
    /// When the best changed, and to which cost.
    pub changes: Vec<(f64, f64)>,
}

impl<'a> BestSoFar<'a> {
    /// A trial that ended.
    pub fn see(&mut self, trial: &'a Trial, end_s: f64) {
        let Some(score) = trial.score().filter(|_| trial.phase.is_first_measurement()) else {
            return;
        };
        let scores = self.scores.entry(&trial.knobs).or_default();
        if let Some(before) = stats::median(&*scores).map(f64::to_bits) {
            match self.medians.get_mut(&before) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.medians.remove(&before)),
            }
        }
        scores.push(score);
        if let Some(median) = stats::median(&*scores) {
            *self.medians.entry(median.to_bits()).or_default() += 1;
        }
        let best = self.medians.keys().next().map(|bits| f64::from_bits(*bits));
        if let Some(best) = best
            && self.changes.last().is_none_or(|&(_, last)| last != best)
        {
            self.changes.push((end_s, best));
        }
    }
}

fn phases(results: &Results, clock: &Clock, end_s: f64) -> Result<Vec<(Phase, f64, f64)>> {
    let mut starts: Vec<(Phase, f64)> = Vec::new();
    // Sentinels and repeats come in between, and are a part of what they interrupt.
    for &phase in Phase::VARIANTS.iter().filter(|phase| !phase.is_interposed()) {
        if let Some(first) = results.trials.iter().find(|trial| trial.phase == phase) {
            starts.push((phase, clock.start_s(first)?));
        }
    }
    starts.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ends: Vec<f64> = starts.iter().skip(1).map(|start| start.1).chain([end_s]).collect();
    Ok(starts.into_iter().zip(ends).map(|((phase, from), to)| (phase, from, to)).collect())
}

impl Plot for ProgressPlot {
    fn title(&self) -> String {
        "Best so far against time".to_owned()
    }

    fn legend(&self) -> Legend {
        let mut legend = vec![(Mark::Line, palette::BEST, "best so far")];
        let kinds = [
            (TrialKind::Search, "candidate"),
            (TrialKind::Again, "candidate, measured again"),
            (TrialKind::Invalidated, "invalidated: the machine's speed jumped"),
            (TrialKind::Baseline, "baseline"),
            (TrialKind::Sentinel, "baseline again, as sentinel"),
            (TrialKind::Finalist, "finalist, measured again"),
        ];
        for (kind, words) in kinds {
            if self.points.iter().any(|point| point.kind == kind && point.score_s.is_some()) {
                let (mark, colour) = look(kind);
                legend.push((mark, colour, words));
            }
        }
        if self.points.iter().any(|point| point.score_s.is_none()) {
            legend.push((Mark::Cross, palette::FAILED, "failed"));
        }
        let top = self.shown().1;
        if self.points.iter().any(|point| point.score_s.is_some_and(|score| score > top)) {
            let words = match self.metric {
                Metric::Printed(_) => "worse than the scale",
                _ => "slower than the scale",
            };
            legend.push((Mark::Above, palette::TRIAL, words));
        }
        legend
    }

    fn height(&self, _width: f64) -> f64 {
        380.0
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let unit = TimeUnit::fitting(self.end_s);
        let mut frame = Frame::new(canvas, (0.0, unit.of(self.end_s.max(1e-3))), self.shown());
        // A lane above the scale for what has no place on it, and one for the phases' names.
        frame.y.goal = self.metric.direction();
        let top = frame.y.places.1 + 4.0;
        frame.y.places.1 += 34.0;
        self.draw_phases(canvas, &frame, unit, top)?;
        frame.draw_rows(canvas, "")?;
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Left);
        canvas.text(self.metric.heading(), (12.0, top - 16.0), &style)?;
        frame.draw_columns(canvas, &format!("{} since the start", unit.word))?;
        if let Some(baseline_s) = self.baseline_s {
            let (left, right) = frame.x.places;
            let y = frame.y.place(baseline_s);
            canvas.dashes((left, y), (right, y), palette::BASELINE)?;
        }
        self.draw_points(canvas, &frame, unit)?;
        self.draw_best(canvas, &frame, unit)
    }
}

fn look(kind: TrialKind) -> (Mark, Colour) {
    match kind {
        TrialKind::Search => (Mark::Dot, palette::TRIAL),
        TrialKind::Again => (Mark::Ring, palette::BEST),
        TrialKind::Invalidated => (Mark::Ring, palette::FAILED),
        TrialKind::Baseline => (Mark::Square, palette::BASELINE),
        TrialKind::Sentinel => (Mark::OpenSquare, palette::BASELINE),
        TrialKind::Finalist => (Mark::Diamond, palette::CONFIRMED),
    }
}

impl ProgressPlot {
    fn draw_phases<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        frame: &Frame,
        unit: TimeUnit,
        top: f64,
    ) -> Result<()> {
        let style = canvas.style(TEXT, palette::MUTED, TextAlign::Middle);
        let mut free = 0.0;
        for (i, &(phase, from, to)) in self.phases.iter().enumerate() {
            let (left, right) = (frame.x.place(unit.of(from)), frame.x.place(unit.of(to)));
            if i % 2 == 0 {
                let bottom = frame.y.places.0;
                canvas.bar((left, top), (right, bottom), palette::BAND.rgb().filled())?;
            }
            let half = canvas.text_width(phase.into(), &style)? / 2.0;
            let middle = f64::midpoint(left, right).min(frame.x.places.1 - half);
            if middle - half > free && right - left > 1.2 * half {
                canvas.text(phase.into(), (middle, top + 8.0), &style)?;
                free = middle + half + 6.0;
            }
        }
        Ok(())
    }

    fn draw_points<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        frame: &Frame,
        unit: TimeUnit,
    ) -> Result<()> {
        for point in &self.points {
            let x = unit.of(point.end_s);
            let lane = frame.y.places.1 - 9.0;
            match point.score_s {
                None => canvas.mark(Mark::Cross, (frame.x.place(x), lane), palette::FAILED)?,
                Some(score) if score > frame.y.values.1 => {
                    canvas.mark(Mark::Above, (frame.x.place(x), lane), palette::TRIAL)?;
                }
                Some(score) => {
                    let (mark, colour) = look(point.kind);
                    canvas.mark(mark, frame.place(x, score), colour)?;
                }
            }
        }
        Ok(())
    }

    fn draw_best<B: Backend>(
        &self,
        canvas: &Canvas<B>,
        frame: &Frame,
        unit: TimeUnit,
    ) -> Result<()> {
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for &(time, score) in &self.best {
            let x = unit.of(time);
            steps.extend(steps.last().map(|&(_, last)| (frame.x.place(x), last)));
            steps.push(frame.place(x, score));
        }
        let confirmation = self.phases.iter().find(|phase| phase.0 == Phase::Confirmation);
        let end = frame.x.place(unit.of(confirmation.map_or(self.end_s, |phase| phase.1)));
        steps.extend(steps.last().map(|&(_, last)| (end, last)));
        if steps.is_empty() { Ok(()) } else { canvas.line(&steps, palette::BEST, 2.2) }
    }
}
