//! How much of the difference between candidates each knob explains.

use anyhow::Result;
use plotters::prelude::*;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::{Legend, MODELLED, Plot, palette, spread};
use crate::io::number::percent;
use crate::results::Results;
use crate::search::Observation;
use crate::search::importance::{Importance, importance};
use crate::trial::Trial;

/// The knobs with a choice, the most important first.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportancePlot(pub Vec<Importance>);

impl ImportancePlot {
    /// The importance of every knob with a choice; `None` for fewer than ten candidates.
    pub fn of(results: &Results) -> Option<Self> {
        let space = &results.space;
        let observation = |trial: &Trial| {
            let counts = trial.phase.is_first_measurement();
            let candidate = space.candidate(&trial.knobs).filter(|_| counts)?;
            Some(Observation::of(candidate, trial, None))
        };
        let observations: Vec<Observation> =
            results.trials.iter().filter_map(observation).collect();
        let mut found = importance(space, &spread(&observations, MODELLED));
        found.retain(|one| one.curve.iter().filter(|response| response.observed > 0).count() > 1);
        (!found.is_empty()).then_some(Self(found))
    }
}

/// Height of a knob's bar with the gap below.
const PITCH: f64 = 22.0;

impl Plot for ImportancePlot {
    fn title(&self) -> String {
        "How much of the difference each knob explains".to_owned()
    }

    fn legend(&self) -> Legend {
        vec![
            (Mark::Square, palette::TRIAL, "share of the variance, of logarithms"),
            (Mark::Line, palette::INK, "its error, a standard deviation each way"),
        ]
    }

    fn height(&self, _width: f64) -> f64 {
        PITCH * self.0.len() as f64 + 12.0
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let name = canvas.style(TEXT, palette::INK, TextAlign::Right);
        let number = canvas.style(TEXT, palette::INK, TextAlign::Left);
        let mut left = 0.0_f64;
        for one in &self.0 {
            left = left.max(canvas.text_width(&one.knob, &name)? + 21.0);
        }
        let right = canvas.width() - 62.0;
        let most = self.0.iter().map(|one| one.share + one.error).fold(1e-9, f64::max);
        let place = |share: f64| left + (right - left) * (share / most).clamp(0.0, 1.0);
        for (i, one) in self.0.iter().enumerate() {
            let y = PITCH * (i as f64 + 0.5) + 4.0;
            let (low, high) = (place(one.share - one.error), place(one.share + one.error));
            canvas.text(&one.knob, (left - 9.0, y), &name)?;
            let end = place(one.share).max(left + 1.0);
            canvas.bar((left, y - 7.0), (end, y + 7.0), palette::TRIAL.rgb().filled())?;
            canvas.line(&[(low, y), (high, y)], palette::INK, 1.4)?;
            canvas.text(&percent(one.share), (high.max(end) + 6.0, y), &number)?;
        }
        Ok(())
    }
}
