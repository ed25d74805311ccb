//! Header: the names of the columns, where the file's own were damaged.
//!
//! The program knows the names that it writes. Whether they are those of a file is not guessed: the
//! rows' checksums are over the names of their columns too.

use anyhow::{Result, anyhow};

use super::{MOST_SAMPLES, Reading, columns};
use crate::knobs::Values;

/// What is said of a journal that was read under the program's own names.
pub(super) const DAMAGED: &str = "row 1 of trials.csv (the names of the columns) was damaged: read \
                                  as this program writes them";

impl Reading {
    /// As [`Reading::of`], for a tune with this baseline: each knob's cells are of the kind that its
    /// value there has. Where row 1 is damaged, but rows match their checksums under the names that
    /// this program gives to the columns of such a tune, it is read so.
    ///
    /// # Errors
    /// As [`Reading::of`], or why row 1 can't be replaced, with the cure.
    pub fn like(bytes: &[u8], baseline: &Values) -> Result<Self> {
        let named = Self::named(bytes, baseline);
        let own = || (1..=MOST_SAMPLES).map(|samples| columns(baseline.keys(), samples));
        let is_own = |named: &Self| own().any(|own| own == named.columns);
        if named.as_ref().is_ok_and(|named| named.is_empty() || is_own(named)) {
            return named;
        }
        let own = own().filter_map(|own| Self::under(bytes, &own, baseline).ok());
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
