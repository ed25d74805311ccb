//! The names of kept profiles: `SHAPE-IDENTITY-JOB.json`, so that what is of another machine need
//! not be read.

use std::path::Path;

use crate::profile::Profile;

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
}

impl FileName {
    /// The name of a profile that is kept for `job`, or for the one that it was tuned for.
    pub fn of(profile: &Profile, job: Option<&str>) -> Self {
        let fingerprint = &profile.machine.fingerprint;
        Self {
            shape: fingerprint.shape.clone(),
            identity: fingerprint.identity.clone(),
            job: job.or(profile.job()).map(ToOwned::to_owned),
        }
    }

    /// What a file's name says; `None` where it is no name of this form.
    pub fn parse(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
        let mut parts = stem.splitn(3, '-');
        let is_digest = |text: &&str| {
            text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shape = parts.next().filter(is_digest)?.to_owned();
        let identity = parts.next().filter(is_digest)?.to_owned();
        Some(Self { shape, identity, job: parts.next().map(ToOwned::to_owned) })
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shape, identity, job } = self;
        let job = job.as_ref().map(|job| format!("-{job}")).unwrap_or_default();
        write!(f, "{shape}-{identity}{job}.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_versions_are_read() {
        let read = |name: &str| FileName::parse(Path::new(name));
        let fingerprint = "0123456789abcdef-fedcba9876543210";
        for (name, job) in [
            (format!("/etc/{fingerprint}.json"), None),
            (format!("{fingerprint}-i2v.json"), Some("i2v")),
            (format!("{fingerprint}-vae-decode.json"), Some("vae-decode")),
        ] {
            let found = read(&name).unwrap();
            assert_eq!(found.shape, "0123456789abcdef");
            assert_eq!(found.identity, "fedcba9876543210");
            assert_eq!(found.job.as_deref(), job);
            assert!(name.ends_with(&found.to_string()));
        }
        for odd in ["mine.json", "0123456789abcdef.json", "0123456789ABCDEF-fedcba9876543210.json"]
        {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
