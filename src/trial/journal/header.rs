//! Header: the names of the columns, where the file's own were damaged.
//!
//! The program knows the names that it writes. Whether they are those of a file is not guessed: the
//! rows' checksums are over the names of their columns too.

use anyhow::{Result, anyhow};

use super::{MOST_SAMPLES, Reading, columns};

/// What is said of a journal that was read under the program's own names.
pub(super) const DAMAGED: &str = "row 1 of trials.csv (the names of the columns) was damaged: read \
                                  as this program writes them";

impl Reading {
    /// As [`Reading::of`]; where row 1 is damaged, but rows match their checksums under the names
    /// that this program gives to the columns of a tune of these knobs, it is read so.
    ///
    /// # Errors
    /// As [`Reading::of`], or why row 1 can't be replaced, with the cure.
    pub fn with_knobs<'a>(
        bytes: &[u8],
        knobs: &(impl Iterator<Item = &'a String> + Clone),
    ) -> Result<Self> {
        let named = Self::of(bytes);
        let mut own = (1..=MOST_SAMPLES).map(|samples| columns(knobs.clone(), samples));
        if named.as_ref().is_ok_and(|named| named.is_empty() || own.any(|own| own == named.columns))
        {
            return named;
        }
        let own = (1..=MOST_SAMPLES)
            .filter_map(|samples| Self::under(bytes, &columns(knobs.clone(), samples)).ok());
        let own = own.max_by_key(|own| own.trials.len());
        let held = named.as_ref().map_or(0, |named| named.trials.len());
        match own.filter(|own| own.trials.len() >= held.max(1)) {
            Some(own) => Ok(own),
            None => named.map_err(|error| refusal(&error)),
        }
    }
}

fn refusal(why: &anyhow::Error) -> anyhow::Error {
    anyhow!(
        "{why:#}. Its rows do not match the columns that this program writes either: put a whole \
         copy of the file back, or tune anew; a profile.json beside it stays as it is"
    )
}
