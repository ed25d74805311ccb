//! Report: what people read of a tune, as pure functions of its [`Results`].
//!
//! [`summary`] is for the terminal, [`write`](fn@write) makes the page and the plots, [`profile()`]
//! the settings to ship; [`markdown()`], [`json()`] and [`csv()`] are for other documents and programs.
//! The same results give the same bytes.

pub mod account;
pub mod clock;
pub mod contender;
mod data;
pub mod facts;
mod files;
pub mod keep;
mod markdown;
pub mod number;
pub(crate) mod page;
pub mod plot;
mod profile;
mod summary;
pub mod table;
pub mod trials;
pub mod usage;
pub mod verdict;
mod views;
mod work;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use anyhow::Result;

use crate::results::Results;
use plot::Picture;

pub use data::{csv, json};
pub use files::{Written, write};
pub use markdown::{BEGIN, END, markdown, splice};
pub use profile::profile;
pub use summary::summary;

/// Every plot that the results have data for.
fn pictures(results: &Results) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    if let Some(progress) = plot::progress::Progress::of(results)? {
        pictures.push(Picture::new("progress", &progress)?);
    }
    if let Some(stages) = plot::stages::Stages::of(results) {
        pictures.push(Picture::new("stages", &stages)?);
    }
    if let Some(laws) = plot::scaling::Laws::of(results) {
        pictures.push(Picture::new("scaling", &laws)?);
    }
    if let Some(shares) = plot::importance::Shares::of(results) {
        pictures.push(Picture::new("importance", &shares)?);
    }
    if let Some(response) = plot::response::Response::of(results) {
        pictures.push(Picture::new("knobs", &response)?);
    }
    if let Some(pairs) = plot::pairs::Pairs::of(results) {
        pictures.push(Picture::new("pairs", &pairs)?);
    }
    if let Some(drift) = plot::drift::Drift::of(results)? {
        pictures.push(Picture::new("drift", &drift)?);
    }
    let placement = profile::placement(results)?;
    if let Some(places) = plot::placement::Places::of(&results.machine, &placement) {
        pictures.push(Picture::new("placement", &places)?);
    }
    Ok(pictures)
}
