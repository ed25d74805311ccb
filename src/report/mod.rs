//! Report: what people read of a tune, as pure functions of its [`Results`].
//!
//! [`summary`] is for the terminal, [`write`](fn@write) makes the page and the plots, [`profile()`]
//! the settings to ship; [`markdown()`], [`json()`] and [`csv()`] are for other documents and programs.
//! The same results give the same bytes.

pub mod clock;
mod data;
mod files;
pub mod keep;
mod markdown;
pub(crate) mod page;
pub mod plots;
mod summary;
pub mod tables;
pub mod verdict;
pub mod winner;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use anyhow::Result;

use self::plots::Picture;
use crate::results::Results;

use crate::profile::build::profile;
pub use data::{csv, json};
pub use files::{WrittenReport, write};
pub use markdown::{BEGIN, END, markdown, splice};
pub use summary::summary;

/// Every plot that the results have data for.
fn pictures(results: &Results) -> Result<Vec<Picture>> {
    let places = crate::profile::build::placement(results)?;
    let places = plots::placement::PlacementPlot::of(&results.machine, &places);
    let pictures = [
        picture("progress", plots::progress::ProgressPlot::of(results)?),
        picture("stages", plots::stages::StagesPlot::of(results)),
        picture("scaling", plots::scaling::ScalingPlot::of(results)),
        picture("importance", plots::importance::ImportancePlot::of(results)),
        picture("knobs", plots::response::ResponsePlot::of(results)),
        picture("pairs", plots::pairs::PairsPlot::of(results)),
        picture("drift", plots::drift::DriftPlot::of(results)?),
        picture("placement", places),
    ];
    pictures.into_iter().flatten().collect()
}

fn picture(name: &'static str, plot: Option<impl plots::Plot>) -> Option<Result<Picture>> {
    plot.map(|plot| Picture::new(name, &plot))
}
