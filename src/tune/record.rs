//! The record of a tune: its journal, and the pictures beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::in_flight;
use crate::results::Folder;
use crate::runner::protocol;
use crate::trial::Trial;
use crate::trial::journal::Journal;

/// Above this a picture of 8 bits a colour is the very same.
const VISIBLE_DB: f64 = 80.0;

/// Where a tune is kept.
pub(super) struct Record<'a> {
    pub folder: &'a Folder,
    pub journal: Journal,
}

impl Record<'_> {
    /// Appends a trial, which is then no more under way, and keeps its picture.
    pub fn append(&mut self, trial: &Trial, pictures: Option<PathBuf>) -> Result<()> {
        self.journal.append(trial)?;
        in_flight::clear(self.folder, &trial.node);
        pictures.map_or(Ok(()), |pictures| self.keep_view(trial, &pictures))
    }

    /// Keeps the picture of a trial that differs from the reference's, and the reference's.
    fn keep_view(&self, trial: &Trial, pictures: &Path) -> Result<()> {
        let differs = trial.quality.is_some_and(|quality| quality.psnr_db < VISIBLE_DB);
        let view = pictures.join(protocol::TRIAL_VIEW);
        // A link that somebody put in the folder's place would lead out of it.
        if !differs || !view.exists() || self.folder.views().is_symlink() {
            return Ok(());
        }
        let place = || self.folder.views().display().to_string();
        std::fs::create_dir_all(self.folder.views()).with_context(place)?;
        // Of the user's own job the worst frame is shown, which is another in each trial.
        let of_trial = pictures.join(protocol::TRIAL_REFERENCE_VIEW);
        let (reference, kept) = match of_trial.exists() {
            true => (of_trial, self.folder.reference_view_of(trial.number)),
            false => (pictures.join(protocol::REFERENCE_VIEW), self.folder.reference_view()),
        };
        std::fs::copy(reference, kept).with_context(place)?;
        std::fs::copy(view, self.folder.trial_view(trial.number)).with_context(place)?;
        Ok(())
    }
}
