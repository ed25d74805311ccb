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
    let mut pictures = Vec::new();
    if let Some(progress) = plots::progress::Progress::of(results)? {
        pictures.push(Picture::new("progress", &progress)?);
    }
    if let Some(stages) = plots::stages::Stages::of(results) {
        pictures.push(Picture::new("stages", &stages)?);
    }
    if let Some(laws) = plots::scaling::Laws::of(results) {
        pictures.push(Picture::new("scaling", &laws)?);
    }
    if let Some(shares) = plots::importance::Shares::of(results) {
        pictures.push(Picture::new("importance", &shares)?);
    }
    if let Some(response) = plots::response::Response::of(results) {
        pictures.push(Picture::new("knobs", &response)?);
    }
    if let Some(pairs) = plots::pairs::Pairs::of(results) {
        pictures.push(Picture::new("pairs", &pairs)?);
    }
    if let Some(drift) = plots::drift::Drift::of(results)? {
        pictures.push(Picture::new("drift", &drift)?);
    }
    let placement = crate::profile::build::placement(results)?;
    if let Some(places) = plots::placement::PlacementMap::of(&results.machine, &placement) {
        pictures.push(Picture::new("placement", &places)?);
    }
    Ok(pictures)
}
