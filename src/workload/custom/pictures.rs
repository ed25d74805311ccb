//! Picture job: which pictures of the user's own job are compared with the baseline's.

use std::collections::BTreeSet;

use glob::Pattern;
use serde::{Deserialize, Serialize};

use crate::knobs::{KNOBS, program_environment};

/// Files that only a program for videos reads, by how their names end.
const VIDEOS: [&str; 6] = ["mp4", "webm", "mkv", "mov", "gif", "webp"];

/// The pictures that each run makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureJob {
    /// The files that a run writes, as [`patterns`] reads them; without, a worker hands its frames
    /// over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// Knobs of which the space says that they change pictures.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub changing: BTreeSet<String>,
    /// Knobs of which it says that they do not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub neutral: BTreeSet<String>,
}

impl PictureJob {
    /// Whether another value of this knob may change a picture: of a knob of the user's own that
    /// nobody spoke of, yes.
    pub fn may_change(&self, knob: &str) -> bool {
        let is_unknown = program_environment::is_own(knob) && !self.neutral.contains(knob);
        is_unknown || self.is_to_change(knob)
    }

    /// Whether another value of this knob should change a picture.
    pub fn is_to_change(&self, knob: &str) -> bool {
        let mut known = KNOBS.iter().filter(|(_, known)| known.changes_picture());
        let is_usual = known.any(|(name, _)| *name == knob) && !self.neutral.contains(knob);
        is_usual || self.changing.contains(knob)
    }
}

/// The patterns of `out/*.png|*.mp4`: one without a folder takes that of the one before.
///
/// # Errors
/// What is no pattern, and what to type.
pub fn patterns(text: &str) -> Result<Vec<String>, String> {
    let mut patterns: Vec<String> = Vec::new();
    for part in text.split('|').map(str::trim) {
        if part.is_empty() || part.ends_with('/') {
            return Err(format!("`{text}`: give files, as in 'out/*.png|*.mp4'"));
        }
        let folder =
            patterns.last().and_then(|last| last.rsplit_once('/')).map(|(folder, _)| folder);
        let whole = match folder.filter(|_| !part.contains('/')) {
            Some(folder) => format!("{folder}/{part}"),
            None => part.to_owned(),
        };
        Pattern::new(&whole)
            .map_err(|error| format!("`{part}` is no pattern of files: {error}"))?;
        patterns.push(whole);
    }
    Ok(patterns)
}

/// Whether a name or a pattern ends as those of videos do.
pub fn is_video(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| VIDEOS.contains(&&*end.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_share_a_folder_and_are_read_before_anything_runs() {
        assert_eq!(patterns("out/*.png|*.mp4").unwrap(), ["out/*.png", "out/*.mp4"]);
        assert_eq!(
            patterns("*.png | ./b/*.mp4|c.mp4").unwrap(),
            ["*.png", "./b/*.mp4", "./b/c.mp4"]
        );
        for odd in ["", "a|", "out/", "[a"] {
            assert!(patterns(odd).is_err(), "{odd}");
        }
        assert!(is_video("out/*.MP4") && !is_video("mp4/*.png") && !is_video("mp4"));
    }

    #[test]
    fn a_knob_that_nobody_spoke_of_may_change_a_picture_unless_it_is_one_of_the_tools() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let job = PictureJob {
            files: None,
            changing: names(&["attention"]),
            neutral: names(&["blocks", "precision"]),
        };
        let all = ["attention", "blocks", "cache", "precision", "vae_tile_size", "allocator"];
        let may = all.map(|name| job.may_change(name));
        assert_eq!(may, [true, false, true, false, true, false]);
        let should = all.map(|name| job.is_to_change(name));
        assert_eq!(should, [true, false, false, false, true, false]);
    }
}
