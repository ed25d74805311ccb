//! Files: what a report leaves in a results folder.

use std::fs;

use anyhow::{Context, Result, bail};

use super::page::{self, views};
use super::{keep, pictures, profile};
use crate::io::atomic_write;
use crate::results::{Folder, Results};

/// What of a report is in its folder now.
#[derive(Debug, Default)]
pub struct WrittenReport {
    /// `profile.json`, be it new or one that proves more and was kept.
    pub profile: bool,
    /// `plots` and `report.html`.
    pub report: bool,
    /// Why a profile was kept.
    pub kept: Option<String>,
}

/// Writes all that derives from results: `profile.json`, `plots/*.svg`, `plots/*.png` and
/// `report.html`. What there is by then is told even where the rest can't be written.
///
/// A profile that proves more than the journal does stays, unless it `must` be replaced: then it is
/// kept as `profile.old.json`. Says so where it stays.
///
/// The error is the file that can't be written, the time in the journal that can't be read, or why the
/// machine can't run the profile.
pub fn write(folder: &Folder, results: &Results, must: bool) -> (WrittenReport, Result<()>) {
    let mut written = WrittenReport::default();
    let outcome = keep_or_replace(folder, results, must).and_then(|kept| {
        (written.kept, written.profile) = (kept, true);
        draw(folder, results)
    });
    written.report = outcome.is_ok();
    (written, outcome)
}

/// Writes the profile, or says why the old one stays.
fn keep_or_replace(folder: &Folder, results: &Results, must: bool) -> Result<Option<String>> {
    let profile = profile(results)?;
    let kept = keep::kept(folder, results, &profile);
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
    Ok(kept.filter(|_| !must).map(|kept| kept.sentence))
}

/// Writes the plots and the page.
fn draw(folder: &Folder, results: &Results) -> Result<()> {
    let (plots, pictures) = (folder.plots(), pictures(results)?);
    fs::create_dir_all(&plots).with_context(|| format!("creating {}", plots.display()))?;
    for picture in &pictures {
        let file = |ending: &str| plots.join(format!("{}.{ending}", picture.name));
        atomic_write::replace(&file("svg"), picture.svg.as_bytes())?;
        atomic_write::replace(&file("png"), &picture.png)?;
    }
    let views = views::Views::of(results, folder);
    let page = page::page(results, &pictures, views.as_ref())?;
    atomic_write::replace(&folder.report(), page.as_bytes())
}
