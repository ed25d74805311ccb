//! Keep: whether the profile that is there proves more than what would take its place.

use std::path::Path;

use serde_json::Value;

use super::tables::usage::quoted;
use crate::io::input;
use crate::profile::Profile;
use crate::results::{Folder, Results};

/// A profile is a page of text.
const LARGEST_BYTES: u64 = 1 << 20;

/// Why a profile must not be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptProfile {
    /// What it proves, what the journal proves, and what to type.
    pub sentence: String,
    /// Whether a gain, or all that was measured, would be lost: then nothing is to be made of it.
    pub is_all: bool,
}

/// What is known of the profile that is there.
struct Old {
    gain_percent: Option<f64>,
    pairs: u64,
    /// When the last trial started that it knows of.
    made: String,
}

impl Old {
    /// `None` where there is none, or one that says nothing.
    fn read(path: &Path) -> Option<Self> {
        let text = input::text(path, LARGEST_BYTES).ok()?;
        let profile: Value = serde_json::from_str(&text).ok()?;
        let evidence = profile.get("evidence").filter(|evidence| !evidence.is_null())?;
        Some(Self {
            gain_percent: evidence["gain_percent"].as_f64(),
            pairs: evidence["pairs"].as_u64().unwrap_or(0),
            made: profile["timestamp"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

/// Why the folder's profile has to stay, where `new` proves less than it does.
///
/// A tune that went on may find that a gain was none: where all the trials that the old profile
/// knows of are there, and more, the new one counts.
pub fn kept(folder: &Folder, results: &Results, new: &Profile) -> Option<KeptProfile> {
    let old = Old::read(&folder.profile())?;
    let evidence = new.evidence.as_ref()?;
    let is_gain = old.gain_percent.is_some() && evidence.gain_percent.is_none();
    let is_known = results.trials.iter().any(|trial| trial.started == old.made);
    let went_on = results.trials.last().is_some_and(|trial| {
        let [last, before] = [&trial.started, &old.made].map(|t| t.parse::<jiff::Timestamp>());
        last.is_ok_and(|last| before.is_ok_and(|before| last > before))
    });
    let is_less = is_gain || (evidence.pairs as u64) < old.pairs || !(is_known || went_on);
    if !is_less || is_known && went_on && results.lost.is_empty() {
        return None;
    }
    let proves = |gain: Option<f64>, pairs: u64| {
        let gain = gain.map_or("no gain".to_owned(), |gain| format!("a gain of {gain:.1}%"));
        format!("{gain} in {}", crate::io::number::count(pairs as usize, "pair"))
    };
    let missing =
        if is_known { "" } else { "; the last trial that it knows of is not in the journal" };
    let sentence = format!(
        "{} proves {}, and what is left in trials.csv {}{missing}: the profile is kept. Put the whole \
         trials.csv back, measure again with `wan22-tune resume {path}`, or have it replaced with \
         `wan22-tune report {path} --force`",
        folder.profile().display(),
        proves(old.gain_percent, old.pairs),
        proves(evidence.gain_percent, evidence.pairs as u64),
        path = quoted(folder.path()),
    );
    Some(KeptProfile { sentence, is_all: is_gain || results.trials.is_empty() })
}
