//! Noise and drift: the baseline measured again and again, and what the kernel saw.

use anyhow::Result;

use super::canvas::{Backend, Canvas, Mark};
use super::frame::Frame;
use super::palette::{self, Colour};
use super::{Legend, Plot, TimeUnit, with_margin};
use crate::report::clock::Clock;
use crate::results::Results;
use crate::stats;
use crate::trial::{Sample, Trial};
use crate::workload::metric::Metric;

/// The baseline over time, and disturbances.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftPlot {
    /// Every ok trial of the baseline, in order.
    pub repeats: Vec<Repeat>,
    /// Each signal that some trial has, over all trials.
    pub signals: Vec<Signal>,
    /// The end of the last trial, seconds since the start.
    pub end_s: f64,
    /// What scores count.
    pub metric: Metric,
}

/// One trial of the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeat {
    /// Its end, seconds since the tune's start.
    pub end_s: f64,
    /// Seconds per clip, or what else the cost is.
    pub score_s: f64,
    /// The best and the worst repetition inside it.
    pub samples_s: (f64, f64),
}

/// One noise signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// What it is.
    pub name: &'static str,
    colour: Colour,
    /// Time, seconds since the start, and share, 0 to 1.
    pub points: Vec<(f64, f64)>,
}

/// Name, colour and share of a signal.
type Kind = (&'static str, Colour, fn(&Trial) -> Option<f64>);

impl DriftPlot {
    /// The drift of a tune; `None` where the baseline ran less than twice.
    ///
    /// # Errors
    /// A time in the journal that can't be read.
    pub fn of(results: &Results) -> Result<Option<Self>> {
        let clock = Clock::of(results)?;
        let (mut repeats, mut end_s) = (Vec::new(), 0.0_f64);
        for trial in results.trials.iter().filter(|trial| trial.phase.is_comparable()) {
            let trial_end_s = clock.end_s(trial)?;
            end_s = end_s.max(trial_end_s);
            if results.is_baseline(trial) {
                repeats.extend(repeat(trial, trial_end_s));
            }
        }
        let kinds: [Kind; 3] = [
            ("tasks waiting for a CPU", palette::BEST, |trial| trial.noise.pressure_share),
            ("own threads waiting", palette::CONFIRMED, Trial::run_queue_share),
            ("stolen by the hypervisor", palette::FAILED, |trial| trial.noise.steal_share),
        ];
        let mut signals = Vec::new();
        for (name, colour, share) in kinds {
            let mut points = Vec::new();
            for trial in &results.trials {
                points.extend(share(trial).map(|share| Ok((clock.end_s(trial)?, share))));
            }
            let points = points.into_iter().collect::<Result<Vec<_>>>()?;
            if points.len() > 1 {
                signals.push(Signal { name, colour, points });
            }
        }
        let metric = results.metric();
        Ok((repeats.len() > 1).then_some(Self { repeats, signals, end_s, metric }))
    }

    fn scores(&self) -> Vec<f64> {
        self.repeats.iter().map(|repeat| repeat.score_s).collect()
    }

    /// Standard deviation of the repeats, as a share of their mean.
    pub fn spread(&self) -> Option<f64> {
        Some(stats::deviation(&self.scores())? / stats::mean(self.scores())?)
    }

    /// How much slower the end is than the beginning, as a share, by the line that fits the
    /// repeats best (least squares); `None` for fewer than four.
    pub fn slowdown(&self) -> Option<f64> {
        let times: Vec<f64> = self.repeats.iter().map(|repeat| repeat.end_s).collect();
        let (time, score) = (stats::mean(&times)?, stats::mean(self.scores())?);
        let squares: f64 = times.iter().map(|t| (t - time).powi(2)).sum();
        let products: f64 =
            self.repeats.iter().map(|r| (r.end_s - time) * (r.score_s - score)).sum();
        let (first, last) = (times.first()?, times.last()?);
        let enough = self.repeats.len() >= 4 && squares > 0.0;
        enough.then(|| products / squares * (last - first) / score)
    }

    /// The costs that the axis shows.
    fn shown(&self) -> (f64, f64) {
        let low = self.repeats.iter().map(|r| r.samples_s.0).fold(f64::INFINITY, f64::min);
        let high = self.repeats.iter().map(|r| r.samples_s.1).fold(0.0, f64::max);
        with_margin((low, high), 0.1, 0.02, self.metric.direction())
    }
}

fn repeat(trial: &Trial, end_s: f64) -> Option<Repeat> {
    let score_s = trial.score()?;
    let costs = || trial.samples.iter().map(Sample::cost);
    let samples_s = (costs().fold(score_s, f64::min), costs().fold(score_s, f64::max));
    Some(Repeat { end_s, score_s, samples_s })
}

/// Height of the upper frame.
const REPEATS: f64 = 230.0;
/// Height of the lower frame.
const SIGNALS: f64 = 180.0;

impl Plot for DriftPlot {
    fn title(&self) -> String {
        "Noise and drift: the baseline over time".to_owned()
    }

    fn legend(&self) -> Legend {
        let words = match self.metric {
            Metric::Printed(_) => "baseline, with its best and worst repetition",
            _ => "baseline, with its fastest and slowest repetition",
        };
        let mut legend = vec![(Mark::Square, palette::BASELINE, words)];
        legend.extend(self.signals.iter().map(|s| (Mark::Line, s.colour, s.name)));
        legend
    }

    fn height(&self, _width: f64) -> f64 {
        REPEATS + if self.signals.is_empty() { 0.0 } else { SIGNALS }
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let unit = TimeUnit::fitting(self.end_s);
        self.draw_repeats(&canvas.part(0.0, 0.0, canvas.width(), REPEATS), unit)?;
        if self.signals.is_empty() {
            return Ok(());
        }
        self.draw_signals(&canvas.part(0.0, REPEATS, canvas.width(), SIGNALS), unit)
    }
}

impl DriftPlot {
    fn draw_repeats<B: Backend>(&self, canvas: &Canvas<B>, unit: TimeUnit) -> Result<()> {
        let mut frame = Frame::new(canvas, (0.0, unit.of(self.end_s.max(1e-3))), self.shown());
        frame.y.goal = self.metric.direction();
        frame.draw_rows(canvas, self.metric.heading())?;
        frame.draw_columns(canvas, &format!("{} since the start", unit.word))?;
        let line: Vec<(f64, f64)> =
            self.repeats.iter().map(|r| frame.place(unit.of(r.end_s), r.score_s)).collect();
        canvas.line(&line, palette::GRID, 2.0)?;
        for repeat in &self.repeats {
            let x = unit.of(repeat.end_s);
            let (fastest, slowest) = repeat.samples_s;
            let whisker = [frame.place(x, fastest), frame.place(x, slowest)];
            canvas.line(&whisker, palette::BASELINE, 1.2)?;
            canvas.mark(Mark::Square, frame.place(x, repeat.score_s), palette::BASELINE)?;
        }
        Ok(())
    }

    fn draw_signals<B: Backend>(&self, canvas: &Canvas<B>, unit: TimeUnit) -> Result<()> {
        let shares = self.signals.iter().flat_map(|signal| &signal.points).map(|point| point.1);
        let most = 100.0 * shares.fold(0.01, f64::max);
        let frame = Frame::new(canvas, (0.0, unit.of(self.end_s.max(1e-3))), (0.0, 1.05 * most));
        frame.draw_rows(canvas, "percent of the time")?;
        frame.draw_columns(canvas, &format!("{} since the start", unit.word))?;
        for signal in &self.signals {
            let place = |&(time, share): &(f64, f64)| frame.place(unit.of(time), 100.0 * share);
            let line: Vec<(f64, f64)> = signal.points.iter().map(place).collect();
            canvas.line(&line, signal.colour, 1.5)?;
        }
        Ok(())
    }
}
