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
pub use files::{Written, write};
pub use markdown::{BEGIN, END, markdown, splice};
pub use summary::summary;

/// Every plot that the results have data for.
fn pictures(results: &Results) -> Result<Vec<Picture>> {
    let places = crate::profile::build::placement(results)?;
    let places = plots::placement::PlacementMap::of(&results.machine, &places);
    let pictures = [
        picture("progress", plots::progress::Progress::of(results)?),
        picture("stages", plots::stages::Stages::of(results)),
        picture("scaling", plots::scaling::Laws::of(results)),
        picture("importance", plots::importance::Shares::of(results)),
        picture("knobs", plots::response::Response::of(results)),
        picture("pairs", plots::pairs::Pairs::of(results)),
        picture("drift", plots::drift::Drift::of(results)?),
        picture("placement", places),
    ];
    pictures.into_iter().flatten().collect()
}

fn picture(name: &'static str, plot: Option<impl plots::Plot>) -> Option<Result<Picture>> {
    plot.map(|plot| Picture::new(name, &plot))
}
