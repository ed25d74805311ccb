//! Report: what people read of a tune, as pure functions of its [`Results`].
//!
//! [`summary`] is for the terminal, [`write`](fn@write) makes the page and the plots, [`profile()`]
//! the settings to ship; [`markdown()`], [`json()`] and [`csv()`] are for other documents and programs.
//! The same results give the same bytes.

pub mod clock;
mod data;
pub mod fleet;
mod markdown;
pub(crate) mod page;
pub mod plots;
mod summary;
pub mod tables;
pub mod verdict;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::fs;

use anyhow::{Context, Result, bail};

use self::plots::Picture;
use crate::io::atomic_write;
use crate::results::{Folder, Results};

use crate::profile::build::profile;
pub use data::{csv, json};
pub use markdown::{BEGIN, END, markdown, splice};
pub use summary::summary;

/// Writes all that derives from results: `profile.json`, `plots/*.svg`, `plots/*.png` and
/// `report.html`.
///
/// A profile that proves more than the journal does stays, unless it `must` be replaced: then it is
/// kept as `profile.old.json`. Says so where it stays.
///
/// # Errors
/// The file that can't be written, the time in the journal that is none, or why the machine can't
/// run the profile.
pub fn write(folder: &Folder, results: &Results, must: bool) -> Result<Option<String>> {
    let profile = profile(results)?;
    let kept = crate::profile::keep::kept(folder, results, &profile);
    let plots = folder.plots();
    if plots.is_symlink() {
        bail!(
            "{}: a link out of the folder, which nothing is written through; remove it",
            plots.display()
        );
    }
    match &kept {
        Some(_) if must => {
            let old = folder.profile().with_extension("old.json");
            fs::rename(folder.profile(), &old).with_context(|| old.display().to_string())?;
            profile.write(&folder.profile())?;
        }
        Some(_) => {}
        None => profile.write(&folder.profile())?,
    }
    let pictures = pictures(results)?;
    fs::create_dir_all(&plots).with_context(|| format!("creating {}", plots.display()))?;
    for picture in &pictures {
        let file = |ending: &str| plots.join(format!("{}.{ending}", picture.name));
        atomic_write::replace(&file("svg"), picture.svg.as_bytes())?;
        atomic_write::replace(&file("png"), &picture.png)?;
    }
    let views = page::views::Views::of(results, folder);
    let page = page::page(results, &pictures, views.as_ref())?;
    atomic_write::replace(&folder.report(), page.as_bytes())?;
    Ok(kept.filter(|_| !must).map(|kept| kept.sentence))
}

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
    if let Some(places) = plots::placement::Places::of(&results.machine, &placement) {
        pictures.push(Picture::new("placement", &places)?);
    }
    Ok(pictures)
}
