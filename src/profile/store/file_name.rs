//! The names of kept profiles: `SHAPE-IDENTITY-JOB.json`, so that what is of another machine need
//! not be read; of a part of a machine `SHAPE-IDENTITY-JOB+PART.json`.

use std::path::Path;

use crate::io::digest::is_digits;
use crate::profile::{MachinePart, Profile, ThisMachine};

/// Digits of a fingerprint's digest.
const DIGITS: usize = 16;

/// What the name of a kept profile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The shape of its machine.
    pub shape: String,
    /// The identity of its machine.
    pub identity: String,
    /// The job that it was tuned for; `None` in names that older versions gave, and where nothing
    /// was measured.
    pub job: Option<String>,
    /// What of its machine the tune was allowed to use; `None` for the whole machine.
    pub part: Option<MachinePart>,
}

impl FileName {
    /// The name of a profile that is kept for `job`, or for the one that it was tuned for.
    pub fn of(profile: &Profile, job: Option<&str>) -> Self {
        let fingerprint = &profile.machine.fingerprint;
        Self {
            shape: fingerprint.shape.clone(),
            identity: fingerprint.identity.clone(),
            job: job.map(ToOwned::to_owned).or_else(|| profile.kept_job()),
            part: profile.machine.part(None),
        }
    }

    /// The same as a machine names it, which may know more of the profile's machine than that tells.
    pub fn on(here: &ThisMachine, profile: &Profile, job: Option<&str>) -> Self {
        Self { part: here.part_of(profile), ..Self::of(profile, job) }
    }

    /// What a file's name says; `None` where it is no name of this form.
    pub fn parse(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
        let parted =
            stem.rsplit_once('+').and_then(|(stem, part)| Some((stem, MachinePart::parse(part)?)));
        let (stem, part) = parted.map_or((stem, None), |(stem, part)| (stem, Some(part)));
        let mut parts = stem.splitn(3, '-');
        let is_digest = |text: &&str| is_digits(text, DIGITS);
        let shape = parts.next().filter(is_digest)?.to_owned();
        let identity = parts.next().filter(is_digest)?.to_owned();
        Some(Self { shape, identity, job: parts.next().map(ToOwned::to_owned), part })
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shape, identity, job, part } = self;
        let job = job.as_ref().map(|job| format!("-{job}")).unwrap_or_default();
        let part = part.as_ref().map(|part| format!("+{part}")).unwrap_or_default();
        write!(f, "{shape}-{identity}{job}{part}.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_versions_are_read() {
        let read = |name: &str| FileName::parse(Path::new(name));
        let fingerprint = "0123456789abcdef-fedcba9876543210";
        for (name, job, part) in [
            (format!("/etc/{fingerprint}.json"), None, None),
            (format!("{fingerprint}-i2v.json"), Some("i2v"), None),
            (format!("{fingerprint}-vae-decode.json"), Some("vae-decode"), None),
            (format!("{fingerprint}-i2v+0123abcd.json"), Some("i2v"), Some("0123abcd")),
            (format!("{fingerprint}+0123abcd.json"), None, Some("0123abcd")),
        ] {
            let found = read(&name).unwrap();
            assert_eq!(found.shape, "0123456789abcdef");
            assert_eq!(found.identity, "fedcba9876543210");
            assert_eq!(found.job.as_deref(), job);
            assert_eq!(found.part, part.and_then(MachinePart::parse));
            assert!(name.ends_with(&found.to_string()));
        }
        for odd in [
            "mine.json",
            "0123456789abcdef.json",
            "0123456789ABCDEF-fedcba9876543210.json",
            "0123456789abcdef-fedcba9876543210+part.json",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
